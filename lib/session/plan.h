// What opening a model would take, from headers alone, and the decisions an open then follows: backend, device, rows
// and sequences of a step, length of the context, blocks of the KV pool.
//
// The same function serves ds_model_plan and open, so what is promised is what is done. It opens no device and reads no
// weights. A plan that does not fit says so with a sentence; open refuses it before loading anything.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "deepseam/backend.h"
#include "format/open_model.h"
#include "graph/graph.h"
#include "kv/kv_store.h"
#include "model/config.h"
#include "model/weights.h"
#include "session/facts.h"
#include "session/job.h"
#include "text/tokenizer.h"

namespace deepseam::session {

class RuntimeState;

// Where a model comes from: exactly one is given.
struct ModelSource {
  std::string path;                      // folder or file; "embedded": the model file beside the library
  std::shared_ptr<const Folder> folder;  // the host's own files; beside `file`: where its other parts are
  std::shared_ptr<Source> file;          // one file: memory, or a host's read-at
};

// DS_E_NOT_FOUND: nothing there; of "embedded" it says how to get it.
Result<ModelFiles> open_source(const ModelSource &source, MapMode map);

struct OpenOptions {
  ModelSource source;
  std::string backend;            // empty: the best that fits
  std::vector<uint32_t> devices;  // empty: any; today at most one
  MapMode map = MapMode::kAuto;
  uint32_t kv_format = 0;       // DSB_KV_*; 0: F32 for a reference device, else BF16
  uint32_t context_length = 0;  // 0: the model's, as far as the budgets hold it
  uint32_t max_rows = 0;        // 0: 512, up to 2048 for models below hidden size 2048
  uint32_t max_sequences = 0;   // 0: 8
  uint64_t ram_budget = 0;      // 0: what the machine has
  uint64_t vram_budget = 0;     // 0: what the device has
  bool deterministic = false;
  bool no_cache = false;
  bool no_weights = false;  // open: facts and text only; a plan that does not fit, or no backend for it, is no failure
  bool profile = false;     // count the time that steps spend in each op; Model::facts tells
  std::string weight_type, compute_type;  // empty: native; anything else is DS_E_UNSUPPORTED where it would change bits
  std::string pack_folder;  // holds, and receives, weights in the backend's own layout (packed_weights.h); empty: none
  uint32_t block_tokens = 64;
  std::shared_ptr<kv::Cache> cache;  // nullptr: an own one
  std::shared_ptr<const CancelWord> cancel;
  ProgressFunction progress;           // false: DS_E_STOPPED
  std::shared_ptr<void> keep_alive;    // released when progress is called no more
  std::shared_ptr<void> source_alive;  // released when the source is read no more
};

struct ModelPlan {
  bool fits = false;
  std::string reason;  // why it does not fit, or how the context was chosen
  std::string backend, device_name;
  uint32_t device = 0;  // index of RuntimeState::device_count's list
  bool device_is_cpu = false;
  uint32_t context_length = 0, n_blocks = 0;
  uint64_t weight_bytes = 0;  // memory for weights on the device, beyond mapped files
  uint64_t mapped_bytes = 0;  // weights used where the file is mapped; page cache, but in the process's RSS
  uint64_t packed_bytes = 0;  // of both: weights that lie ready in the backend's own layout, and are not repacked
  uint64_t stored_bytes = 0;  // of all weights, in the files
  uint64_t remade_bytes = 0;  // of those that are turned into another format while loading, in that format
  uint64_t kv_bytes = 0;      // blocks for one whole context and for forks
  uint64_t cache_bytes = 0;   // the pool's other blocks, used as prefixes are kept; within the budget, not in the total
  uint64_t scratch_bytes = 0;  // execs, outputs, program
  uint64_t total_bytes = 0;
  uint64_t kv_bytes_per_token = 0;
  uint64_t bytes_per_token = 0;  // weights read to decode one token
  double tokens_per_second = 0;  // by the memory bandwidth measured on this machine; 0: not known
  uint64_t numerics_id = 0;
  dsb_plan_options options{};
  std::vector<std::string> verdicts;  // per node: which implementation runs, or why none can
  Facts facts() const;                // keys of ds_model_plan
};

// Everything read on the way, so that open does not read it again.
struct PlannedModel {
  ModelFiles files;
  model::Config config;
  model::WeightMap weights;
  graph::Graph graph;
  uint32_t n_vocab = 0;                    // ids from here on have no token
  text::Tokenizer::Pointer tokenizer;      // nullptr: the files have none
  std::optional<Fingerprint> fingerprint;  // where planning needed it: of a .dsm, or with a folder for packed weights
  ModelPlan plan;
};

// for_open: also reads the tokenizer; without it the bandwidth is measured instead.
Result<PlannedModel> plan_model(RuntimeState &runtime, const OpenOptions &options, bool for_open = false);

}  // namespace deepseam::session
