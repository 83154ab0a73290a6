/* The model that ships with deepseam, inside a program: its bytes as read-only data of a library of its own.
 *
 * Link deepseam-embedded beside deepseam (pkg-config deepseam-embedded, or deepseam::embedded in CMake) and no file has
 * to be installed or found:
 *
 *   ds_source_memory source = {.head = {sizeof source, DS_SOURCE_MEMORY}};
 *   source.data = ds_embedded_model(&source.size);
 *
 * It is the same model as the name "embedded", which reads a file beside the library and needs nothing of this. */
#ifndef DEEPSEAM_EMBEDDED_H
#define DEEPSEAM_EMBEDDED_H

#include <stdint.h>

#include "deepseam/export.h"

/* DS_EMBEDDED_STATIC: the archive is linked instead of the shared library. */
#if defined(_WIN32) && defined(DS_EMBEDDED_BUILD)
#define DS_EMBEDDED_API __declspec(dllexport)
#elif defined(_WIN32) && !defined(DS_EMBEDDED_STATIC)
#define DS_EMBEDDED_API __declspec(dllimport)
#elif defined(_WIN32)
#define DS_EMBEDDED_API
#else
#define DS_EMBEDDED_API __attribute__((visibility("default")))
#endif

DS_EXTERN_C_BEGIN

/* The bytes of a .dsm file, page-aligned and never changed; *size (may be NULL) gets their number. They last as long as
 * this library is loaded; models opened from them must be gone before it is unloaded. Never fails.
 * [any-thread, callback-safe] */
DS_EMBEDDED_API const void *DS_CALL ds_embedded_model(uint64_t *size);

DS_EXTERN_C_END

#endif
