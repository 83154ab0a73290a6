// Work on model files that opens no model: packing, synthesising, verifying; and small text work for callers above.
//
// Everything runs on the caller's thread and the runtime's task runner, with progress and cancel.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "session/facts.h"
#include "session/job.h"
#include "session/plan.h"

namespace deepseam::session {

struct ToolOptions {
  std::string weight_type;        // of model/recipe.h; empty: as the source has it, bf16 for synth
  std::vector<std::string> keep;  // pack: weights of other types, "q8=embed,kv_a" (model/recipe.h)
  std::string adapter;            // pack, export: a PEFT folder, added to the weights
  std::string card;               // pack: text about the model; empty: the source's, if it has one
  std::string calibrate;          // pack: a text that quantisation is to do well on (model/calibrate.h); empty: none
  std::string backend;            // pack: also store weights in this backend's own layout; empty: none
  std::string report;             // pack: a file to write, JSON of model/pack_report.h; empty: none
  std::shared_ptr<const CancelWord> cancel;
  ProgressFunction progress;  // false: DS_E_STOPPED
};

// Writes `path`, whole or not at all. The tokenizer of the source goes with it. DS_E_ARGUMENT: the card is no UTF-8.
// With `backend` also what that backend repacks, for this machine's instruction set: the memory of its largest packed
// weight twice over, and for what it repacks the file's size again.
Status pack(RuntimeState &runtime, const ModelSource &source, const std::string &path, const ToolOptions &options);

// Writes config.json and model.safetensors with the weights as f32 into `folder`, which exists. Takes no type, no card.
Status export_hf(RuntimeState &runtime, const ModelSource &source, const std::string &folder,
                 const ToolOptions &options);

// A model of a known shape with random weights and a byte tokenizer.
Status synth(RuntimeState &runtime, const std::string &shape, uint64_t seed, const std::string &path,
             const ToolOptions &options);

// Keys of ds_model_verify. Damage is a finding, not a failed status.
Result<Facts> verify(RuntimeState &runtime, const ModelSource &source, const ToolOptions &options);

// The text of ids as valid UTF-8. DS_E_ARGUMENT: an id beyond the vocabulary; DS_E_UNSUPPORTED: no tokenizer.
Result<std::string> detokenize(const Model &model, std::span<const uint32_t> ids, bool keep_special);

}  // namespace deepseam::session
