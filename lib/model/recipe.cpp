// See recipe.h.
#include "model/recipe.h"

#include <algorithm>
#include <utility>

namespace deepseam::model {
namespace {

constexpr size_t kMostExceptions = 1024;

// A role without the layer or module that it belongs to.
std::string_view local_name(std::string_view role) {
  for (const std::string_view prefix : {std::string_view("layers."), std::string_view("mtp.")})
    if (role.starts_with(prefix)) {
      const size_t dot = role.find('.', prefix.size());
      return dot == std::string_view::npos ? role : role.substr(dot + 1);
    }
  return role;
}

bool is_vocabulary(const std::string &role) {
  const std::string_view name = local_name(role);
  return name == "embed" || name == "lm_head" || (role.starts_with("mtp.") && name == "head");
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> list) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

bool names(std::string_view name, const std::string &role) {
  const std::string_view local = local_name(role);
  if (name == role || name == local) return true;
  if (name == "attention") return is_one_of(local, {"q", "q_a", "q_b", "kv_a", "kv_b", "o"});
  if (name == "dense") return is_one_of(local, {"gate", "up", "down"});
  if (name == "shared") return local.starts_with("shared.");
  if (name == "experts") return local.starts_with("experts.");
  return name == "vocabulary" && is_vocabulary(role);
}

struct TypeName {
  std::string_view name;
  PackType type;
  DType dtype;  // for rows of any length; kNone: it depends
};
constexpr TypeName kTypes[] = {{"", PackType::kSource, DType::kNone},   {"as-is", PackType::kSource, DType::kNone},
                               {"f32", PackType::kF32, DType::kF32},    {"f16", PackType::kF16, DType::kF16},
                               {"bf16", PackType::kBF16, DType::kBF16}, {"fp8", PackType::kFp8, DType::kF8E4M3},
                               {"q8", PackType::kQ8, DType::kQ8_0},     {"q6", PackType::kQ6, DType::kNone},
                               {"q5", PackType::kQ5, DType::kNone},     {"q4", PackType::kQ4, DType::kQ4_0},
                               {"q3", PackType::kQ3, DType::kNone},     {"q8_0", PackType::kQ8_0, DType::kQ8_0},
                               {"q4_0", PackType::kQ4_0, DType::kQ4_0}, {"q4_1", PackType::kQ4_1, DType::kQ4_1},
                               {"q5_0", PackType::kQ5_0, DType::kQ5_0}, {"q5_1", PackType::kQ5_1, DType::kQ5_1},
                               {"q3_k", PackType::kQ3_K, DType::kQ3_K}, {"q4_k", PackType::kQ4_K, DType::kQ4_K},
                               {"q5_k", PackType::kQ5_K, DType::kQ5_K}, {"q6_k", PackType::kQ6_K, DType::kQ6_K}};

DType shorter(uint64_t cols, DType large_blocks, DType small_blocks) {
  return row_bytes(large_blocks, cols) <= row_bytes(small_blocks, cols) ? large_blocks : small_blocks;
}

}  // namespace

Result<PackType> pack_type_from_name(std::string_view name) {
  for (const TypeName &known : kTypes)
    if (known.name == name) return known.type;
  return fail(DS_E_ARGUMENT, "pack",
              "the weight type is one of f32, f16, bf16, fp8, q8, q6, q5, q4, q3, as-is, or a block format such as "
              "q4_k, found '%.*s'",
              static_cast<int>(std::min<size_t>(name.size(), 32)), name.data());
}

DType stored_dtype(PackType type, uint64_t cols) {
  if (type == PackType::kQ6) return shorter(cols, DType::kQ6_K, DType::kQ8_0);
  if (type == PackType::kQ5) return shorter(cols, DType::kQ5_K, DType::kQ5_0);
  if (type == PackType::kQ3) return shorter(cols, DType::kQ3_K, DType::kQ4_0);
  for (const TypeName &known : kTypes)
    if (known.type == type) return known.dtype;
  return DType::kNone;
}

bool is_plain(PackType type) { return type == PackType::kQ8_0 || type == PackType::kQ4_0; }

PackType packed_type(const WeightSpec &spec, PackType type) {
  if (spec.keep_float) return PackType::kF32;
  const std::string_view local = local_name(spec.role);
  const bool wide = is_vocabulary(spec.role) || local == "eh_proj";
  if (type == PackType::kFp8 && wide) return PackType::kBF16;
  const bool few_bits = type == PackType::kQ4 || type == PackType::kQ3;
  if (type != PackType::kQ6 && type != PackType::kQ5 && !few_bits) return type;
  if (wide || local == "kv_a" || local == "kv_b") return PackType::kQ8;
  if (!few_bits) return type;
  if (type == PackType::kQ4 && local == "experts.down") return PackType::kQ5_0;
  return local.starts_with("experts.") ? type : PackType::kQ5_0;
}

Status parse_exceptions(std::string_view text, std::vector<PackException> *list) {
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals + 1 == text.size())
    return fail(DS_E_ARGUMENT, "pack", "exceptions look like 'q8=embed,kv_a', found '%.*s'",
                static_cast<int>(std::min<size_t>(text.size(), 64)), text.data());
  DS_TRY_VALUE(const PackType type, pack_type_from_name(text.substr(0, equals)));
  for (std::string_view rest = text.substr(equals + 1);;) {
    const size_t comma = rest.find(',');
    const std::string_view name = rest.substr(0, comma);
    if (name.empty() || list->size() >= kMostExceptions)
      return fail(DS_E_ARGUMENT, "pack", "exceptions '%.*s': %s", static_cast<int>(std::min<size_t>(text.size(), 64)),
                  text.data(), name.empty() ? "a name is empty" : "more than 1024 names");
    list->push_back({type, std::string(name)});
    if (comma == std::string_view::npos) return {};
    rest.remove_prefix(comma + 1);
  }
}

Status check_exceptions(const WeightMap &weights, const std::vector<PackException> &list) {
  for (const PackException &exception : list) {
    bool known = false, free = false;
    for (const WeightBinding &weight : weights.bindings) {
      if (!names(exception.name, weight.spec.role)) continue;
      known = true;
      free = free || !weight.spec.keep_float;
    }
    if (free) continue;
    return fail(DS_E_ARGUMENT, "pack", "'%.100s' %s", exception.name.c_str(),
                known ? "is always stored as f32"
                      : "names no weight of this model, whose names are such as embed, layers.0.o, o, experts.down");
  }
  return {};
}

PackType packed_type(const WeightSpec &spec, PackType type, const std::vector<PackException> &list) {
  if (spec.keep_float) return PackType::kF32;
  for (auto exception = list.rbegin(); exception != list.rend(); ++exception)
    if (names(exception->name, spec.role)) return exception->type;
  return packed_type(spec, type);
}

DType packed_dtype(const WeightSpec &spec, PackType type, const std::vector<PackException> &list) {
  return stored_dtype(packed_type(spec, type, list), spec.shape.back());
}

}  // namespace deepseam::model
