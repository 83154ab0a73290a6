// What checkpoints call a role: the tables of weights.h, for Hugging Face and GGUF.
#include <optional>
#include <string_view>

#include "model/weights.h"

namespace deepseam::model {
namespace {

// The last part of a role, what Hugging Face checkpoints call it behind "model.layers.{i}." ({e} is the expert), and
// what GGUF files call it behind "blk.{i}.".
struct Name {
  std::string_view role, hf, gguf;
};
constexpr Name kLayerNames[] = {
    {"attn_norm", "input_layernorm.weight", "attn_norm.weight"},
    {"q", "self_attn.q_proj.weight", "attn_q.weight"},
    {"q_a", "self_attn.q_a_proj.weight", "attn_q_a.weight"},
    {"q_a.bias", "self_attn.q_a_proj.bias", "attn_q_a.bias"},
    {"q_a_norm", "self_attn.q_a_layernorm.weight", "attn_q_a_norm.weight"},
    {"q_b", "self_attn.q_b_proj.weight", "attn_q_b.weight"},
    {"kv_a", "self_attn.kv_a_proj_with_mqa.weight", "attn_kv_a_mqa.weight"},
    {"kv_a.bias", "self_attn.kv_a_proj_with_mqa.bias", "attn_kv_a_mqa.bias"},
    {"kv_a_norm", "self_attn.kv_a_layernorm.weight", "attn_kv_a_norm.weight"},
    {"kv_b", "self_attn.kv_b_proj.weight", "attn_kv_b.weight"},
    {"o", "self_attn.o_proj.weight", "attn_output.weight"},
    {"o.bias", "self_attn.o_proj.bias", "attn_output.bias"},
    {"ffn_norm", "post_attention_layernorm.weight", "ffn_norm.weight"},
    {"gate", "mlp.gate_proj.weight", "ffn_gate.weight"},
    {"up", "mlp.up_proj.weight", "ffn_up.weight"},
    {"down", "mlp.down_proj.weight", "ffn_down.weight"},
    {"router", "mlp.gate.weight", "ffn_gate_inp.weight"},
    {"router.bias", "mlp.gate.e_score_correction_bias", "exp_probs_b.bias"},
    {"experts.gate", "mlp.experts.{e}.gate_proj.weight", "ffn_gate_exps.weight"},
    {"experts.up", "mlp.experts.{e}.up_proj.weight", "ffn_up_exps.weight"},
    {"experts.down", "mlp.experts.{e}.down_proj.weight", "ffn_down_exps.weight"},
    {"shared.gate", "mlp.shared_experts.gate_proj.weight", "ffn_gate_shexp.weight"},
    {"shared.up", "mlp.shared_experts.up_proj.weight", "ffn_up_shexp.weight"},
    {"shared.down", "mlp.shared_experts.down_proj.weight", "ffn_down_shexp.weight"},
};
constexpr Name kModuleNames[] = {
    {"embed", "embed_tokens.weight", "nextn.embed_tokens.weight"},
    {"enorm", "enorm.weight", "nextn.enorm.weight"},
    {"hnorm", "hnorm.weight", "nextn.hnorm.weight"},
    {"eh_proj", "eh_proj.weight", "nextn.eh_proj.weight"},
    {"head_norm", "shared_head.norm.weight", "nextn.shared_head_norm.weight"},
    {"head", "shared_head.head.weight", "nextn.shared_head_head.weight"},
};
constexpr Name kModelNames[] = {{"embed", "model.embed_tokens.weight", "token_embd.weight"},
                                {"final_norm", "model.norm.weight", "output_norm.weight"},
                                {"lm_head", "lm_head.weight", "output.weight"}};

// Splits "layers.12.experts.gate" into 12 and "experts.gate".
std::optional<int64_t> take_number(std::string_view *text, std::string_view prefix) {
  if (text->substr(0, prefix.size()) != prefix) return std::nullopt;
  std::string_view rest = text->substr(prefix.size());
  int64_t number = 0;
  size_t digits = 0;
  for (; digits < rest.size() && digits < 6 && rest[digits] >= '0' && rest[digits] <= '9'; ++digits)
    number = number * 10 + (rest[digits] - '0');
  if (!digits || digits >= rest.size() || rest[digits] != '.') return std::nullopt;
  *text = rest.substr(digits + 1);
  return number;
}

template <size_t N>
const Name *find_name(const Name (&names)[N], std::string_view role) {
  for (const Name &name : names)
    if (name.role == role) return &name;
  return nullptr;
}

// The row of the tables for a role, and the number of its layer, if it is in one.
struct Found {
  const Name *name = nullptr;
  std::optional<int64_t> layer;
};
Found find_role(const Config &config, std::string_view role) {
  Found found;
  if ((found.layer = take_number(&role, "layers."))) {
    found.name = find_name(kLayerNames, role);
  } else if ((found.layer = take_number(&role, "mtp."))) {
    *found.layer += config.num_hidden_layers;
    found.name = find_name(kModuleNames, role);
  } else {
    found.name = find_name(kModelNames, role);
  }
  return found;
}

}  // namespace

std::vector<std::string> hf_names(const Config &config, const WeightSpec &spec) {
  const Found found = find_role(config, spec.role);
  if (!found.name) return {};
  std::string pattern(found.name->hf);
  if (found.layer) pattern = "model.layers." + std::to_string(*found.layer) + "." + pattern;
  const size_t expert = pattern.find("{e}");
  if (expert == pattern.npos) return {pattern};
  std::vector<std::string> names;
  for (uint64_t e = 0; e < spec.shape[0]; ++e)
    names.push_back(pattern.substr(0, expert) + std::to_string(e) + pattern.substr(expert + 3));
  return names;
}

std::string gguf_name(const Config &config, const WeightSpec &spec) {
  const Found found = find_role(config, spec.role);
  if (!found.name) return {};
  return (found.layer ? "blk." + std::to_string(*found.layer) + "." : "") + std::string(found.name->gguf);
}

}  // namespace deepseam::model
