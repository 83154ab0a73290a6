// The hyper-parameters of one model of the family, checked: every value is possible, every combination consistent.
//
// Names are those of config.json. make_config() takes what a file says (format/hf_config.h) and either answers with a
// Config that the rest of the library may use without further care, or names the field, what it holds and what it may.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace deepseam {
struct HfConfig;
}

namespace deepseam::model {

enum class Family { kV2, kV3 };
enum class TopkMethod { kGreedy, kGroupLimitedGreedy, kNoauxTc };

struct Yarn {
  bool on = false;
  double factor = 1, original_max_position_embeddings = 0, beta_fast = 32, beta_slow = 1, mscale = 1,
         mscale_all_dim = 0;
};

struct Config {
  Family family = Family::kV2;
  int64_t vocab_size = 0, hidden_size = 0, num_hidden_layers = 0, num_attention_heads = 0;
  int64_t q_lora_rank = 0;  // 0: plain queries
  int64_t kv_lora_rank = 0, qk_nope_head_dim = 0, qk_rope_head_dim = 0, v_head_dim = 0;
  int64_t intermediate_size = 0, moe_intermediate_size = 0;
  int64_t n_routed_experts = 0, num_experts_per_tok = 0, n_shared_experts = 0;
  int64_t first_k_dense_replace = 0, moe_layer_freq = 1;
  int64_t n_group = 1, topk_group = 1;
  TopkMethod topk_method = TopkMethod::kGreedy;
  bool sigmoid_scores = false, norm_topk_prob = false, tie_word_embeddings = false, attention_bias = false;
  double routed_scaling_factor = 1, rms_norm_eps = 1e-6, rope_theta = 10000;
  Yarn yarn;
  int64_t max_position_embeddings = 0;
  int64_t num_nextn_predict_layers = 0;

  bool is_moe(int64_t layer) const {
    return n_routed_experts > 0 && layer >= first_k_dense_replace && layer % moe_layer_freq == 0;
  }
  int64_t n_moe_layers() const;
  int64_t qk_head_dim() const { return qk_nope_head_dim + qk_rope_head_dim; }
};

Result<Config> make_config(const HfConfig &given, const std::string &file);

// YaRN (rope.cpp; Peng et al. 2023, with DeepSeek's mscale rules).
struct RopeConstants {
  std::vector<double> inv_freq;  // [qk_rope_head_dim / 2]
  double rope_scale = 1;         // multiplier of cos and sin
  double softmax_scale = 1;
};
RopeConstants rope_constants(const Config &config);

}  // namespace deepseam::model
