// Number formats of stored tensors: ids, names, sizes. The list itself is dtype.def.
// Self-contained (standard headers only), because backends/sdk includes it as well.
#pragma once

#include <cstdint>
#include <string_view>

namespace deepseam {

enum class DType : uint32_t {
  kNone = 0,
#define DS_DTYPE(name, id, text, elements, bytes) name = id,
#include "base/dtype.def"
#undef DS_DTYPE
};

struct DTypeInfo {
  DType dtype = DType::kNone;
  const char *name = "none";
  uint32_t block_elements = 0;
  uint32_t block_bytes = 0;
};

// {kNone, "none", 0, 0} for an unknown id.
constexpr DTypeInfo dtype_info(DType dtype) {
  switch (dtype) {
#define DS_DTYPE(name, id, text, elements, bytes) \
  case DType::name:                               \
    return {DType::name, text, elements, bytes};
#include "base/dtype.def"
#undef DS_DTYPE
    default:
      return {};
  }
}

constexpr DType dtype_from_name(std::string_view name) {
#define DS_DTYPE(id_name, id, text, elements, bytes) \
  if (name == text) return DType::id_name;
#include "base/dtype.def"
#undef DS_DTYPE
  return DType::kNone;
}

// The format in which a backend gets a tensor of this one: itself, or for those that only files hold what they are
// turned into. kNone for an unknown id.
constexpr DType compute_dtype(DType dtype) {
  switch (dtype) {
#define DS_DTYPE(name, id, text, elements, bytes) \
  case DType::name:                               \
    return DType::name;
#define DS_STORED_DTYPE(name, id, text, elements, bytes, compute) \
  case DType::name:                                               \
    return DType::compute;
#include "base/dtype.def"
#undef DS_DTYPE
    default:
      return DType::kNone;
  }
}

// The same for a backend that refuses Q5_0, Q4_K, Q5_K and Q6_K, which not every backend has to know.
constexpr DType basic_dtype(DType dtype) {
  if (dtype == DType::kQ4_K) return DType::kQ4_1;
  if (dtype == DType::kQ5_0 || dtype == DType::kQ5_K || dtype == DType::kQ6_K) return DType::kQ8_0;
  return compute_dtype(dtype);
}

constexpr uint64_t row_blocks(DType dtype, uint64_t elements) {
  const uint64_t per_block = dtype_info(dtype).block_elements;
  return per_block ? elements / per_block + (elements % per_block != 0) : 0;
}

// Bytes of one row of `elements` values. The caller has bounded `elements` (format/ caps dims at 2^40).
constexpr uint64_t row_bytes(DType dtype, uint64_t elements) {
  return row_blocks(dtype, elements) * dtype_info(dtype).block_bytes;
}

}  // namespace deepseam
