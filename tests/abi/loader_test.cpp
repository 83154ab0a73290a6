// loader.h against libraries of other versions, against files that are none, and against the real one.
#include "deepseam/loader.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string>

namespace {

ds_error fresh() {
  ds_error error{};
  error.struct_size = sizeof error;
  return error;
}

ds_status open(const char *path, ds_library *library) {
  ds_error error = fresh();
  const ds_status status = ds_library_open(library, path, &error);
  CHECK(error.code == status);
  if (status != DS_OK) {
    CHECK(std::string(error.message) != "");
    CHECK_FALSE(library->handle);
  }
  return status;
}

}  // namespace

TEST_CASE("a path that is not absolute is refused") {
  ds_library library;
  CHECK(open("libdeepseam.so", &library) == DS_E_ARGUMENT);
  CHECK(open("", &library) == DS_E_ARGUMENT);
  CHECK(open(nullptr, &library) == DS_E_ARGUMENT);
}

TEST_CASE("a missing file and a file that is no library are NOT_FOUND") {
  ds_library library;
  CHECK(open("/nonexistent/libdeepseam.so", &library) == DS_E_NOT_FOUND);
  CHECK(open(TEXT_FILE, &library) == DS_E_NOT_FOUND);
}

TEST_CASE("libraries that are something else, or of another ABI, are refused") {
  ds_library library;
  CHECK(open(FAKE_EMPTY, &library) == DS_E_ABI);
  ds_error error = fresh();
  CHECK(ds_library_open(&library, FAKE_OTHER_ABI, &error) == DS_E_ABI);
  CHECK_FALSE(library.handle);
}

TEST_CASE("an older library: what it has works, what it lacks is UNSUPPORTED") {
  ds_library library;
  REQUIRE(open(FAKE_OLD, &library) == DS_OK);
  ds_error error = fresh();
  CHECK(library.api.runtime_create(nullptr, nullptr, &error) == DS_E_MEMORY);
  CHECK(library.api.runtime_shutdown(nullptr, 0, &error) == DS_E_UNSUPPORTED);
  CHECK(std::string(error.message).find("ds_runtime_shutdown") != std::string::npos);
  CHECK(library.api.generate(nullptr, nullptr, nullptr, nullptr, nullptr) == DS_E_UNSUPPORTED);
  library.api.runtime_release(nullptr);
  CHECK(library.api.live_objects() == 0);
  CHECK(std::string(library.api.status_string(DS_OK)) == "");
  ds_library_close(&library);
  CHECK_FALSE(library.handle);
  ds_library_close(&library);
}

#if defined(REAL_LIBRARY)
TEST_CASE("the real library offers every slot") {
  ds_library library;
  REQUIRE(open(REAL_LIBRARY, &library) == DS_OK);
  CHECK(library.api.struct_size == sizeof(ds_api));
  CHECK(library.api.library_abi == DS_ABI_VERSION);
  int absent = 0;
#define DS_SLOT(type, name, parameters) absent += library.api.name == &ds_missing_##name;
#define DS_SLOT_VOID(name, parameters) absent += library.api.name == &ds_missing_##name;
#define DS_SLOT_VALUE(type, name, parameters, missing) absent += library.api.name == &ds_missing_##name;
#include "deepseam/api.def"
#undef DS_SLOT
#undef DS_SLOT_VOID
#undef DS_SLOT_VALUE
  CHECK(absent == 0);
  CHECK(std::string(library.api.version_string()) == DS_VERSION_STRING);
  ds_library_close(&library);
}

TEST_CASE("the real library refuses programs of another ABI and tables of impossible size") {
  ds_library library;
  REQUIRE(open(REAL_LIBRARY, &library) == DS_OK);
  ds_status(DS_CALL * get_api)(uint32_t, ds_api *, ds_error *) = nullptr;
  void *found = dlsym(library.handle, "ds_get_api");
  std::memcpy(&get_api, &found, sizeof found);
  ds_api api{};
  api.struct_size = sizeof api;
  ds_error error = fresh();
  CHECK(get_api(DS_ABI_VERSION + 1, &api, &error) == DS_E_ABI);
  CHECK(get_api(DS_ABI_VERSION + (1u << 16), &api, &error) == DS_E_ABI);
  CHECK((api.runtime_create == nullptr));
  api.struct_size = 16;
  CHECK(get_api(DS_ABI_VERSION, &api, &error) == DS_E_STRUCT);
  CHECK(get_api(DS_ABI_VERSION, nullptr, &error) == DS_E_ARGUMENT);
  struct {
    ds_api api;
    uint8_t newer[64];
  } larger;
  std::memset(static_cast<void *>(&larger), 0xff, sizeof larger);
  larger.api.struct_size = sizeof larger;
  CHECK(get_api(DS_ABI_VERSION, &larger.api, &error) == DS_OK);
  for (const uint8_t byte : larger.newer) CHECK(byte == 0);
  ds_library_close(&library);
}
#endif
