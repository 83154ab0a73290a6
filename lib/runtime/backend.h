// One loaded backend: its completed table, its instance, and the devices it found.
//
// Made by the loader or from a linked-in dsb_root; kept alive by everything that was opened through it, so that the
// instance is destroyed, and an unloadable library unloaded, after the last of them. Every slot of api() can be called:
// what the plugin left out answers DS_E_UNSUPPORTED. Calls go through call(), which turns a ds_error into a Status that
// says which plugin spoke.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/shared_library.h"
#include "base/status.h"
#include "deepseam/backend.h"
#include "runtime/host_services.h"

namespace deepseam::runtime {

inline constexpr uint32_t kMostDevices = 256;

// dsb_device_info with its texts checked. `index` is the one that device_open takes.
struct DeviceInfo {
  uint32_t index = 0;
  uint32_t kind = 0;  // DSB_DEVICE_*
  uint32_t score = 0;
  uint64_t memory_bytes = 0;
  std::string name, uuid, pci, arch;
};

// A ds_error to hand to a slot.
ds_error fresh_error() noexcept;

class Backend {
 public:
  ~Backend();
  Backend(const Backend &) = delete;
  Backend &operator=(const Backend &) = delete;

  const std::string &name() const { return name_; }
  const std::string &version() const { return version_; }
  uint64_t features() const { return api_.features; }  // DSB_FEATURE_*
  bool unloadable() const { return unloadable_; }
  const std::vector<DeviceInfo> &devices() const { return devices_; }
  const dsb_api &api() const { return api_; }
  dsb_instance *instance() const { return instance_; }
  bool has_slot(size_t offset) const;  // offsetof(dsb_api, slot): whether the plugin itself offers it

  // Runs f(ds_error *) → ds_status. `slot` is for messages.
  template <typename Call>
  Status call(const char *slot, Call &&f) const {
    ds_error error = fresh_error();
    const ds_status code = f(&error);
    return code == DS_OK ? Status() : failure(slot, code, error);
  }
  // A slot broke its contract: DS_E_PLUGIN with the plugin's name before the sentence.
  [[gnu::format(printf, 3, 4)]] Status broken(const char *slot, const char *format, ...) const;

  // Asks the devices anew; devices() is replaced on success. Not while another thread reads devices().
  Status find_devices();

 private:
  friend class BackendMaker;
  Backend() = default;
  Status failure(const char *slot, ds_status code, ds_error &error) const;
  Result<DeviceInfo> describe(uint32_t index) const;

  std::string name_, version_;
  dsb_api api_{};
  uint64_t offered_ = 0;  // a bit per slot of slots.def
  dsb_instance *instance_ = nullptr;
  std::unique_ptr<HostServices> host_;
  std::vector<DeviceInfo> devices_;
  bool unloadable_ = false;
  SharedLibrary library_;  // not open for a linked-in backend
};

}  // namespace deepseam::runtime
