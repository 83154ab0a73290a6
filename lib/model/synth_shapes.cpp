// The configurations of synthetic models. The full-size ones are those of the published checkpoints; the tiny ones are
// the oracle's variants `lite` and `v3`, the latter with a vocabulary that a byte tokenizer fits into.
#include "model/synth.h"

namespace deepseam::model {
namespace {

HfConfig common(const char *architecture, const char *model_type) {
  HfConfig c;
  c.architectures = {architecture};
  c.model_type = model_type;
  c.hidden_act = "silu";
  c.rms_norm_eps = 1e-6;
  c.rope_theta = 10000;
  c.attention_bias = false;
  c.tie_word_embeddings = false;
  c.bos_token_id = 0;
  c.eos_token_ids = {1};
  c.first_k_dense_replace = 1;
  c.moe_layer_freq = 1;
  c.torch_dtype = "bfloat16";
  return c;
}

void set_yarn(HfConfig *c, int64_t original, double mscale) {
  c->rope_type = "yarn";
  c->rope_factor = 40;
  c->rope_original_max_position_embeddings = original;
  c->rope_beta_fast = 32;
  c->rope_beta_slow = 1;
  c->rope_mscale = c->rope_mscale_all_dim = mscale;
}

void set_heads(HfConfig *c, int64_t heads, int64_t latent, int64_t nope, int64_t rope, int64_t value) {
  c->num_attention_heads = c->num_key_value_heads = heads;
  c->kv_lora_rank = latent;
  c->qk_nope_head_dim = nope;
  c->qk_rope_head_dim = rope;
  c->v_head_dim = value;
}

void set_experts(HfConfig *c, int64_t routed, int64_t per_token, int64_t shared, int64_t width) {
  c->n_routed_experts = routed;
  c->num_experts_per_tok = per_token;
  c->n_shared_experts = shared;
  c->moe_intermediate_size = width;
}

void set_gate(HfConfig *c, const char *method, int64_t groups, int64_t top_groups, double scale) {
  c->topk_method = method;
  c->n_group = groups;
  c->topk_group = top_groups;
  c->routed_scaling_factor = scale;
  const bool v3 = std::string_view(method) == "noaux_tc";
  c->scoring_func = v3 ? "sigmoid" : "softmax";
  c->norm_topk_prob = v3;
}

void set_size(HfConfig *c, int64_t vocab, int64_t hidden, int64_t layers, int64_t dense, int64_t context) {
  c->vocab_size = vocab;
  c->hidden_size = hidden;
  c->num_hidden_layers = layers;
  c->intermediate_size = dense;
  c->max_position_embeddings = context;
}

HfConfig tiny() {
  HfConfig c = common("DeepseekV2ForCausalLM", "deepseek_v2");
  set_size(&c, 512, 64, 3, 160, 2560);
  set_heads(&c, 4, 64, 32, 16, 32);
  set_experts(&c, 16, 4, 2, 32);
  set_gate(&c, "greedy", 1, 1, 1.0);
  set_yarn(&c, 64, 0.707);
  return c;
}

HfConfig tiny_v3() {
  HfConfig c = common("DeepseekV3ForCausalLM", "deepseek_v3");
  set_size(&c, 512, 136, 2, 192, 2560);
  set_heads(&c, 4, 136, 32, 16, 32);
  c.q_lora_rank = 96;
  set_experts(&c, 12, 3, 1, 24);
  set_gate(&c, "noaux_tc", 4, 2, 2.5);
  c.num_nextn_predict_layers = 1;
  set_yarn(&c, 64, 1.0);
  return c;
}

HfConfig lite() {
  HfConfig c = common("DeepseekV2ForCausalLM", "deepseek_v2");
  set_size(&c, 102400, 2048, 27, 10944, 163840);
  set_heads(&c, 16, 512, 128, 64, 128);
  set_experts(&c, 64, 6, 2, 1408);
  set_gate(&c, "greedy", 1, 1, 1.0);
  set_yarn(&c, 4096, 0.707);
  return c;
}

HfConfig v2() {
  HfConfig c = common("DeepseekV2ForCausalLM", "deepseek_v2");
  set_size(&c, 102400, 5120, 60, 12288, 163840);
  set_heads(&c, 128, 512, 128, 64, 128);
  c.q_lora_rank = 1536;
  set_experts(&c, 160, 6, 2, 1536);
  set_gate(&c, "group_limited_greedy", 8, 3, 16.0);
  set_yarn(&c, 4096, 0.707);
  return c;
}

HfConfig r1() {
  HfConfig c = common("DeepseekV3ForCausalLM", "deepseek_v3");
  set_size(&c, 129280, 7168, 61, 18432, 163840);
  set_heads(&c, 128, 512, 128, 64, 128);
  c.q_lora_rank = 1536;
  set_experts(&c, 256, 8, 1, 2048);
  set_gate(&c, "noaux_tc", 8, 4, 2.5);
  c.first_k_dense_replace = 3;
  c.num_nextn_predict_layers = 1;
  set_yarn(&c, 4096, 1.0);
  return c;
}

struct Shape {
  const char *name;
  HfConfig (*make)();
};
constexpr Shape kShapes[] = {{"tiny", tiny}, {"tiny-v3", tiny_v3}, {"lite", lite}, {"v2", v2}, {"r1", r1}};

}  // namespace

std::vector<std::string> synth_shapes() {
  std::vector<std::string> names;
  for (const Shape &shape : kShapes) names.emplace_back(shape.name);
  return names;
}

Result<HfConfig> synth_config(std::string_view shape) {
  std::string names;
  for (const Shape &each : kShapes) {
    if (each.name == shape) {
      HfConfig config = each.make();
      apply_config_defaults(&config);
      return config;
    }
    names += names.empty() ? "" : ", ";
    names += each.name;
  }
  return fail(DS_E_ARGUMENT, "synth", "the shape is one of %s, found '%s'", names.c_str(),
              std::string(shape.substr(0, 32)).c_str());
}

}  // namespace deepseam::model
