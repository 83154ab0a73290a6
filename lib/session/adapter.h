// A low-rank adapter beside a model: read and checked, its values on the device as long as anything uses it.
//
// Requests hold a share of the adapters they run with, so a handle may be released while they run. An adapter holds a
// share of its model. Its identity is part of what a cached prefix is found by.
#pragma once

#include <cstdint>
#include <memory>

#include "base/hash.h"
#include "base/status.h"
#include "format/lora.h"
#include "session/plan.h"

namespace deepseam::session {

class Model;

class Adapter {
 public:
  // Waits. DS_E_UNSUPPORTED also for a model without weights and a source that is no folder.
  static Result<std::shared_ptr<Adapter>> load(const std::shared_ptr<Model> &model, const ModelSource &source);
  ~Adapter();
  Adapter(const Adapter &) = delete;
  Adapter &operator=(const Adapter &) = delete;

  const std::shared_ptr<Model> &model() const { return model_; }
  const Hash128 &identity() const { return identity_; }  // of the deltas' values
  uint32_t slot() const { return slot_; }                // of the model's program

 private:
  Adapter(std::shared_ptr<Model> model, Hash128 identity) : model_(std::move(model)), identity_(identity) {}
  const std::shared_ptr<Model> model_;
  const Hash128 identity_;
  uint32_t slot_ = 0;
};

// A PEFT folder: of this system or the host's own. DS_E_UNSUPPORTED: a single file.
Result<LoraFiles> open_adapter_source(const ModelSource &source);

}  // namespace deepseam::session
