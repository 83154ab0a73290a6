// Roles and tensor names as tables, and the binding of a directory's tensors to them. Reads names, shapes and formats,
// never numbers.
#include "model/weights.h"

#include <algorithm>
#include <optional>
#include <string_view>

namespace deepseam::model {
namespace {

// The last part of a role and what Hugging Face checkpoints call it, behind "model.layers.{i}.". {e} is the expert.
struct Name {
  std::string_view role, hf;
};
constexpr Name kLayerNames[] = {
    {"attn_norm", "input_layernorm.weight"},
    {"q", "self_attn.q_proj.weight"},
    {"q_a", "self_attn.q_a_proj.weight"},
    {"q_a.bias", "self_attn.q_a_proj.bias"},
    {"q_a_norm", "self_attn.q_a_layernorm.weight"},
    {"q_b", "self_attn.q_b_proj.weight"},
    {"kv_a", "self_attn.kv_a_proj_with_mqa.weight"},
    {"kv_a.bias", "self_attn.kv_a_proj_with_mqa.bias"},
    {"kv_a_norm", "self_attn.kv_a_layernorm.weight"},
    {"kv_b", "self_attn.kv_b_proj.weight"},
    {"o", "self_attn.o_proj.weight"},
    {"o.bias", "self_attn.o_proj.bias"},
    {"ffn_norm", "post_attention_layernorm.weight"},
    {"gate", "mlp.gate_proj.weight"},
    {"up", "mlp.up_proj.weight"},
    {"down", "mlp.down_proj.weight"},
    {"router", "mlp.gate.weight"},
    {"router.bias", "mlp.gate.e_score_correction_bias"},
    {"experts.gate", "mlp.experts.{e}.gate_proj.weight"},
    {"experts.up", "mlp.experts.{e}.up_proj.weight"},
    {"experts.down", "mlp.experts.{e}.down_proj.weight"},
    {"shared.gate", "mlp.shared_experts.gate_proj.weight"},
    {"shared.up", "mlp.shared_experts.up_proj.weight"},
    {"shared.down", "mlp.shared_experts.down_proj.weight"},
};
constexpr Name kModuleNames[] = {
    {"embed", "embed_tokens.weight"},
    {"enorm", "enorm.weight"},
    {"hnorm", "hnorm.weight"},
    {"eh_proj", "eh_proj.weight"},
    {"head_norm", "shared_head.norm.weight"},
    {"head", "shared_head.head.weight"},
};
constexpr Name kModelNames[] = {
    {"embed", "model.embed_tokens.weight"}, {"final_norm", "model.norm.weight"}, {"lm_head", "lm_head.weight"}};
// Some converters call the correction bias like an ordinary one.
constexpr std::string_view kRouterBias = "mlp.gate.e_score_correction_bias", kRouterBiasAlso = "mlp.gate.bias";

std::string layer_role(int64_t layer, const char *name) { return "layers." + std::to_string(layer) + "." + name; }
std::string module_role(int64_t module, const char *name) { return "mtp." + std::to_string(module) + "." + name; }

// Collects specs in file order.
class Specs {
 public:
  explicit Specs(const Config &config) : c(config) {}

  void layer(int64_t i) {
    attention(i);
    plain(layer_role(i, "ffn_norm"), c.hidden_size);
    if (!c.is_moe(i)) return mlp(i, "", c.intermediate_size);
    matrix(layer_role(i, "router"), c.n_routed_experts, c.hidden_size).keep_float = true;
    if (c.topk_method == TopkMethod::kNoauxTc) plain(layer_role(i, "router.bias"), c.n_routed_experts);
    stacked(layer_role(i, "experts.gate"), c.moe_intermediate_size, c.hidden_size);
    stacked(layer_role(i, "experts.up"), c.moe_intermediate_size, c.hidden_size);
    stacked(layer_role(i, "experts.down"), c.hidden_size, c.moe_intermediate_size);
    if (c.n_shared_experts) mlp(i, "shared.", c.n_shared_experts * c.moe_intermediate_size);
  }

  void module(int64_t j) {
    matrix(module_role(j, "embed"), c.vocab_size, c.hidden_size).optional = true;
    plain(module_role(j, "enorm"), c.hidden_size);
    plain(module_role(j, "hnorm"), c.hidden_size);
    matrix(module_role(j, "eh_proj"), c.hidden_size, 2 * c.hidden_size);
    layer(c.num_hidden_layers + j);
    plain(module_role(j, "head_norm"), c.hidden_size);
    matrix(module_role(j, "head"), c.vocab_size, c.hidden_size).optional = true;
  }

  WeightSpec &matrix(const std::string &role, int64_t rows, int64_t cols) { return add(role, {rows, cols}); }
  void plain(const std::string &role, int64_t size) { add(role, {size}).keep_float = true; }

  std::vector<WeightSpec> list;

 private:
  void attention(int64_t i) {
    const int64_t queries = c.num_attention_heads * c.qk_head_dim();
    const int64_t latents = c.kv_lora_rank + c.qk_rope_head_dim;
    plain(layer_role(i, "attn_norm"), c.hidden_size);
    if (c.q_lora_rank) {
      matrix(layer_role(i, "q_a"), c.q_lora_rank, c.hidden_size);
      if (c.attention_bias) plain(layer_role(i, "q_a.bias"), c.q_lora_rank);
      plain(layer_role(i, "q_a_norm"), c.q_lora_rank);
      matrix(layer_role(i, "q_b"), queries, c.q_lora_rank);
    } else {
      matrix(layer_role(i, "q"), queries, c.hidden_size);
    }
    matrix(layer_role(i, "kv_a"), latents, c.hidden_size);
    if (c.attention_bias) plain(layer_role(i, "kv_a.bias"), latents);
    plain(layer_role(i, "kv_a_norm"), c.kv_lora_rank);
    matrix(layer_role(i, "kv_b"), c.num_attention_heads * (c.qk_nope_head_dim + c.v_head_dim), c.kv_lora_rank);
    matrix(layer_role(i, "o"), c.hidden_size, c.num_attention_heads * c.v_head_dim);
    if (c.attention_bias) plain(layer_role(i, "o.bias"), c.hidden_size);
  }
  void mlp(int64_t i, const std::string &prefix, int64_t width) {
    matrix(layer_role(i, (prefix + "gate").c_str()), width, c.hidden_size);
    matrix(layer_role(i, (prefix + "up").c_str()), width, c.hidden_size);
    matrix(layer_role(i, (prefix + "down").c_str()), c.hidden_size, width);
  }
  void stacked(const std::string &role, int64_t rows, int64_t cols) {
    add(role, {c.n_routed_experts, rows, cols}).stacked = true;
  }
  WeightSpec &add(const std::string &role, std::initializer_list<int64_t> shape) {
    WeightSpec &spec = list.emplace_back();
    spec.role = role;
    for (int64_t size : shape) spec.shape.push_back(static_cast<uint64_t>(size));
    return spec;
  }
  const Config &c;
};

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
std::string_view translate(const Name (&names)[N], std::string_view role) {
  for (const Name &name : names)
    if (name.role == role) return name.hf;
  return {};
}

// One name with {e} where the expert's number goes; empty for an unknown role.
std::string hf_pattern(const Config &config, std::string_view role) {
  std::string_view name = role;
  std::optional<int64_t> layer;
  if ((layer = take_number(&name, "layers."))) {
    name = translate(kLayerNames, name);
  } else if ((layer = take_number(&name, "mtp."))) {
    *layer += config.num_hidden_layers;
    name = translate(kModuleNames, name);
  } else {
    return std::string(translate(kModelNames, name));
  }
  if (name.empty()) return {};
  return "model.layers." + std::to_string(*layer) + "." + std::string(name);
}

std::string shape_text(const std::vector<uint64_t> &shape, size_t skip) {
  std::string text;
  for (size_t i = skip; i < shape.size(); ++i) text += (i > skip ? ", " : "[") + std::to_string(shape[i]);
  return text.empty() ? "[]" : text + "]";
}

// Binds the roles of one file, and says what is wrong with it.
class Binder {
 public:
  Binder(const Config &config, const TensorDirectory &directory, const std::string &file)
      : config_(config), directory_(directory), file_(file) {}

  Status bind(const WeightSpec &spec, WeightMap *map) const {
    WeightBinding binding;
    binding.spec = spec;
    if (const TensorInfo *whole = directory_.find(spec.role)) {
      DS_TRY(take(spec, *whole, 0, &binding));
    } else {
      for (const std::string &name : hf_names(config_, spec)) {
        const TensorInfo *part = find(name);
        if (!part && spec.optional) return {};
        if (!part)
          return fail(DS_E_MODEL, "weights", "%s: tensor %s is missing (the model's %s)", file_.c_str(), name.c_str(),
                      spec.role.c_str())
              .at(file_);
        DS_TRY(take(spec, *part, spec.stacked ? 1 : 0, &binding));
      }
    }
    map->by_role.emplace(spec.role, static_cast<uint32_t>(map->bindings.size()));
    map->bindings.push_back(std::move(binding));
    return {};
  }

  bool has_modules() const {
    for (int64_t j = 0; j < config_.num_nextn_predict_layers; ++j) {
      const std::string role = module_role(j, "eh_proj");
      if (!directory_.find(role) && !directory_.find(hf_pattern(config_, role))) return false;
    }
    return config_.num_nextn_predict_layers > 0;
  }

 private:
  const TensorInfo *find(const std::string &name) const {
    if (const TensorInfo *found = directory_.find(name)) return found;
    if (name.size() < kRouterBias.size() || name.compare(name.size() - kRouterBias.size(), name.npos, kRouterBias))
      return nullptr;
    return directory_.find(name.substr(0, name.size() - kRouterBias.size()) + std::string(kRouterBiasAlso));
  }

  // One tensor of a role: the whole, or (skip = 1) one expert of a stack.
  Status take(const WeightSpec &spec, const TensorInfo &info, size_t skip, WeightBinding *binding) const {
    const bool same = std::equal(info.shape.begin(), info.shape.end(), spec.shape.begin() + static_cast<long>(skip),
                                 spec.shape.end());
    if (!same) return wrong(info, shape_text(info.shape, 0), shape_text(spec.shape, skip));
    if (info.dtype == DType::kNone) return wrong(info, "stored as " + info.stored_type, "a type that can be read");
    const bool plain = info.dtype == DType::kF32 || info.dtype == DType::kF16 || info.dtype == DType::kBF16;
    if (info.dtype == DType::kI32 || (spec.keep_float && !plain))
      return wrong(info, dtype_info(info.dtype).name, spec.keep_float ? "f32, f16 or bf16" : "a weight type");
    if (binding->parts.empty()) binding->dtype = info.dtype;
    const TensorInfo &first = binding->parts.empty() ? info : *binding->parts[0];
    if (info.dtype != binding->dtype)
      return wrong(info, dtype_info(info.dtype).name,
                   std::string(dtype_info(binding->dtype).name) + " as " + first.name);
    if (info.has_scales != first.has_scales || info.scales.block_rows != first.scales.block_rows ||
        info.scales.block_cols != first.scales.block_cols)
      return wrong(info, "scaled in other blocks", "those of " + first.name);
    binding->parts.push_back(&info);
    return {};
  }

  Status wrong(const TensorInfo &info, const std::string &found, const std::string &expected) const {
    return fail(DS_E_MODEL, "weights", "%s: tensor %s is %s, expected %s", file_.c_str(), info.name.c_str(),
                found.c_str(), expected.c_str())
        .at(file_);
  }

  const Config &config_;
  const TensorDirectory &directory_;
  const std::string &file_;
};

}  // namespace

std::vector<WeightSpec> weight_specs(const Config &config, bool mtp) {
  Specs specs(config);
  specs.matrix("embed", config.vocab_size, config.hidden_size);
  for (int64_t i = 0; i < config.num_hidden_layers; ++i) specs.layer(i);
  specs.plain("final_norm", config.hidden_size);
  if (!config.tie_word_embeddings) specs.matrix("lm_head", config.vocab_size, config.hidden_size);
  if (mtp)
    for (int64_t j = 0; j < config.num_nextn_predict_layers; ++j) specs.module(j);
  return std::move(specs.list);
}

std::vector<std::string> hf_names(const Config &config, const WeightSpec &spec) {
  const std::string pattern = hf_pattern(config, spec.role);
  const size_t expert = pattern.find("{e}");
  if (pattern.empty()) return {};
  if (expert == pattern.npos) return {pattern};
  std::vector<std::string> names;
  for (uint64_t e = 0; e < spec.shape[0]; ++e)
    names.push_back(pattern.substr(0, expert) + std::to_string(e) + pattern.substr(expert + 3));
  return names;
}

Result<WeightMap> bind_weights(const Config &config, const TensorDirectory &directory, const std::string &file) {
  const Binder binder(config, directory, file);
  WeightMap map;
  map.has_mtp = binder.has_modules();
  for (const WeightSpec &spec : weight_specs(config, map.has_mtp)) DS_TRY(binder.bind(spec, &map));
  return map;
}

}  // namespace deepseam::model
