/* Stand-ins for other versions of the library, for the loader's test. FAKE_OLD: a library whose table ends after
 * runtime_create. FAKE_OTHER_ABI: one that refuses every program. FAKE_EMPTY: a library that is something else. */
#include <stddef.h>
#include <string.h>

#include "deepseam/deepseam.h"

#if defined(FAKE_EMPTY)
DS_API int DS_CALL something_else(void);
int DS_CALL something_else(void) { return 1; }
#else

static uint32_t DS_CALL fake_abi_version(void) { return DS_ABI_VERSION; }

static ds_status DS_CALL fake_runtime_create(const ds_runtime_options *options, ds_runtime **runtime, ds_error *error) {
  (void)options, (void)runtime, (void)error;
  return DS_E_MEMORY;
}

ds_status DS_CALL ds_get_api(uint32_t min_abi, ds_api *api, ds_error *error) {
  const uint32_t known = offsetof(ds_api, runtime_shutdown);
  const uint32_t size = api->struct_size;
  (void)error;
#if defined(FAKE_OTHER_ABI)
  return DS_E_ABI;
#endif
  if (min_abi != DS_ABI_VERSION || size < known) return DS_E_ABI;
  memset((char *)api + sizeof size, 0, size - sizeof size);
  api->library_abi = DS_ABI_VERSION;
  api->abi_version = fake_abi_version;
  api->runtime_create = fake_runtime_create;
  return DS_OK;
}
#endif
