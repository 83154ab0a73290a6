// Small configurations for tests, as a config.json would give them.
#pragma once

#include "format/hf_config.h"
#include "model/config.h"

namespace deepseam::model {

// V2-Lite in small: plain queries, one dense layer, a softmax gate without groups.
inline HfConfig tiny_v2() {
  HfConfig given;
  given.model_type = "deepseek_v2";
  given.vocab_size = 40;
  given.hidden_size = 16;
  given.num_hidden_layers = 2;
  given.num_attention_heads = 2;
  given.kv_lora_rank = 12;
  given.qk_nope_head_dim = 8;
  given.qk_rope_head_dim = 4;
  given.v_head_dim = 6;
  given.intermediate_size = 20;
  given.moe_intermediate_size = 10;
  given.n_routed_experts = 8;
  given.num_experts_per_tok = 2;
  given.n_shared_experts = 2;
  given.first_k_dense_replace = 1;
  given.max_position_embeddings = 640;
  apply_config_defaults(&given);
  return given;
}

// V3 in small: low-rank queries, a grouped sigmoid gate with bias, YaRN, one MTP module.
inline HfConfig tiny_v3() {
  HfConfig given = tiny_v2();
  given.model_type = "deepseek_v3";
  given.topk_method = "noaux_tc";
  given.scoring_func = "sigmoid";
  given.norm_topk_prob = true;
  given.routed_scaling_factor = 2.5;
  given.q_lora_rank = 14;
  given.n_group = 4;
  given.topk_group = 2;
  given.n_shared_experts = 1;
  given.num_nextn_predict_layers = 1;
  given.rope_type = "yarn";
  given.rope_factor = 40;
  given.rope_original_max_position_embeddings = 64;
  given.rope_mscale = 1.0;
  given.rope_mscale_all_dim = 1.0;
  return given;
}

}  // namespace deepseam::model
