/* A backend that says one sentence and then refuses to work: with it the tests of bindings have a log message to read.
 * Registered by a host that loads it itself; it has no manifest. */
#include <deepseam/backend.h>
#include <string.h>

static ds_status DS_CALL speak(const dsb_host *host, dsb_instance **instance, ds_error *error) {
  (void)instance, (void)error;
  host->log(host->user, DSB_LOG_WARNING, "this backend only talks");
  return DS_E_UNSUPPORTED;
}

static void DS_CALL destroy(dsb_instance *instance) { (void)instance; }

static ds_status DS_CALL count(dsb_instance *instance, uint32_t *devices, ds_error *error) {
  (void)instance, (void)error;
  *devices = 0;
  return DS_OK;
}

static ds_status DS_CALL info(dsb_instance *instance, uint32_t index, dsb_device_info *device, ds_error *error) {
  (void)instance, (void)index, (void)device, (void)error;
  return DS_E_ARGUMENT;
}

static ds_status DS_CALL negotiate(uint32_t min_version, uint32_t max_version, uint32_t *chosen, ds_error *error) {
  (void)error;
  if (min_version > DSB_ABI_VERSION || max_version < DSB_ABI_VERSION) return DS_E_ABI;
  *chosen = DSB_ABI_VERSION;
  return DS_OK;
}

static ds_status DS_CALL get_api(uint32_t version, dsb_api *api, ds_error *error) {
  (void)version, (void)error;
  if (api->struct_size < sizeof *api) return DS_E_ABI;
  memset(api, 0, sizeof *api);
  api->struct_size = sizeof *api;
  api->abi_version = DSB_ABI_VERSION;
  api->name = "talking";
  api->version = "1.0";
  api->instance_create = speak;
  api->instance_destroy = destroy;
  api->device_count = count;
  api->device_info = info;
  return DS_OK;
}

const dsb_root *DS_CALL ds_backend_main(void) {
  static const dsb_root root = {sizeof root, 0, negotiate, get_api};
  return &root;
}
