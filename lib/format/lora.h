// A PEFT folder: what adapter_config.json says of a low-rank adapter, and the tensors of adapter_model.safetensors.
//
// Fields that change results and are not computed (DoRA, biases, whole modules saved, …) are refused by name; what only
// training needs is not looked at. Which modules are changed is what the tensors say, not target_modules. Which model
// they belong to is not known here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "format/tensors.h"

namespace deepseam {

inline constexpr uint32_t kMostLoraRank = 512;

// An entry of rank_pattern or alpha_pattern: for modules of this name, or whose name ends with it behind a dot.
struct LoraPattern {
  std::string module;
  bool exact = false;  // "^NAME": this very module
  double value = 0;
};

struct LoraConfig {
  uint32_t rank = 0;  // 1 … kMostLoraRank
  double alpha = 0;   // above 0
  bool rslora = false;
  std::vector<LoraPattern> rank_pattern, alpha_pattern;  // in the file's order: the first that fits counts

  uint32_t rank_of(std::string_view module) const;  // module: "model.layers.0.self_attn.q_proj"
  double scale_of(std::string_view module) const;   // alpha / rank, with rslora alpha / sqrt(rank)
};

// `name`: the file, for messages. DS_E_FORMAT: no JSON, a field missing, of another type or out of range;
// DS_E_UNSUPPORTED: a field with a value that is not computed.
Result<LoraConfig> parse_lora_config(const std::string &name, std::string_view text);

struct LoraFiles {
  LoraConfig config;
  TensorDirectory tensors;
  std::string path;  // of the folder, for messages
};

// Headers only. DS_E_NOT_FOUND names the file that is missing; DS_E_UNSUPPORTED: weights as a pickle alone.
Result<LoraFiles> open_lora(const Folder &folder);

}  // namespace deepseam
