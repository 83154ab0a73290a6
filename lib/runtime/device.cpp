#include "runtime/device.h"

namespace deepseam::runtime {
namespace {

dsb_device_options raw_options(const DeviceOptions &options) {
  dsb_device_options raw{};
  raw.struct_size = sizeof raw;
  raw.priority = options.priority;
  raw.budget_bytes = options.budget_bytes;
  raw.host_context = options.host_context;
  raw.host_stream = options.host_stream;
  return raw;
}

}  // namespace

Result<std::shared_ptr<Device>> Device::open(std::shared_ptr<Backend> backend, uint32_t index,
                                             const DeviceOptions &options) {
  if (index >= backend->devices().size())
    return fail(DS_E_ARGUMENT, "runtime", "device number of backend %s: expected less than %zu, found %u",
                backend->name().c_str(), backend->devices().size(), index);
  std::shared_ptr<Device> device(new Device);
  device->info_ = backend->devices()[index];
  const dsb_device_options raw = raw_options(options);
  dsb_device *opened = nullptr;
  DS_TRY(backend->call("device_open", [&](ds_error *error) {
    return backend->api().device_open(backend->instance(), index, &raw, &opened, error);
  }));
  if (!opened) return backend->broken("device_open", "success without a device");
  device->device_ = opened;
  device->backend_ = std::move(backend);
  return device;
}

Device::~Device() {
  if (device_) backend_->api().device_close(device_);
}

Status Device::set(const DeviceOptions &options) {
  const dsb_device_options raw = raw_options(options);
  return backend_->call("device_set",
                        [&](ds_error *error) { return backend_->api().device_set(device_, &raw, error); });
}

Result<DeviceMemory> Device::memory() const {
  DeviceMemory memory;
  DS_TRY(backend_->call("device_memory", [&](ds_error *error) {
    return backend_->api().device_memory(device_, &memory.free_bytes, &memory.total_bytes, error);
  }));
  if (memory.free_bytes > memory.total_bytes)
    return backend_->broken("device_memory", "%llu bytes are free of %llu",
                            static_cast<unsigned long long>(memory.free_bytes),
                            static_cast<unsigned long long>(memory.total_bytes));
  return memory;
}

Status Device::check() const {
  uint32_t state = UINT32_MAX;
  DS_TRY(backend_->call("device_state",
                        [&](ds_error *error) { return backend_->api().device_state(device_, &state, error); }));
  const char *name = info_.name.c_str();
  switch (state) {
    case DSB_DEVICE_OK:
      return {};
    case DSB_DEVICE_LOST:
      return fail(DS_E_DEVICE_LOST, "runtime", "device %s is lost", name);
    case DSB_DEVICE_LOST_SHARED:
      return fail(DS_E_DEVICE_LOST_SHARED, "runtime", "device %s is lost, on a context that the host shares", name);
    default:
      return backend_->broken("device_state", "expected 0 to 2, found %u", state);
  }
}

Status Device::reopen() {
  return backend_->call("device_reopen",
                        [&](ds_error *error) { return backend_->api().device_reopen(device_, error); });
}

Result<std::unique_ptr<StepCancel>> StepCancel::create(std::shared_ptr<Device> device) {
  std::unique_ptr<StepCancel> cancel(new StepCancel);
  const Backend &backend = *device->backend();
  cancel->device_ = std::move(device);
  if (!backend.has_slot(offsetof(dsb_api, cancel_word_create))) return cancel;
  uint32_t *word = nullptr;
  DS_TRY(backend.call("cancel_word_create", [&](ds_error *error) {
    return backend.api().cancel_word_create(cancel->device_->raw(), &word, error);
  }));
  if (!word || reinterpret_cast<uintptr_t>(word) % alignof(uint32_t) != 0)
    return backend.broken("cancel_word_create", "success without an aligned word");
  cancel->word_ = word;
  cancel->clear();
  return cancel;
}

StepCancel::~StepCancel() {
  if (word_ != &own_) device_->backend()->api().cancel_word_destroy(device_->raw(), word_);
}

}  // namespace deepseam::runtime
