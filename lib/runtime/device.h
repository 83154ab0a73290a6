// An open device, and the word that cancels steps on it.
//
// Objects of this folder are shared pointers that keep their parents alive, so that children always go back to the
// plugin first. Their methods are safe from any thread unless they say otherwise.
#pragma once

#include <atomic>
#include <memory>

#include "base/cancel.h"
#include "runtime/backend.h"

namespace deepseam::runtime {

struct DeviceOptions {
  uint32_t priority = 0;      // 0 balanced, 1 background, 2 interactive
  uint64_t budget_bytes = 0;  // 0: no limit
  void *host_context = nullptr;
  void *host_stream = nullptr;
};

struct DeviceMemory {
  uint64_t free_bytes = 0, total_bytes = 0;
};

class Device {
 public:
  static Result<std::shared_ptr<Device>> open(std::shared_ptr<Backend> backend, uint32_t index,
                                              const DeviceOptions &options);
  ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  const std::shared_ptr<Backend> &backend() const { return backend_; }
  const DeviceInfo &info() const { return info_; }
  dsb_device *raw() const { return device_; }

  Status set(const DeviceOptions &options);
  Result<DeviceMemory> memory() const;
  Status check() const;  // DS_E_DEVICE_LOST or DS_E_DEVICE_LOST_SHARED if the device says so
  Status reopen();

 private:
  Device() = default;
  std::shared_ptr<Backend> backend_;
  DeviceInfo info_;
  dsb_device *device_ = nullptr;
};

// The word that steps of one device read (dsb_step.cancel_word). In the device's own visible memory where the backend
// offers that, else in ours. set() may be called from any thread.
class StepCancel {
 public:
  static Result<std::unique_ptr<StepCancel>> create(std::shared_ptr<Device> device);
  ~StepCancel();
  StepCancel(const StepCancel &) = delete;
  StepCancel &operator=(const StepCancel &) = delete;

  void set() noexcept { store(1); }
  void clear() noexcept { store(0); }
  bool is_set() const noexcept { return __atomic_load_n(word_, __ATOMIC_ACQUIRE) != 0; }
  const uint32_t *address() const noexcept { return word_; }

 private:
  StepCancel() = default;
  void store(uint32_t value) noexcept { __atomic_store_n(word_, value, __ATOMIC_RELEASE); }
  std::shared_ptr<Device> device_;
  uint32_t own_ = 0;
  uint32_t *word_ = &own_;
};

}  // namespace deepseam::runtime
