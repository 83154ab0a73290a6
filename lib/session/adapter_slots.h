// Which adapter lies in which slot of a model's program.
//
// Slots are filled and emptied by any thread, while steps run: the backend keeps what a running step uses. The engine
// closes the slots before its device goes; from then on they answer DS_E_SHUT_DOWN, so an adapter's handle may outlive
// the device.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "base/status.h"
#include "model/adapter.h"
#include "runtime/program.h"

namespace deepseam::session {

inline constexpr uint32_t kMostAdapters = 256;  // loaded beside one model at a time

class AdapterSlots {
 public:
  // n: dsb_plan_options.max_adapters; 0 if the backend has none.
  AdapterSlots(std::shared_ptr<runtime::Program> program, uint32_t n);

  // The slot, 1 … n. DS_E_UNSUPPORTED: the backend computes no adapters; DS_E_MEMORY: all slots are taken.
  Result<uint32_t> load(const model::Adapter &adapter);
  void unload(uint32_t slot) noexcept;
  uint32_t n_loaded() const;
  void close() noexcept;  // waits for loads that are under way

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<runtime::Program> program_;  // nullptr: closed
  std::vector<bool> taken_;                    // by slot; 0 is never free
  uint32_t n_loading_ = 0;
};

}  // namespace deepseam::session
