// Roles as a list, and the binding of a directory's tensors to them. Reads names, shapes and formats, never numbers.
#include "model/weights.h"

#include <algorithm>
#include <string_view>

namespace deepseam::model {
namespace {

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

std::string shape_text(const std::vector<uint64_t> &shape, size_t skip) {
  std::string text;
  for (size_t i = skip; i < shape.size(); ++i) text += (i > skip ? ", " : "[") + std::to_string(shape[i]);
  return text.empty() ? "[]" : text + "]";
}

// Binds the roles of one file, and says what is wrong with it.
class Binder {
 public:
  Binder(const Config &config, const TensorDirectory &directory, const std::string &file)
      : config_(config), directory_(directory), file_(file), gguf_(directory.find("token_embd.weight") != nullptr) {}

  Status bind(const WeightSpec &spec, WeightMap *map) const {
    WeightBinding binding;
    binding.spec = spec;
    const TensorInfo *whole = directory_.find(spec.role);
    if (!whole && gguf_) whole = directory_.find(gguf_name(config_, spec));
    if (whole) {
      DS_TRY(take(spec, *whole, 0, &binding));
    } else if (gguf_) {
      DS_TRY(take_gguf(spec, map, &binding));
    } else {
      DS_TRY(take_named(spec, hf_names(config_, spec), &binding));
    }
    if (binding.parts.empty()) return {};  // optional
    map->by_role.emplace(spec.role, static_cast<uint32_t>(map->bindings.size()));
    map->bindings.push_back(std::move(binding));
    return {};
  }

  bool has_modules() const {
    for (int64_t j = 0; j < config_.num_nextn_predict_layers; ++j) {
      WeightSpec spec;
      spec.role = module_role(j, "eh_proj");
      const std::string name = gguf_ ? gguf_name(config_, spec) : hf_names(config_, spec)[0];
      if (!directory_.find(spec.role) && !directory_.find(name)) return false;
    }
    return config_.num_nextn_predict_layers > 0;
  }

 private:
  const TensorInfo *find(const std::string &name) const {
    if (const TensorInfo *found = directory_.find(name)) return found;
    if (!name.ends_with(kRouterBias)) return nullptr;
    return directory_.find(name.substr(0, name.size() - kRouterBias.size()) + std::string(kRouterBiasAlso));
  }

  Status missing(const WeightSpec &spec, const std::string &name) const {
    return fail(DS_E_MODEL, "weights", "%s: tensor %s is missing (the model's %s)", file_.c_str(), name.c_str(),
                spec.role.c_str())
        .at(file_);
  }

  // All of a role's names: one tensor, or one for each expert.
  Status take_named(const WeightSpec &spec, const std::vector<std::string> &names, WeightBinding *binding) const {
    for (const std::string &name : names) {
      const TensorInfo *part = find(name);
      if (!part && spec.optional) return {};
      if (!part) return missing(spec, name);
      DS_TRY(take(spec, *part, spec.stacked ? 1 : 0, binding));
    }
    return {};
  }

  // What GGUF files store otherwise than as one tensor of the role's shape.
  Status take_gguf(const WeightSpec &spec, WeightMap *map, WeightBinding *binding) const {
    const std::string name = gguf_name(config_, spec);  // "blk.3.ffn_gate_exps.weight"
    const std::string block = name.substr(0, name.find('.', 4) + 1);
    if (spec.role.ends_with(".kv_b")) {
      const TensorInfo *k = directory_.find(block + "attn_k_b.weight"), *v = directory_.find(block + "attn_v_b.weight");
      if (k && v) return take_absorbed(*k, *v, binding);
    }
    const bool up = spec.role.ends_with(".experts.up");
    if (spec.stacked) {
      const TensorInfo *fused = directory_.find(block + "ffn_gate_up_exps.weight");
      if (fused && (up || spec.role.ends_with(".experts.gate"))) return take_half(spec, *fused, up, map, binding);
      const std::string stem = name.substr(0, name.size() - std::string_view("_exps.weight").size());
      std::vector<std::string> names;
      for (uint64_t e = 0; e < spec.shape[0]; ++e) names.push_back(stem + "." + std::to_string(e) + ".weight");
      if (directory_.find(names[0])) return take_named(spec, names, binding);
    }
    return spec.optional ? Status() : missing(spec, name);
  }

  // Rows [0, I) of each expert of [E, 2I, H] are its gate, the others its up projection: views of one expert each.
  Status take_half(const WeightSpec &spec, const TensorInfo &fused, bool second, WeightMap *map,
                   WeightBinding *binding) const {
    const std::vector<uint64_t> expected = {spec.shape[0], 2 * spec.shape[1], spec.shape[2]};
    if (fused.shape != expected) return wrong(fused, shape_text(fused.shape, 0), shape_text(expected, 0));
    const uint64_t bytes = spec.shape[1] * row_bytes(fused.dtype, spec.shape[2]);
    for (uint64_t e = 0; e < spec.shape[0]; ++e) {
      TensorInfo view = fused;
      view.shape = {spec.shape[1], spec.shape[2]};
      view.range.offset += (2 * e + (second ? 1 : 0)) * bytes;
      view.range.bytes = bytes;
      map->views.push_back(std::make_shared<const TensorInfo>(std::move(view)));
      DS_TRY(take(spec, *map->views.back(), 1, binding));
    }
    return {};
  }

  // Both may be written with the heads as a dim of their own or as rows one after the other.
  Status take_absorbed(const TensorInfo &k, const TensorInfo &v, WeightBinding *binding) const {
    const auto n = static_cast<uint64_t>(config_.num_attention_heads);
    const auto r = static_cast<uint64_t>(config_.kv_lora_rank), dv = static_cast<uint64_t>(config_.v_head_dim);
    const auto dn = static_cast<uint64_t>(config_.qk_nope_head_dim);
    const auto check = [&](const TensorInfo &info, uint64_t rows, uint64_t cols) -> Status {
      const std::vector<uint64_t> apart = {n, rows, cols}, flat = {n * rows, cols};
      if (info.shape != apart && info.shape != flat)
        return wrong(info, shape_text(info.shape, 0), shape_text(apart, 0));
      if (info.dtype == DType::kNone || info.dtype == DType::kI32)
        return wrong(info, "stored as " + info.stored_type, "a type that can be read");
      return {};
    };
    DS_TRY(check(k, r, dn));
    DS_TRY(check(v, dv, r));
    const bool half = k.dtype == v.dtype && (k.dtype == DType::kF16 || k.dtype == DType::kBF16);
    binding->dtype = half ? k.dtype : DType::kF32;
    binding->absorbed = true;
    binding->parts = {&k, &v};
    return {};
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
    if (!info.int4 != !first.int4) return wrong(info, info.stored_type, "stored as " + first.name);
    binding->fine_scales = binding->fine_scales || has_fine_scales(info);
    binding->parts.push_back(&info);
    return {};
  }

  // What a backend's own tiles would be cut by.
  static bool has_fine_scales(const TensorInfo &info) {
    if (!info.has_scales) return false;
    const uint64_t rows = info.shape[info.shape.size() - 2];
    const BlockScales &by = info.scales;
    return (by.block_rows % 16 != 0 && by.block_rows < rows) ||
           (by.block_cols % 32 != 0 && by.block_cols < info.cols());
  }

  Status wrong(const TensorInfo &info, const std::string &found, const std::string &expected) const {
    return fail(DS_E_MODEL, "weights", "%s: tensor %s is %s, expected %s", file_.c_str(), info.name.c_str(),
                found.c_str(), expected.c_str())
        .at(file_);
  }

  const Config &config_;
  const TensorDirectory &directory_;
  const std::string &file_;
  const bool gguf_;
};

}  // namespace

uint64_t WeightBinding::rows() const {
  uint64_t rows = 1;
  for (size_t i = 0; i + 1 < spec.shape.size(); ++i) rows *= spec.shape[i];
  return rows;
}

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

Result<WeightMap> bind_weights(const Config &config, const TensorDirectory &directory, const std::string &file) {
  const Binder binder(config, directory, file);
  WeightMap map;
  map.has_mtp = binder.has_modules();
  for (const WeightSpec &spec : weight_specs(config, map.has_mtp)) DS_TRY(binder.bind(spec, &map));
  return map;
}

}  // namespace deepseam::model
