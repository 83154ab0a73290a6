// make_config(): takes a checkpoint's hyper-parameters over one by one; each has a range, and each refusal names file,
// field, found and expected. Types and defaults are format/hf_config's.
#include "model/config.h"

#include <charconv>
#include <cmath>

#include "format/hf_config.h"

namespace deepseam::model {
namespace {

// Largest values taken from a file. Generous for the family, and small enough that no product of two or three of them
// overflows, and that graphs stay within the graph library's limits.
constexpr int64_t kMaxLayers = 512, kMaxModules = 8, kMaxHeads = 4096, kMaxHeadDim = 4096, kMaxRank = 1 << 16,
                  kMaxHidden = 1 << 17, kMaxWidth = 1 << 20, kMaxExpertWidth = 1 << 18, kMaxVocab = 1 << 24,
                  kMaxExperts = 4096, kMaxChosen = 256, kMaxShared = 64, kMaxPosition = 1 << 30;

std::string number_text(double value) {
  char text[64];
  return std::string(text, std::to_chars(text, text + sizeof text, value).ptr);
}

// Takes values out of what a file says, and knows how to say what is wrong with them.
class Fields {
 public:
  explicit Fields(const std::string &file) : file_(file) {}

  Status take(const char *name, const std::optional<int64_t> &given, int64_t least, int64_t most, int64_t *into) const {
    const std::string range = std::to_string(least) + " to " + std::to_string(most);
    if (!given) return wrong(name, "missing", range);
    if (*given < least || *given > most) return wrong(name, std::to_string(*given), range);
    *into = *given;
    return {};
  }
  Status take(const char *name, const std::optional<double> &given, double least, double most, double *into) const {
    const std::string range = number_text(least) + " to " + number_text(most);
    if (!given) return wrong(name, "missing", range);
    if (!(*given >= least && *given <= most)) return wrong(name, number_text(*given), range);
    *into = *given;
    return {};
  }
  // A text that must be one of two or three words.
  Status take(const char *name, const std::optional<std::string> &given, std::initializer_list<const char *> words,
              size_t *into) const {
    std::string expected;
    size_t i = 0;
    for (const char *word : words) {
      if (given == word) return *into = i, Status();
      expected += (i++ ? " or " : "") + std::string(word);
    }
    return wrong(name, given ? printable(*given) : "missing", expected);
  }
  Status wrong(const char *name, const std::string &found, const std::string &expected) const {
    return fail(DS_E_MODEL, "config", "%s: %s is %s, expected %s", file_.c_str(), name, found.c_str(), expected.c_str())
        .at(file_);
  }

 private:
  // What a hostile file calls its activation goes into a message shortened and without control characters.
  static std::string printable(const std::string &text) {
    std::string shown = "'";
    for (char c : text.substr(0, 60)) shown += c >= 0x20 && c < 0x7f ? c : '?';
    return shown + "'";
  }
  const std::string &file_;
};

Status take_family(const Fields &fields, const HfConfig &given, Config *config) {
  size_t family = 0, unused = 0;
  DS_TRY(fields.take("model_type", given.model_type, {"deepseek_v2", "deepseek_v3"}, &family));
  config->family = family == 0 ? Family::kV2 : Family::kV3;
  DS_TRY(fields.take("hidden_act", given.hidden_act, {"silu"}, &unused));
  if (given.quant_method)  // format/quant_config.h has read what belongs to it
    DS_TRY(fields.take("quant_method", given.quant_method, {"fp8", "compressed-tensors", "awq", "gptq"}, &unused));
  config->tie_word_embeddings = given.tie_word_embeddings.value_or(false);
  config->attention_bias = given.attention_bias.value_or(false);
  return {};
}

Status take_sizes(const Fields &fields, const HfConfig &given, Config *config) {
  DS_TRY(fields.take("vocab_size", given.vocab_size, 2, kMaxVocab, &config->vocab_size));
  DS_TRY(fields.take("hidden_size", given.hidden_size, 1, kMaxHidden, &config->hidden_size));
  DS_TRY(fields.take("num_hidden_layers", given.num_hidden_layers, 1, kMaxLayers, &config->num_hidden_layers));
  DS_TRY(fields.take("num_nextn_predict_layers", given.num_nextn_predict_layers, 0, kMaxModules,
                     &config->num_nextn_predict_layers));
  DS_TRY(fields.take("max_position_embeddings", given.max_position_embeddings, 1, kMaxPosition,
                     &config->max_position_embeddings));
  return fields.take("rms_norm_eps", given.rms_norm_eps, 1e-30, 0.1, &config->rms_norm_eps);
}

Status take_attention(const Fields &fields, const HfConfig &given, Config *config) {
  DS_TRY(fields.take("num_attention_heads", given.num_attention_heads, 1, kMaxHeads, &config->num_attention_heads));
  if (given.num_key_value_heads && *given.num_key_value_heads != config->num_attention_heads)
    return fields.wrong("num_key_value_heads", std::to_string(*given.num_key_value_heads),
                        "num_attention_heads = " + std::to_string(config->num_attention_heads));
  if (given.q_lora_rank) DS_TRY(fields.take("q_lora_rank", given.q_lora_rank, 1, kMaxRank, &config->q_lora_rank));
  DS_TRY(fields.take("kv_lora_rank", given.kv_lora_rank, 1, kMaxRank, &config->kv_lora_rank));
  DS_TRY(fields.take("qk_nope_head_dim", given.qk_nope_head_dim, 1, kMaxHeadDim, &config->qk_nope_head_dim));
  DS_TRY(fields.take("qk_rope_head_dim", given.qk_rope_head_dim, 2, kMaxHeadDim, &config->qk_rope_head_dim));
  if (config->qk_rope_head_dim % 2)
    return fields.wrong("qk_rope_head_dim", std::to_string(config->qk_rope_head_dim), "an even number");
  return fields.take("v_head_dim", given.v_head_dim, 1, kMaxHeadDim, &config->v_head_dim);
}

// Groups concern all methods but greedy, which ignores them.
Status check_groups(const Fields &fields, const Config &config) {
  if (config.topk_method == TopkMethod::kGreedy) return {};
  const std::string experts = std::to_string(config.n_routed_experts), groups = std::to_string(config.n_group);
  if (config.n_routed_experts % config.n_group)
    return fields.wrong("n_group", groups, "a divisor of n_routed_experts = " + experts);
  if (config.topk_group > config.n_group)
    return fields.wrong("topk_group", std::to_string(config.topk_group), "at most n_group = " + groups);
  const int64_t size = config.n_routed_experts / config.n_group, reachable = config.topk_group * size;
  if (config.num_experts_per_tok > reachable)
    return fields.wrong("num_experts_per_tok", std::to_string(config.num_experts_per_tok),
                        "at most topk_group * n_routed_experts / n_group = " + std::to_string(reachable));
  if (config.topk_method == TopkMethod::kNoauxTc && config.n_group > 1 && size < 2)
    return fields.wrong("n_group", groups, "at least 2 of the " + experts + " experts in every group (noaux_tc)");
  return {};
}

Status take_experts(const Fields &fields, const HfConfig &given, Config *config) {
  DS_TRY(fields.take("n_routed_experts", given.n_routed_experts, 0, kMaxExperts, &config->n_routed_experts));
  if (config->n_routed_experts == 0) return {};
  DS_TRY(fields.take("first_k_dense_replace", given.first_k_dense_replace, 0, kMaxPosition,
                     &config->first_k_dense_replace));
  DS_TRY(fields.take("moe_layer_freq", given.moe_layer_freq, 1, kMaxPosition, &config->moe_layer_freq));
  DS_TRY(fields.take("moe_intermediate_size", given.moe_intermediate_size, 1, kMaxExpertWidth,
                     &config->moe_intermediate_size));
  DS_TRY(fields.take("n_shared_experts", given.n_shared_experts, 0, kMaxShared, &config->n_shared_experts));
  DS_TRY(fields.take("num_experts_per_tok", given.num_experts_per_tok, 1, kMaxChosen, &config->num_experts_per_tok));
  if (config->num_experts_per_tok > config->n_routed_experts)
    return fields.wrong("num_experts_per_tok", std::to_string(config->num_experts_per_tok),
                        "at most n_routed_experts = " + std::to_string(config->n_routed_experts));
  DS_TRY(fields.take("n_group", given.n_group, 1, kMaxExperts, &config->n_group));
  DS_TRY(fields.take("topk_group", given.topk_group, 1, kMaxExperts, &config->topk_group));
  size_t method = 0, scores = 0;
  DS_TRY(fields.take("topk_method", given.topk_method, {"greedy", "group_limited_greedy", "noaux_tc"}, &method));
  DS_TRY(fields.take("scoring_func", given.scoring_func, {"softmax", "sigmoid"}, &scores));
  config->topk_method = static_cast<TopkMethod>(method);
  config->sigmoid_scores = scores == 1;
  config->norm_topk_prob = given.norm_topk_prob.value_or(false);
  DS_TRY(fields.take("routed_scaling_factor", given.routed_scaling_factor, 1e-6, 1e6, &config->routed_scaling_factor));
  return check_groups(fields, *config);
}

// Only a model with a dense layer needs their width.
Status take_dense(const Fields &fields, const HfConfig &given, Config *config) {
  const int64_t layers = config->num_hidden_layers + config->num_nextn_predict_layers;
  for (int64_t layer = 0; layer < layers; ++layer)
    if (!config->is_moe(layer))
      return fields.take("intermediate_size", given.intermediate_size, 1, kMaxWidth, &config->intermediate_size);
  return {};
}

Status take_rope(const Fields &fields, const HfConfig &given, Config *config) {
  DS_TRY(fields.take("rope_theta", given.rope_theta, 1.001, 1e12, &config->rope_theta));
  if (!given.rope_interleave.value_or(true)) return fields.wrong("rope_interleave", "false", "true");
  size_t type = 0;
  DS_TRY(fields.take("rope type", given.rope_type, {"default", "yarn"}, &type));
  if (type == 0) return {};
  Yarn &yarn = config->yarn;
  yarn.on = true;
  int64_t original = 0;
  DS_TRY(fields.take("rope factor", given.rope_factor, 1, 1e6, &yarn.factor));
  DS_TRY(fields.take("rope original_max_position_embeddings", given.rope_original_max_position_embeddings, 1,
                     kMaxPosition, &original));
  yarn.original_max_position_embeddings = static_cast<double>(original);
  DS_TRY(fields.take("rope beta_fast", given.rope_beta_fast.value_or(32), 1e-6, 1e6, &yarn.beta_fast));
  DS_TRY(fields.take("rope beta_slow", given.rope_beta_slow.value_or(1), 1e-6, yarn.beta_fast, &yarn.beta_slow));
  DS_TRY(fields.take("rope mscale", given.rope_mscale.value_or(1), 0, 100, &yarn.mscale));
  return fields.take("rope mscale_all_dim", given.rope_mscale_all_dim.value_or(0), 0, 100, &yarn.mscale_all_dim);
}

}  // namespace

int64_t Config::n_moe_layers() const {
  int64_t n = 0;
  for (int64_t layer = 0; layer < num_hidden_layers; ++layer) n += is_moe(layer);
  return n;
}

Result<Config> make_config(const HfConfig &given, const std::string &file) {
  HfConfig full = given;
  apply_config_defaults(&full);
  const Fields fields(file);
  Config config;
  DS_TRY(take_family(fields, full, &config));
  DS_TRY(take_sizes(fields, full, &config));
  DS_TRY(take_attention(fields, full, &config));
  DS_TRY(take_experts(fields, full, &config));
  DS_TRY(take_dense(fields, full, &config));
  DS_TRY(take_rope(fields, full, &config));
  return config;
}

}  // namespace deepseam::model
