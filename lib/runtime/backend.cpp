#include "runtime/backend.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "runtime/slots.h"

namespace deepseam::runtime {
namespace {

template <size_t N>
std::string text_of(const char (&field)[N]) {
  return std::string(field, strnlen(field, N));
}

}  // namespace

ds_error fresh_error() noexcept {
  ds_error error;
  std::memset(&error, 0, sizeof error);
  error.struct_size = sizeof error;
  error.byte_offset = kNoOffset;
  return error;
}

Backend::~Backend() {
  if (instance_) api_.instance_destroy(instance_);
  if (!unloadable_) library_.leave_loaded();
}

bool Backend::has_slot(size_t offset) const { return (offered_ & slot_bit(offset)) != 0; }

Status Backend::failure(const char *slot, ds_status code, ds_error &error) const {
  const bool known = std::strcmp(status_name(code), "DS_E_?") != 0;
  Failure failure;
  failure.os_code = error.os_code;
  failure.byte_offset = error.byte_offset;
  failure.bytes_needed = error.bytes_needed;
  failure.bytes_available = error.bytes_available;
  std::snprintf(failure.domain, sizeof failure.domain, "%s", name_.c_str());
  failure.path = text_of(error.path);
  const std::string words = text_of(error.message);
  if (!words.empty()) {
    failure.message = "plugin " + name_ + ": " + words;
  } else {
    char number[16];
    std::snprintf(number, sizeof number, "%d", code);
    failure.message = "plugin " + name_ + ": " + slot + " failed with " + (known ? status_name(code) : number) +
                      " and gave no reason";
  }
  if (!known) failure.message += " (its status is none of status.h)";
  return Status(known ? code : DS_E_PLUGIN, std::move(failure));
}

Status Backend::broken(const char *slot, const char *format, ...) const {
  char text[400];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return fail(DS_E_PLUGIN, "plugin", "plugin %s broke the contract of %s: %s", name_.c_str(), slot, text);
}

Status Backend::find_devices() {
  uint32_t count = UINT32_MAX;
  DS_TRY(call("device_count", [&](ds_error *error) { return api_.device_count(instance_, &count, error); }));
  if (count > kMostDevices) return broken("device_count", "expected at most %u devices, found %u", kMostDevices, count);
  std::vector<DeviceInfo> devices;
  for (uint32_t index = 0; index < count; ++index) {
    DS_TRY_VALUE(DeviceInfo info, describe(index));
    devices.push_back(std::move(info));
  }
  devices_ = std::move(devices);
  return {};
}

Result<DeviceInfo> Backend::describe(uint32_t index) const {
  dsb_device_info raw;
  std::memset(&raw, 0, sizeof raw);
  raw.struct_size = sizeof raw;
  DS_TRY(call("device_info", [&](ds_error *error) { return api_.device_info(instance_, index, &raw, error); }));
  if (raw.struct_size > sizeof raw)
    return broken("device_info", "struct_size: expected at most %zu, found %u", sizeof raw, raw.struct_size);
  if (raw.kind != DSB_DEVICE_CPU && raw.kind != DSB_DEVICE_GPU)
    return broken("device_info", "kind of device %u: expected 1 or 2, found %u", index, raw.kind);
  DeviceInfo info;
  info.index = index;
  info.kind = raw.kind;
  info.score = raw.score;
  info.memory_bytes = raw.memory_bytes;
  info.name = text_of(raw.name);
  info.uuid = text_of(raw.uuid);
  info.pci = text_of(raw.pci);
  info.arch = text_of(raw.arch);
  if (info.name.empty()) return broken("device_info", "device %u has no name", index);
  return info;
}

}  // namespace deepseam::runtime
