// The configuration a checkpoint states about itself: config.json and generation_config.json as plain values.
//
// Knows both spellings (rope_scaling / rope_parameters, type / rope_type, torch_dtype / dtype) and that null means
// absent. A value of the wrong JSON type is refused here; whether the values make a possible model is for
// model/config to say. The same structs come out of a .dsm file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace deepseam {

namespace config_kind {
using INT = int64_t;
using NUMBER = double;
using FLAG = bool;
using TEXT = std::string;
}  // namespace config_kind

// Every field says itself whether it was given. parse_hf_config fills the family's defaults in: q_lora_rank and what
// has no sensible default (sizes) stay absent, the rest has a value afterwards. See apply_config_defaults.
struct HfConfig {
#define DS_CONFIG_FIELD(kind, member, section, key) std::optional<config_kind::kind> member;
#include "format/config_fields.def"
#undef DS_CONFIG_FIELD
  std::vector<std::string> architectures;
  std::vector<int64_t> eos_token_ids;  // config.json has one number or a list
  uint32_t quant_block_rows = 128;     // weight_block_size
  uint32_t quant_block_cols = 128;

  bool operator==(const HfConfig &) const = default;
};

struct GenerationDefaults {
#define DS_GENERATION_FIELD(kind, member) std::optional<config_kind::kind> member;
#include "format/generation_fields.def"
#undef DS_GENERATION_FIELD
  std::vector<int64_t> eos_token_ids;
  std::vector<std::string> stop_strings;

  bool operator==(const GenerationDefaults &) const = default;
};

// `name` is the file, for messages. DS_E_FORMAT: not JSON, or a field of the wrong type (named, with what was found).
Result<HfConfig> parse_hf_config(const std::string &name, std::string_view text);
Result<GenerationDefaults> parse_generation_config(const std::string &name, std::string_view text);

// Fills absent fields: n_routed_experts, n_shared_experts, first_k_dense_replace, num_nextn_predict_layers 0;
// moe_layer_freq, n_group, topk_group 1; topk_method "greedy", scoring_func "softmax", norm_topk_prob false (V3:
// "noaux_tc", "sigmoid", true); routed_scaling_factor 1; rms_norm_eps 1e-6; rope_theta 10000; rope_type "default";
// hidden_act "silu"; tie_word_embeddings, attention_bias false; rope_interleave true.
void apply_config_defaults(HfConfig *config);

// config.json in the old spelling (rope_scaling, torch_dtype), which every reader knows. Absent fields are left out.
std::string write_hf_config(const HfConfig &config);
std::string write_generation_config(const GenerationDefaults &defaults);

}  // namespace deepseam
