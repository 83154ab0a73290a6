/* A plugin as it was built against backend ABI 0.1: it sees only the headers in this folder. It answers every question
 * that a host asks before work begins, and allocates through the host; the test asks all of them. */
#include <stddef.h>
#include <string.h>

#include "deepseam/backend.h"

struct dsb_instance {
  const dsb_host *host;
};
struct dsb_device {
  dsb_instance *instance;
  uint32_t cancel_word;
};

static ds_status say(ds_error *error, ds_status code, const char *message) {
  if (error) {
    error->code = code;
    strncpy(error->message, message, sizeof error->message - 1);
  }
  return code;
}

static ds_status DS_CALL instance_create(const dsb_host *host, dsb_instance **instance, ds_error *error) {
  dsb_instance *made;
  if (host->struct_size < sizeof *host) return say(error, DS_E_STRUCT, "the host's table is shorter than version 0.1");
  made = host->allocate(host->user, sizeof *made, 16, DSB_TAG_OTHER);
  if (!made) return say(error, DS_E_MEMORY, "no memory for an instance");
  made->host = host;
  host->log(host->user, DSB_LOG_INFO, "frozen plugin is there");
  *instance = made;
  return DS_OK;
}

static void DS_CALL instance_destroy(dsb_instance *instance) {
  if (instance) instance->host->release(instance->host->user, instance, sizeof *instance, DSB_TAG_OTHER);
}

static ds_status DS_CALL quiesce(dsb_instance *instance, uint64_t timeout_ns, ds_error *error) {
  (void)instance;
  (void)timeout_ns;
  (void)error;
  return DS_OK;
}

static ds_status DS_CALL device_count(dsb_instance *instance, uint32_t *count, ds_error *error) {
  (void)instance;
  (void)error;
  *count = 2;
  return DS_OK;
}

static ds_status DS_CALL device_info(dsb_instance *instance, uint32_t index, dsb_device_info *info, ds_error *error) {
  (void)instance;
  if (index > 1) return say(error, DS_E_ARGUMENT, "there are two devices");
  info->struct_size = sizeof *info;
  info->kind = index ? DSB_DEVICE_GPU : DSB_DEVICE_CPU;
  info->score = 10 + index;
  info->memory_bytes = (uint64_t)(index + 1) << 30;
  strcpy(info->name, index ? "frozen gpu" : "frozen cpu");
  strcpy(info->uuid, "0000-1111");
  strcpy(info->pci, "0000:01:00.0");
  strcpy(info->arch, "v0");
  return DS_OK;
}

static ds_status DS_CALL device_open(dsb_instance *instance, uint32_t index, const dsb_device_options *options,
                                     dsb_device **device, ds_error *error) {
  const dsb_host *host = instance->host;
  dsb_device *made;
  if (index > 1 || options->struct_size < sizeof *options) return say(error, DS_E_ARGUMENT, "no such device");
  made = host->allocate(host->user, sizeof *made, 16, DSB_TAG_OTHER);
  if (!made) return say(error, DS_E_MEMORY, "no memory for a device");
  made->instance = instance;
  *device = made;
  return DS_OK;
}

static void DS_CALL device_close(dsb_device *device) {
  if (device) device->instance->host->release(device->instance->host->user, device, sizeof *device, DSB_TAG_OTHER);
}

static ds_status DS_CALL device_memory(dsb_device *device, uint64_t *free_bytes, uint64_t *total_bytes,
                                       ds_error *error) {
  (void)device;
  (void)error;
  *free_bytes = 1000;
  *total_bytes = 3000;
  return DS_OK;
}

static ds_status DS_CALL device_state(dsb_device *device, uint32_t *state, ds_error *error) {
  (void)device;
  (void)error;
  *state = DSB_DEVICE_LOST_SHARED;
  return DS_OK;
}

static ds_status DS_CALL cancel_word_create(dsb_device *device, uint32_t **word, ds_error *error) {
  (void)error;
  *word = &device->cancel_word;
  return DS_OK;
}

static void DS_CALL cancel_word_destroy(dsb_device *device, uint32_t *word) {
  (void)device;
  (void)word;
}

static ds_status DS_CALL plan_graph(dsb_instance *instance, uint32_t device_index, dsb_device *device, dsb_group *group,
                                    const void *graph, uint64_t graph_size, const dsb_plan_options *options,
                                    dsb_layout **layout, ds_error *error) {
  (void)instance;
  (void)device_index;
  (void)device;
  (void)group;
  (void)graph;
  (void)graph_size;
  (void)options;
  (void)layout;
  return say(error, DS_E_UNSUPPORTED, "this plugin has no kernels");
}

static ds_status DS_CALL negotiate(uint32_t least, uint32_t most, uint32_t *chosen, ds_error *error) {
  if (least > DSB_ABI_VERSION || most < DSB_ABI_VERSION) return say(error, DS_E_ABI, "only 0.1 is spoken here");
  *chosen = DSB_ABI_VERSION;
  return DS_OK;
}

static ds_status DS_CALL get_api(uint32_t version, dsb_api *api, ds_error *error) {
  dsb_api mine;
  uint32_t size = api->struct_size < sizeof mine ? api->struct_size : (uint32_t)sizeof mine;
  if (version != DSB_ABI_VERSION) return say(error, DS_E_ABI, "only 0.1 is spoken here");
  memset(&mine, 0, sizeof mine);
  mine.struct_size = size;
  mine.abi_version = version;
  mine.name = "frozen";
  mine.version = "0.1";
  mine.features = DSB_FEATURE_TREE;
  mine.instance_create = instance_create;
  mine.instance_destroy = instance_destroy;
  mine.quiesce = quiesce;
  mine.device_count = device_count;
  mine.device_info = device_info;
  mine.device_open = device_open;
  mine.device_close = device_close;
  mine.device_memory = device_memory;
  mine.device_state = device_state;
  mine.cancel_word_create = cancel_word_create;
  mine.cancel_word_destroy = cancel_word_destroy;
  mine.plan_graph = plan_graph;
  memcpy(api, &mine, size);
  return DS_OK;
}

static const dsb_root kRoot = {sizeof(dsb_root), 1, negotiate, get_api};

const dsb_root *DS_CALL ds_backend_main(void) { return &kRoot; }
