/* Loading the library at run time, without linking it: header-only, C99 and C++, for hosts that ship it as a file.
 *
 * Owns the handle of one loaded library and its function table. The path must be absolute, so that no search path
 * decides what is loaded. Slots that the loaded library lacks become functions that return DS_E_UNSUPPORTED, so that no
 * slot is ever NULL. POSIX hosts may need -ldl. Everything here is static: include it where it is used.
 *
 *     ds_library library;
 *     if (ds_library_open(&library, "/opt/app/lib/libdeepseam.so.0", &error) == DS_OK) {
 *       library.api.runtime_create(&options, &runtime, &error);
 *       …
 *       ds_library_close(&library);   after ds_runtime_shutdown, and when all handles are released
 *     } */
#ifndef DEEPSEAM_LOADER_H
#define DEEPSEAM_LOADER_H

#include <string.h>

#include "deepseam/deepseam.h"

#if defined(_WIN32)
#if !defined(WIN32_LEAN_AND_MEAN)
#define WIN32_LEAN_AND_MEAN
#endif
#if !defined(NOMINMAX)
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <dlfcn.h>
#endif

typedef struct ds_library {
  void *handle; /* of the system's loader; NULL if nothing is loaded */
  ds_api api;
} ds_library;

/* Fills the caller's record as the library would; cuts what is too long. Returns `status`. */
static inline ds_status ds_loader_fail(ds_status status, const char *message, const char *path, int32_t os_code,
                                       ds_error *error) {
  size_t size;
  uint32_t struct_size;
  if (!error || error->struct_size < sizeof *error) return status;
  struct_size = error->struct_size;
  memset(error, 0, sizeof *error);
  error->struct_size = struct_size;
  error->code = status;
  error->os_code = os_code;
  error->byte_offset = UINT64_MAX;
  memcpy(error->domain, "loader", 7);
  size = strlen(message);
  if (size >= sizeof error->message) size = sizeof error->message - 1;
  memcpy(error->message, message, size);
  size = strlen(path); /* the end of a long path says more than its front */
  if (size >= sizeof error->path) path += size - (sizeof error->path - 1), size = sizeof error->path - 1;
  memcpy(error->path, path, size);
  return status;
}

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#elif defined(_MSC_VER)
#pragma warning(push)
#pragma warning(disable : 4100)
#endif
#define DS_SLOT(type, name, parameters)                                                                        \
  static inline type DS_CALL ds_missing_##name parameters {                                                    \
    return ds_loader_fail(DS_E_UNSUPPORTED, "the loaded library is older and has no ds_" #name, "", 0, error); \
  }
#define DS_SLOT_VOID(name, parameters) \
  static inline void DS_CALL ds_missing_##name parameters {}
#define DS_SLOT_VALUE(type, name, parameters, missing) \
  static inline type DS_CALL ds_missing_##name parameters { return missing; }
#include "deepseam/api.def"
#undef DS_SLOT
#undef DS_SLOT_VOID
#undef DS_SLOT_VALUE
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#elif defined(_MSC_VER)
#pragma warning(pop)
#endif

/* Puts a function that returns DS_E_UNSUPPORTED into every NULL slot. */
static inline void ds_api_fill_missing(ds_api *api) {
#define DS_SLOT(type, name, parameters) \
  if (!api->name) api->name = ds_missing_##name;
#define DS_SLOT_VOID(name, parameters) \
  if (!api->name) api->name = ds_missing_##name;
#define DS_SLOT_VALUE(type, name, parameters, missing) \
  if (!api->name) api->name = ds_missing_##name;
#include "deepseam/api.def"
#undef DS_SLOT
#undef DS_SLOT_VOID
#undef DS_SLOT_VALUE
}

static inline int ds_loader_is_absolute(const char *path) {
#if defined(_WIN32)
  const char first = path[0];
  const int letter = (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z');
  if (first == '\\' && path[1] == '\\') return 1;
  return letter && path[1] == ':' && (path[2] == '\\' || path[2] == '/');
#else
  return path[0] == '/';
#endif
}

/* Unloads what ds_library_open loaded; the table must not be used afterwards. Call ds_runtime_shutdown and release all
 * handles first. */
static inline void ds_library_close(ds_library *library) {
  if (!library || !library->handle) return;
#if defined(_WIN32)
  FreeLibrary((HMODULE)library->handle);
#else
  dlclose(library->handle);
#endif
  memset(library, 0, sizeof *library);
}

/* The system's part of opening: the handle, or NULL and *os_code and a sentence in `message`. */
static inline void *ds_loader_load(const char *path, int32_t *os_code, char *message, size_t message_size) {
#if defined(_WIN32)
  WCHAR wide[1024];
  HMODULE handle = NULL;
  if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, 1024) > 0)
    handle = LoadLibraryExW(wide, NULL, LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
  if (!handle) *os_code = (int32_t)GetLastError();
  strncpy(message, "the system's loader refused the file; os_code says why", message_size - 1);
  return (void *)handle;
#else
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  const char *reason = handle ? NULL : dlerror();
  *os_code = 0;
  strncpy(message, reason ? reason : "the system's loader refused the file", message_size - 1);
  return handle;
#endif
}

/* Loads the library file at an absolute path (UTF-8, NUL-terminated) and fills library->api. On failure nothing stays
 * loaded. Errors: ARGUMENT (path not absolute), NOT_FOUND (the system's loader refused it; its words are in the
 * message), ABI (not a deepseam library, or one whose ABI does not fit this header). [any-thread] */
static inline ds_status ds_library_open(ds_library *library, const char *path, ds_error *error) {
  ds_status(DS_CALL * get_api)(uint32_t, ds_api *, ds_error *) = NULL;
  char message[512] = {0};
  int32_t os_code = 0;
  ds_status status;
  memset(library, 0, sizeof *library);
  if (!path || !ds_loader_is_absolute(path))
    return ds_loader_fail(DS_E_ARGUMENT, "the library's path is not absolute", path ? path : "", 0, error);
  library->handle = ds_loader_load(path, &os_code, message, sizeof message);
  if (!library->handle) return ds_loader_fail(DS_E_NOT_FOUND, message, path, os_code, error);
#if defined(_WIN32)
  {
    FARPROC found = GetProcAddress((HMODULE)library->handle, "ds_get_api");
    memcpy(&get_api, &found, sizeof found);
  }
#else
  {
    void *found = dlsym(library->handle, "ds_get_api");
    memcpy(&get_api, &found, sizeof found);
  }
#endif
  library->api.struct_size = sizeof library->api;
  if (get_api)
    status = get_api(DS_ABI_VERSION, &library->api, error);
  else
    status = ds_loader_fail(DS_E_ABI, "the file exports no ds_get_api", path, 0, error);
  if (status != DS_OK) {
    ds_library_close(library);
    return status;
  }
  ds_api_fill_missing(&library->api);
  return DS_OK;
}

#endif
