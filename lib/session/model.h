// An opened model: facts that never change, weights and program on a device, the KV store, and the engine that runs
// its jobs.
//
// Opening follows the plan (plan.h) and streams weights with progress and cancel; on failure nothing stays behind.
// Destruction ends the engine thread, so a Model is always held by a pointer that hands it to the service thread.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"
#include "format/hf_config.h"
#include "kv/kv_store.h"
#include "model/config.h"
#include "session/facts.h"
#include "session/packed_weights.h"
#include "session/plan.h"
#include "session/runtime_state.h"
#include "text/tokenizer.h"

namespace deepseam::session {

class AdapterSlots;
class Engine;
struct DeviceModel;  // device_model.h: layout, weights, program, pool

class Model : public Retirable, public std::enable_shared_from_this<Model> {
 public:
  // Waits. DS_E_BUDGET or DS_E_MEMORY before loading if the plan does not fit; DS_E_CANCELLED, DS_E_STOPPED.
  // With no_weights the model has no store and no engine, and no session can be made of it.
  static Result<std::shared_ptr<Model>> open(const std::shared_ptr<RuntimeState> &runtime, const OpenOptions &options);
  // In the background, on a thread of its own; Job::take_model has the answer. `callbacks`: on_progress and wake.
  static Result<std::shared_ptr<Job>> open_start(const std::shared_ptr<RuntimeState> &runtime, OpenOptions options,
                                                 JobCallbacks callbacks, Delivery delivery);
  ~Model() override;

  const std::shared_ptr<RuntimeState> &runtime() const { return runtime_; }
  const model::Config &config() const { return config_; }
  const GenerationDefaults &defaults() const { return defaults_; }
  const text::Tokenizer *tokenizer() const { return tokenizer_.get(); }         // nullptr: the files have none
  Result<const text::Tokenizer *> need_tokenizer() const;                       // DS_E_UNSUPPORTED if there is none
  uint32_t vocab() const { return static_cast<uint32_t>(config_.vocab_size); }  // V: floats in a row of logits
  uint32_t n_vocab() const { return n_vocab_; }                                 // ids that can be generated are below
  uint32_t context_length() const { return plan_.context_length; }
  const ModelPlan &plan() const { return plan_; }
  const kv::Identity &identity() const { return identity_; }  // with an empty salt
  const std::shared_ptr<kv::KvStore> &store() const { return store_; }
  const std::shared_ptr<kv::Cache> &cache() const { return cache_; }
  const std::shared_ptr<Engine> &engine() const { return engine_; }
  const std::shared_ptr<AdapterSlots> &adapters() const { return adapters_; }  // nullptr with no_weights
  Facts facts() const;                                                         // keys of ds_model_info

  // Ends the engine and frees the device; afterwards the model answers DS_E_SHUT_DOWN. False if the engine did not end
  // before the deadline.
  bool close(uint64_t deadline_ns);

 private:
  explicit Model(std::shared_ptr<RuntimeState> runtime);
  void take_facts(const PlannedModel &planned);
  Status load(const OpenOptions &options);
  std::shared_ptr<RuntimeState> runtime_;
  model::Config config_;
  GenerationDefaults defaults_;
  text::Tokenizer::Pointer tokenizer_;
  uint32_t n_vocab_ = 0;
  ModelPlan plan_;
  kv::Identity identity_;
  std::string family_name_, weight_type_, card_, packed_for_, repacked_as_;
  bool has_fingerprint_ = true, profile_ = false;
  uint64_t n_parameters_ = 0;
  double load_ms_ = 0;
  PackedReport packed_;
  std::shared_ptr<kv::Cache> cache_;
  std::shared_ptr<kv::KvStore> store_;
  std::shared_ptr<AdapterSlots> adapters_;
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<void> source_alive_;
};

}  // namespace deepseam::session
