// See hf_join.h. Every kind of packing has one function that says which tensors belong to a weight and of what shape.
#include "format/hf_join.h"

#include <algorithm>
#include <set>
#include <string_view>

namespace deepseam {
namespace {

constexpr std::string_view kWeight = ".weight", kQWeight = ".qweight", kPacked = ".weight_packed";
constexpr uint64_t kEight = 8;

std::string shape_text(const std::vector<uint64_t> &shape) {
  std::string text(1, '[');
  for (uint64_t dim : shape) {
    if (text.size() > 1) text += ',';
    text += std::to_string(dim);
  }
  text += ']';
  return text;
}

uint64_t ceil_div(uint64_t n, uint64_t by) { return n / by + (n % by != 0); }

// Joins the tensors of one directory; names of those that were joined to another are collected.
class Joiner {
 public:
  Joiner(const QuantScheme &scheme, const TensorDirectory &all) : scheme_(scheme), all_(all) {}

  Status join(TensorInfo *tensor) {
    if (tensor->dtype == DType::kF8E4M3) return join_scales(tensor);
    const bool qweight = tensor->name.ends_with(kQWeight), packed = tensor->name.ends_with(kPacked);
    if (!qweight && !packed) return {};
    const WeightScheme *way = integer_way();
    const bool fits = packed ? scheme_.method == QuantMethod::kCompressed
                             : scheme_.method == QuantMethod::kAwq || scheme_.method == QuantMethod::kGptq;
    if (!way || !fits)
      return fail(DS_E_FORMAT, "safetensors",
                  "%s: tensor '%s' is packed, and config.json has no quantization_config that says so",
                  file(*tensor).c_str(), tensor->name.c_str())
          .at(file(*tensor));
    if (tensor->stored_type != "I32" || tensor->shape.size() != 2)
      return wrong(*tensor, tensor->stored_type + " " + shape_text(tensor->shape), "I32 words of two dims");
    return packed ? join_rows(tensor) : join_columns(*way, tensor);
  }

  const std::set<std::string> &taken() const { return taken_; }

 private:
  const std::string &file(const TensorInfo &tensor) const { return all_.sources[tensor.range.source]->name(); }

  Status wrong(const TensorInfo &tensor, const std::string &found, const std::string &expected) const {
    return fail(DS_E_FORMAT, "safetensors", "%s: tensor '%s' is %s, expected %s", file(tensor).c_str(),
                tensor.name.c_str(), found.c_str(), expected.c_str())
        .at(file(tensor));
  }
  Status missing(const TensorInfo &weight, const std::string &what, const std::string &names) const {
    return fail(DS_E_FORMAT, "safetensors", "%s: tensor '%s' is %s and %s are in no file", file(weight).c_str(),
                weight.name.c_str(), what.c_str(), names.c_str())
        .at(file(weight));
  }
  Status check_scale_type(const TensorInfo &scales) const {
    if (scales.dtype == DType::kF32 || scales.dtype == DType::kF16 || scales.dtype == DType::kBF16) return {};
    return fail(DS_E_UNSUPPORTED, "safetensors",
                "%s: tensor '%s' has type %s; scales of type F32, F16, BF16 are "
                "supported",
                file(scales).c_str(), scales.name.c_str(), scales.stored_type.c_str())
        .at(file(scales));
  }

  const WeightScheme *integer_way() const {
    for (const WeightScheme &way : scheme_.ways)
      if (way.integers) return &way;
    return nullptr;
  }

  const TensorInfo *take(const std::string &name) {
    const TensorInfo *found = all_.find(name);
    if (found) taken_.insert(name);
    return found;
  }

  // Scales of 8-bit floats, by the first way whose shape theirs is.
  Status join_scales(TensorInfo *weight) {
    const TensorInfo *scales = take(weight->name + "_scale_inv");
    if (!scales) scales = take(weight->name + "_scale");
    if (!scales) return missing(*weight, "F8_E4M3", "its scales '" + weight->name + "_scale_inv'");
    DS_TRY(check_scale_type(*scales));
    const uint64_t cols = weight->cols(), rows = weight->shape.size() < 2 ? 1 : weight->shape[weight->shape.size() - 2];
    if (rows > UINT32_MAX || cols > UINT32_MAX || weight->shape.size() < 2)
      return fail(DS_E_UNSUPPORTED, "safetensors", "%s: tensor '%s' of shape %s cannot have fp8 scales",
                  file(*weight).c_str(), weight->name.c_str(), shape_text(weight->shape).c_str())
          .at(file(*weight));
    std::string expected;
    for (const WeightScheme &way : scheme_.ways) {
      if (way.integers) continue;
      const uint64_t block_rows = way.blocks.rows ? way.blocks.rows : std::max<uint64_t>(rows, 1);
      const uint64_t block_cols = way.blocks.cols ? way.blocks.cols : std::max<uint64_t>(cols, 1);
      std::vector<uint64_t> shape = weight->shape;
      shape[shape.size() - 2] = ceil_div(rows, block_rows);
      shape[shape.size() - 1] = ceil_div(cols, block_cols);
      const bool whole = way.blocks == ScaleBlocks{0, 0};
      const bool one = whole && weight->shape.size() == 2 && scales->elements() == 1;
      if (scales->shape == shape || one) {
        weight->has_scales = true;
        weight->scales = {scales->range, static_cast<uint32_t>(block_rows), static_cast<uint32_t>(block_cols),
                          scales->dtype};
        return {};
      }
      if (!expected.empty()) expected += " or ";
      expected +=
          shape_text(shape) + " (blocks of " + std::to_string(block_rows) + " x " + std::to_string(block_cols) + ")";
    }
    if (expected.empty()) expected = "none: config.json has no scheme for 8-bit floats";
    return fail(DS_E_FORMAT, "safetensors", "%s: scales '%s' must have shape %s, found %s", file(*scales).c_str(),
                scales->name.c_str(), expected.c_str(), shape_text(scales->shape).c_str())
        .at(file(*scales));
  }

  static std::string module_of(const std::string &name, std::string_view suffix) {
    return name.substr(0, name.size() - suffix.size());
  }

  // One tensor of a packed weight: there, of its type, of its shape.
  Status need(const TensorInfo &weight, const std::string &name, const char *what, bool words,
              const std::vector<uint64_t> &shape, const TensorInfo **found) {
    *found = take(name);
    if (!*found) return missing(weight, "packed", std::string("its ") + what + " '" + name + "'");
    if (words && (*found)->stored_type != "I32") return wrong(**found, (*found)->stored_type, "I32");
    if (!words) DS_TRY(check_scale_type(**found));
    if ((*found)->shape != shape)
      return wrong(**found, shape_text((*found)->shape),
                   shape_text(shape) + ", by the shape of '" + weight.name + "'" + group_text_);
    return {};
  }

  // AWQ: words [in, out / 8]. GPTQ: words [in / 8, out]. Scales of both [G, out], zeros [G, out / 8].
  Status join_columns(const WeightScheme &way, TensorInfo *weight) {
    const bool awq = scheme_.method == QuantMethod::kAwq;
    const uint64_t in = weight->shape[0] * (awq ? 1 : kEight), out = weight->shape[1] * (awq ? kEight : 1);
    Int4Groups int4;
    int4.order = awq ? Int4Groups::Order::kAwq : Int4Groups::Order::kGptq;
    int4.zero_added = scheme_.zero_added;
    const std::string module = module_of(weight->name, kQWeight);
    const uint64_t groups = begin(way, in, &int4);
    if (awq && in % int4.group)
      return wrong(*weight, "of " + std::to_string(in) + " inputs",
                   "a multiple of group_size " + std::to_string(int4.group));
    const TensorInfo *scales, *zeros;
    DS_TRY(need(*weight, module + ".scales", "scales", false, {groups, out}, &scales));
    DS_TRY(need(*weight, module + ".qzeros", "zeros", true, {groups, ceil_div(out, kEight)}, &zeros));
    int4.scales = scales->range;
    int4.scale_type = scales->dtype;
    int4.zeros = zeros->range;
    DS_TRY(join_groups(module + ".g_idx", in, *weight, &int4));
    return finish(way, module, {out, in}, std::move(int4), weight);
  }

  // compressed-tensors: words [out, in / 8], scales [out, G], zeros [out / 8, G]. Several ways are told apart by G.
  Status join_rows(TensorInfo *weight) {
    const uint64_t out = weight->shape[0], in = weight->shape[1] * kEight;
    const std::string module = module_of(weight->name, kPacked);
    const TensorInfo *stated = all_.find(module + ".weight_scale");
    const WeightScheme *way = integer_way();
    for (const WeightScheme &each : scheme_.ways) {
      Int4Groups unused;
      if (!each.integers || !stated || stated->shape != std::vector<uint64_t>{out, begin(each, in, &unused)}) continue;
      const bool zeros = all_.find(module + ".weight_zero_point"), groups = all_.find(module + ".weight_g_idx");
      way = &each;
      if (zeros == !each.symmetric && groups == each.scattered) break;
    }
    Int4Groups int4;
    const uint64_t groups = begin(*way, in, &int4);
    const TensorInfo *scales, *zeros;
    DS_TRY(need(*weight, module + ".weight_scale", "scales", false, {out, groups}, &scales));
    int4.scales = scales->range;
    int4.scale_type = scales->dtype;
    if (!way->symmetric) {
      DS_TRY(need(*weight, module + ".weight_zero_point", "zeros", true, {ceil_div(out, kEight), groups}, &zeros));
      int4.zeros = zeros->range;
    }
    DS_TRY(join_groups(module + ".weight_g_idx", in, *weight, &int4));
    take(module + ".weight_shape");
    return finish(*way, module, {out, in}, std::move(int4), weight);
  }

  // The number of groups.
  uint64_t begin(const WeightScheme &way, uint64_t in, Int4Groups *int4) {
    int4->group = way.blocks.cols ? way.blocks.cols : std::max<uint64_t>(in, 1);
    int4->scattered = way.scattered;
    group_text_ = " and group_size " + std::to_string(int4->group);
    return ceil_div(in, int4->group);
  }

  Status join_groups(const std::string &name, uint64_t in, const TensorInfo &weight, Int4Groups *int4) {
    if (!all_.find(name) && !int4->scattered) return {};
    const TensorInfo *found;
    DS_TRY(need(weight, name, "groups", true, {in}, &found));
    int4->group_of = found->range;
    return {};
  }

  Status finish(const WeightScheme &way, const std::string &module, std::vector<uint64_t> shape, Int4Groups int4,
                TensorInfo *weight) {
    const std::string name = module + std::string(kWeight);
    if (all_.find(name)) return wrong(*weight, "packed, and '" + name + "' is there too", "one of them");
    int4.name = module;
    weight->name = name;
    weight->shape = std::move(shape);
    weight->dtype = way.scattered ? DType::kQ8_0 : way.symmetric ? DType::kQ4_0 : DType::kQ4_1;
    weight->stored_type = "int4";
    weight->int4 = std::make_shared<const Int4Groups>(std::move(int4));
    return {};
  }

  const QuantScheme &scheme_;
  const TensorDirectory &all_;
  std::set<std::string> taken_;
  std::string group_text_;
};

}  // namespace

Status join_quantised(const QuantScheme &scheme, TensorDirectory *all) {
  std::vector<TensorInfo> joined = all->tensors;
  Joiner joiner(scheme, *all);
  bool changed = false;
  for (TensorInfo &tensor : joined) {
    DS_TRY(joiner.join(&tensor));
    changed = changed || tensor.has_scales || tensor.int4;
  }
  if (!changed) return {};
  std::erase_if(joined, [&](const TensorInfo &tensor) { return joiner.taken().count(tensor.name) != 0; });
  all->tensors = std::move(joined);
  all->by_name.clear();
  for (uint32_t i = 0; i < all->tensors.size(); ++i) all->by_name.emplace(all->tensors[i].name, i);
  return {};
}

}  // namespace deepseam
