/* Status codes and the error record: the one error path of the library, its plugins and their hosts.
 *
 * Numbers are stable and come in ranges, so that a caller can branch on the range of a code that it does not know.
 * A ds_error belongs to the caller, owns nothing, needs no allocation to be filled, and is untouched on success. */
#ifndef DEEPSEAM_STATUS_H
#define DEEPSEAM_STATUS_H

#include <stdint.h>

typedef int32_t ds_status;

#define DS_OK 0

/* 100 … 199: the call itself is wrong. Nothing happened. */
#define DS_E_ARGUMENT 100      /* a value out of range, NULL where a pointer is needed, NaN */
#define DS_E_HANDLE 101        /* a handle of another kind, or one already released */
#define DS_E_STRUCT 102        /* struct_size below the first version's size or above 64 KiB */
#define DS_E_UNKNOWN_FIELD 103 /* a nonzero field or an option key that this library does not know */
#define DS_E_UNSUPPORTED 104   /* understood, but not offered by this library, backend or model */
#define DS_E_ABI 105           /* abi_version differs from what this library offers */
#define DS_E_BUFFER 106        /* the caller's buffer is too small; the needed size was written */

/* 200 … 299: a file or another source of bytes. */
#define DS_E_NOT_FOUND 200
#define DS_E_IO 201     /* reading or writing failed; os_code has the reason */
#define DS_E_FORMAT 202 /* not a file of any known kind, or damaged */
#define DS_E_MODEL 203  /* a readable file whose model is not in the family, or not consistent */
#define DS_E_CHECKSUM 204
#define DS_E_PERMISSION 205

/* 300 … 399: memory. */
#define DS_E_MEMORY 300       /* an allocation failed */
#define DS_E_BUDGET 301       /* a budget given by the host does not hold what was asked */
#define DS_E_CONTEXT_FULL 302 /* the prompt does not fit into the context */
#define DS_E_CACHE_FULL 303   /* no block of the KV pool is free and none may be evicted */

/* 400 … 499: devices and plugins. */
#define DS_E_NO_DEVICE 400          /* no device fits the request; the plugin report says why for each */
#define DS_E_DEVICE 401             /* a device reported a failure */
#define DS_E_DEVICE_LOST 402        /* the device or its context is gone; reopen the model */
#define DS_E_DEVICE_LOST_SHARED 403 /* as above, on a context that the host shares */
#define DS_E_PLUGIN 404             /* a plugin broke its contract or was refused */

/* 500 … 599: state. */
#define DS_E_BUSY 500      /* another thread uses this [session-serial] object */
#define DS_E_REENTRANT 501 /* a blocking call inside a callback of the library */
#define DS_E_CANCELLED 502 /* cancelled before there was a result */
#define DS_E_TIMEOUT 503
#define DS_E_SHUT_DOWN 504 /* the runtime was shut down */
#define DS_E_FORKED 505    /* called in a forked child */
#define DS_E_PENDING 506   /* not finished yet */
#define DS_E_STOPPED 507   /* a callback asked to stop before there was a result */

/* 600 … 699: our fault. */
#define DS_E_INTERNAL 600

/* What went wrong, in fixed fields and one sentence. Set struct_size to sizeof(ds_error) before the call.
 * domain: the part of the library that noticed ("safetensors", "capi", …). path: file or object concerned, may be
 * empty, cut at its front if long. message: one English sentence, UTF-8, always terminated. os_code: errno or
 * GetLastError, 0 if none. byte_offset: where in the file, UINT64_MAX if it does not apply. */
#pragma pack(push, 8)
typedef struct ds_error {
  uint32_t struct_size;
  int32_t code;
  int32_t os_code;
  uint32_t flags;
  uint64_t byte_offset;
  uint64_t bytes_needed;
  uint64_t bytes_available;
  char domain[16];
  char path[256];
  char message[512];
} ds_error;
#pragma pack(pop)

#endif
