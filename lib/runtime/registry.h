// The backends of one runtime: who is there, who was refused and why, and which device to use.
//
// All calls are safe from any thread, but not from the verify callback or the log sink. A backend stays until the
// registry and everything opened through the backend are gone; choices and devices handed out keep theirs alive.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/plugin_loader.h"

namespace deepseam::runtime {

// What speaks for or against one device in a choice.
struct Consideration {
  std::string backend, device;  // device empty: the backend as a whole
  uint32_t score = 0;
  bool chosen = false;
  std::string reason;
};

struct Choice {
  std::shared_ptr<Backend> backend;
  DeviceInfo device;
  std::vector<Consideration> considered;
};

class Registry {
 public:
  explicit Registry(HostOptions host);

  // Looks through folders that no earlier call has seen. Failures are in report().
  void search(const LoaderOptions &options);
  Status load(const std::string &path, const VerifyPlugin &verify);  // one plugin; its refusal is the status
  Status add_linked(const dsb_root *root);

  std::vector<std::shared_ptr<Backend>> backends() const;  // in order of loading
  std::vector<PluginReport> report() const;
  const HostOptions &host() const { return *host_; }

  // backend "" or "auto": the device with the best score of all; else the best of that backend. Of equal scores the
  // first one loaded. `device` picks by index of the backend's devices, or -1 for the best. DS_E_NO_DEVICE says why for
  // each candidate; DS_E_SHUT_DOWN after quiesce.
  Result<Choice> choose(const std::string &backend, int32_t device = -1) const;

  // Ends all work of all backends, last loaded first, within the time. Afterwards nothing is loaded or chosen any more.
  // The first failure is returned; the others are asked all the same. Those that failed are asked again by another
  // call.
  Status quiesce(uint64_t timeout_ns);

 private:
  Status take(LoadOutcome outcome);
  std::shared_ptr<const HostOptions> host_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<Backend>> backends_;
  std::vector<PluginReport> report_;
  std::vector<std::string> searched_;
  bool closed_ = false;
};

}  // namespace deepseam::runtime
