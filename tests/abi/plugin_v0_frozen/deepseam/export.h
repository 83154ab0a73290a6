/* Symbol visibility and calling convention. Owns nothing else.
 *
 * A program that links the library needs no macro. DS_STATIC marks the static library; DS_BUILD is set while the
 * library itself is compiled. Callbacks given to the library use DS_CALL as well. */
#ifndef DEEPSEAM_EXPORT_H
#define DEEPSEAM_EXPORT_H

#if defined(_WIN32)
#define DS_CALL __cdecl
#if defined(DS_STATIC)
#define DS_API
#elif defined(DS_BUILD)
#define DS_API __declspec(dllexport)
#else
#define DS_API __declspec(dllimport)
#endif
#define DS_BACKEND_EXPORT __declspec(dllexport)
#else
#define DS_CALL
#define DS_API __attribute__((visibility("default")))
#define DS_BACKEND_EXPORT __attribute__((visibility("default")))
#endif

#if defined(__cplusplus)
#define DS_EXTERN_C_BEGIN extern "C" {
#define DS_EXTERN_C_END }
#else
#define DS_EXTERN_C_BEGIN
#define DS_EXTERN_C_END
#endif

#endif
