// Slots of instances, devices and groups.
#include <algorithm>
#include <chrono>
#include <thread>

#include "sdk/memory.h"
#include "sdk/slots.h"

namespace deepseam::sdk {
namespace {

void DS_CALL instance_destroy(dsb_instance *instance) { delete reinterpret_cast<Instance *>(instance); }

ds_status DS_CALL quiesce(dsb_instance *handle, uint64_t timeout_ns, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "instance"));
    Instance &instance = self(handle);
    __atomic_store_n(&instance.stop, 1, __ATOMIC_RELEASE);
    const dsb_host &host = instance.host;
    const uint64_t begin = host.clock_ns(host.user);
    while (instance.running.load()) {
      if (host.clock_ns(host.user) - begin >= timeout_ns)
        return fail(DS_E_TIMEOUT, "backend", "%u calls were still computing when the time was over",
                    instance.running.load());
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    return {};
  });
}

ds_status DS_CALL device_count(dsb_instance *instance, uint32_t *count, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(instance, "instance"));
    DS_TRY(need(count, "count"));
    *count = 1;
    return {};
  });
}

ds_status DS_CALL device_info(dsb_instance *handle, uint32_t index, dsb_device_info *info, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "instance"));
    DS_TRY(check_device(index));
    const Instance &instance = self(handle);
    dsb_device_info filled{};
    filled.kind = DSB_DEVICE_CPU;
    filled.score = instance.backend.score;
    filled.memory_bytes = total_memory();
    std::string name = instance.backend.device_name;
    if (!instance.library.empty()) name += ", " + instance.library;
    set_text(filled.name, sizeof filled.name, name.c_str());
    set_text(filled.arch, sizeof filled.arch, instance.arch);
    return give_struct(info, "device_info", filled);
  });
}

Result<dsb_device_options> take_device_options(const dsb_device_options *options) {
  DS_TRY_VALUE(const dsb_device_options taken, take_struct(options, "device_options"));
  if (taken.host_context || taken.host_stream)
    return fail(DS_E_UNSUPPORTED, "backend", "a CPU device takes no host_context and no host_stream");
  if (taken.priority > 2)
    return fail(DS_E_ARGUMENT, "backend", "device_options.priority is %u, expected 0 to 2", taken.priority);
  return taken;
}

ds_status DS_CALL device_open(dsb_instance *handle, uint32_t index, const dsb_device_options *options,
                              dsb_device **device, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "instance"));
    DS_TRY(need(device, "device"));
    DS_TRY(check_device(index));
    DS_TRY_VALUE(const dsb_device_options taken, take_device_options(options));
    *device = reinterpret_cast<dsb_device *>(new Device(self(handle), taken));
    return {};
  });
}

void DS_CALL device_close(dsb_device *device) { delete reinterpret_cast<Device *>(device); }

ds_status DS_CALL device_set(dsb_device *handle, const dsb_device_options *options, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "device"));
    DS_TRY_VALUE(self(handle).options, take_device_options(options));
    return {};
  });
}

ds_status DS_CALL device_memory(dsb_device *handle, uint64_t *free_bytes, uint64_t *total_bytes, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "device"));
    const Device &device = self(handle);
    uint64_t free = free_memory(), total = total_memory();
    if (const uint64_t budget = device.options.budget_bytes; budget && budget < total) {
      const uint64_t used = device.used.load();
      free = std::min(free, budget > used ? budget - used : 0);
      total = budget;
    }
    if (free_bytes) *free_bytes = free;
    if (total_bytes) *total_bytes = total;
    return {};
  });
}

ds_status DS_CALL device_state(dsb_device *handle, uint32_t *state, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "device"));
    DS_TRY(need(state, "state"));
    *state = DSB_DEVICE_OK;
    return {};
  });
}

ds_status DS_CALL device_reopen(dsb_device *handle, ds_error *error) {
  return guard(error, [&] { return need(handle, "device"); });
}

ds_status DS_CALL host_buffer_create(dsb_device *handle, uint64_t size, void **memory, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "device"));
    DS_TRY(need(memory, "memory"));
    DS_TRY_VALUE(*memory, self(handle).allocate(size, 64, DSB_TAG_OTHER));
    return {};
  });
}

void DS_CALL host_buffer_destroy(dsb_device *handle, void *memory, uint64_t size) {
  if (handle) self(handle).release(memory, size, DSB_TAG_OTHER);
}

ds_status DS_CALL host_buffer_register(dsb_device *handle, void *memory, uint64_t, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "device"));
    return need(memory, "memory");
  });
}

ds_status DS_CALL host_buffer_unregister(dsb_device *handle, void *memory, ds_error *error) {
  return host_buffer_register(handle, memory, 0, error);
}

ds_status DS_CALL cancel_word_create(dsb_device *handle, uint32_t **word, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "device"));
    DS_TRY(need(word, "word"));
    DS_TRY_VALUE(void *memory, self(handle).allocate(sizeof(uint32_t), 64, DSB_TAG_OTHER));
    *word = new (memory) uint32_t{0};
    return {};
  });
}

void DS_CALL cancel_word_destroy(dsb_device *handle, uint32_t *word) {
  host_buffer_destroy(handle, word, sizeof(uint32_t));
}

ds_status DS_CALL group_open(const dsb_group_desc *desc, dsb_group **group, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(group, "group"));
    DS_TRY_VALUE(const dsb_group_desc taken, take_struct(desc, "group_desc"));
    if (taken.world < 1 || taken.world > 4096 || taken.rank >= taken.world)
      return fail(DS_E_ARGUMENT, "backend", "group: rank %u of world %u, expected rank below world, world 1 to 4096",
                  taken.rank, taken.world);
    if (taken.n_devices > 1)
      return fail(DS_E_UNSUPPORTED, "backend", "group: %u devices in one process, a CPU rank has 1", taken.n_devices);
    if (taken.world > 1 && !taken.exchange) return fail(DS_E_ARGUMENT, "backend", "group: exchange is NULL");
    *group = reinterpret_cast<dsb_group *>(new Group{taken});
    return {};
  });
}

void DS_CALL group_close(dsb_group *group) { delete reinterpret_cast<Group *>(group); }

}  // namespace

void fill_device_slots(dsb_api *api) {
  api->instance_destroy = instance_destroy;
  api->quiesce = quiesce;
  api->device_count = device_count;
  api->device_info = device_info;
  api->device_open = device_open;
  api->device_close = device_close;
  api->device_set = device_set;
  api->device_memory = device_memory;
  api->device_state = device_state;
  api->device_reopen = device_reopen;
  api->cancel_word_create = cancel_word_create;
  api->cancel_word_destroy = cancel_word_destroy;
  api->host_buffer_create = host_buffer_create;
  api->host_buffer_destroy = host_buffer_destroy;
  api->host_buffer_register = host_buffer_register;
  api->host_buffer_unregister = host_buffer_unregister;
  api->group_open = group_open;
  api->group_close = group_close;
}

}  // namespace deepseam::sdk
