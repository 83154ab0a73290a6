// See gguf_config.h.
#include "format/gguf_config.h"

#include <cmath>
#include <optional>

namespace deepseam {
namespace {

constexpr std::string_view kArchitecture = "deepseek2";

class ConfigReader {
 public:
  ConfigReader(const GgufFile &file, const std::string &name) : file_(file), name_(name) {}

  Result<GgufConfig> read() {
    DS_TRY(check_architecture());
    read_sizes();
    read_heads();
    read_experts();
    DS_TRY(read_rope());
    read_tokens();
    DS_TRY(check_keys());
    apply_config_defaults(&config_);
    return std::move(made_);
  }

 private:
  std::string key(std::string_view tail) const { return std::string(kArchitecture) + "." + std::string(tail); }
  std::optional<int64_t> integer(std::string_view tail) {
    return of_kind(file_.metadata.integer(key(tail)), tail, "an integer");
  }
  std::optional<double> number(std::string_view tail) {
    return of_kind(file_.metadata.number(key(tail)), tail, "a number");
  }
  std::optional<bool> flag(std::string_view tail) { return of_kind(file_.metadata.flag(key(tail)), tail, "a flag"); }
  // A key with another kind of value is no missing key: the first one is told of.
  template <typename T>
  std::optional<T> of_kind(std::optional<T> value, std::string_view tail, const char *kind) {
    if (!value && wrong_.empty() && file_.metadata.has(key(tail))) wrong_ = key(tail) + " is not " + kind;
    return value;
  }
  // Zero is how some writers say that there is none.
  std::optional<int64_t> positive(std::string_view tail) {
    const auto value = integer(tail);
    return value && *value > 0 ? value : std::nullopt;
  }
  void note(std::string text) { made_.notes.push_back(std::move(text)); }

  // What every file of the family has, under the names that its user finds in it.
  Status check_keys() {
    for (const char *tail : {"block_count", "embedding_length", "context_length", "attention.head_count",
                             "attention.kv_lora_rank", "rope.dimension_count"})
      if (wrong_.empty() && !file_.metadata.has(key(tail))) wrong_ = key(tail) + " is missing, expected an integer";
    if (wrong_.empty()) return {};
    return fail(DS_E_MODEL, "gguf", "%s: %s", name_.c_str(), wrong_.c_str()).at(name_);
  }

  Status check_architecture() const {
    const auto found = file_.metadata.text("general.architecture");
    if (found == kArchitecture) return {};
    std::string shown;
    for (char c : found.value_or("").substr(0, 60)) shown += c > 0x20 && c < 0x7f ? c : '?';
    if (shown.empty())
      return fail(DS_E_MODEL, "gguf", "%s does not say its architecture (general.architecture)", name_.c_str())
          .at(name_);
    return fail(DS_E_MODEL, "gguf", "%s is a model of the architecture %s; models of %s are read", name_.c_str(),
                shown.c_str(), std::string(kArchitecture).c_str())
        .at(name_);
  }

  void read_sizes() {
    config_.hidden_size = integer("embedding_length");
    config_.num_hidden_layers = integer("block_count");
    if (const auto modules = positive("nextn_predict_layers")) {  // they count as blocks
      config_.num_nextn_predict_layers = modules;
      if (config_.num_hidden_layers.value_or(0) > 0) *config_.num_hidden_layers -= *modules;
    }
    config_.intermediate_size = positive("feed_forward_length");
    config_.max_position_embeddings = integer("context_length");
    config_.rms_norm_eps = number("attention.layer_norm_rms_epsilon");
    config_.hidden_act = "silu";
    config_.tie_word_embeddings = file_.tensors.find("output.weight") == nullptr;
    config_.vocab_size = positive("vocab_size");
    if (config_.vocab_size) return;
    if (const TensorInfo *table = file_.tensors.find("token_embd.weight"); table && table->shape.size() == 2)
      config_.vocab_size = static_cast<int64_t>(table->shape[0]);
  }

  // Files with absorbed projections state the heads' own lengths apart, and the latent's under the old keys.
  void read_heads() {
    config_.num_attention_heads = integer("attention.head_count");
    config_.q_lora_rank = positive("attention.q_lora_rank");
    config_.kv_lora_rank = integer("attention.kv_lora_rank");
    config_.qk_rope_head_dim = integer("rope.dimension_count");
    auto keys = positive("attention.key_length_mla"), values = positive("attention.value_length_mla");
    if (!keys || !values) {
      keys = integer("attention.key_length");
      values = integer("attention.value_length");
    }
    config_.v_head_dim = values;
    if (keys && config_.qk_rope_head_dim && *keys <= INT32_MAX && *config_.qk_rope_head_dim <= INT32_MAX)
      config_.qk_nope_head_dim = *keys - *config_.qk_rope_head_dim;
  }

  bool has_router_bias() const {
    for (const TensorInfo &tensor : file_.tensors.tensors)
      if (tensor.name.ends_with(".exp_probs_b.bias") || tensor.name.ends_with(".exp_probs_b")) return true;
    return false;
  }

  void read_experts() {
    config_.n_routed_experts = integer("expert_count");
    config_.num_experts_per_tok = positive("expert_used_count");
    config_.n_shared_experts = integer("expert_shared_count");
    config_.moe_intermediate_size = positive("expert_feed_forward_length");
    config_.first_k_dense_replace = integer("leading_dense_block_count");
    const auto scale = number("expert_weights_scale");
    config_.routed_scaling_factor = scale && *scale != 0 ? *scale : 1.0;
    config_.norm_topk_prob = flag("expert_weights_norm").value_or(false);
    const bool bias = has_router_bias();
    const int64_t gate = integer("expert_gating_func").value_or(0);  // 1 softmax, 2 sigmoid
    config_.scoring_func = gate == 2 ? "sigmoid" : gate == 1 || gate == 0 ? "softmax" : "gate " + std::to_string(gate);
    if (gate == 0 && bias) {
      config_.scoring_func = "sigmoid";
      note("expert_gating_func is missing: sigmoid, because the routers have biases");
    }
    read_groups();
    const bool groups = config_.n_group.value_or(1) > 1;
    config_.topk_method = bias ? "noaux_tc" : groups ? "group_limited_greedy" : "greedy";
    config_.model_type = bias || config_.scoring_func == "sigmoid" ? "deepseek_v3" : "deepseek_v2";
    config_.architectures = {config_.model_type == "deepseek_v3" ? "DeepseekV3ForCausalLM" : "DeepseekV2ForCausalLM"};
  }

  // Old files leave the groups out, and the large models were trained with them.
  void read_groups() {
    config_.n_group = positive("expert_group_count");
    config_.topk_group = positive("expert_group_used_count");
    const int64_t experts = config_.n_routed_experts.value_or(0), heads = config_.num_attention_heads.value_or(0);
    if (config_.n_group || heads != 128 || (experts != 160 && experts != 256)) return;
    config_.n_group = 8;
    config_.topk_group = experts == 160 ? 3 : 4;
    note("expert_group_count is missing: 8 groups of which " + std::to_string(*config_.topk_group) +
         " are used, as models of " + std::to_string(experts) + " experts are made");
  }

  Status read_rope() {
    config_.rope_theta = number("rope.freq_base");
    const std::string type(file_.metadata.text(key("rope.scaling.type")).value_or("none"));
    config_.rope_type = type == "none" ? "default" : type;
    if (type != "yarn") return {};
    config_.rope_factor = number("rope.scaling.factor");
    config_.rope_original_max_position_embeddings = integer("rope.scaling.original_context_length");
    config_.rope_beta_fast = number("rope.scaling.yarn_beta_fast").value_or(32);
    config_.rope_beta_slow = number("rope.scaling.yarn_beta_slow").value_or(1);
    DS_TRY_VALUE(const double mscale, read_mscale());
    config_.rope_mscale = config_.rope_mscale_all_dim = mscale;
    return {};
  }

  // The key holds 0.1 * mscale_all_dim as float32; the digits that this added are taken off again.
  Result<double> read_mscale() {
    if (const auto stored = number("rope.scaling.yarn_log_multiplier")) return std::round(*stored * 1e7) / 1e6;
    std::string title(file_.metadata.text("general.name").value_or(""));
    for (char &c : title) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    const auto says = [&](const char *word) { return title.find(word) != title.npos; };
    std::optional<double> mscale;
    if (config_.scoring_func == "sigmoid" || says("coder-v2-instruct") || says("v2.5") || says("v3"))
      mscale = 1.0;
    else if (says("v2"))
      mscale = 0.707;
    if (config_.num_attention_heads == 16) mscale = 0.707;  // V2-Lite and Coder-V2-Lite alike
    if (!mscale)
      return fail(DS_E_MODEL, "gguf",
                  "%s: %s is missing, and neither shape nor name tell which model of the family it is", name_.c_str(),
                  key("rope.scaling.yarn_log_multiplier").c_str())
          .at(name_);
    note("rope.scaling.yarn_log_multiplier is missing: mscale_all_dim " + std::string(*mscale == 1 ? "1" : "0.707") +
         ", as models of this shape are made");
    return *mscale;
  }

  void read_tokens() {
    const GgufMetadata &keys = file_.metadata;
    config_.bos_token_id = keys.integer("tokenizer.ggml.bos_token_id");
    config_.pad_token_id = keys.integer("tokenizer.ggml.padding_token_id");
    for (const char *end : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"})
      if (const auto id = keys.integer(end)) {
        const auto &known = config_.eos_token_ids;
        if (known.empty() || known.back() != *id) config_.eos_token_ids.push_back(*id);
      }
  }

  const GgufFile &file_;
  const std::string &name_;
  GgufConfig made_;
  std::string wrong_;  // what check_keys refuses
  HfConfig &config_ = made_.config;
};

}  // namespace

Result<GgufConfig> read_gguf_config(const GgufFile &file, const std::string &name) {
  return ConfigReader(file, name).read();
}

}  // namespace deepseam
