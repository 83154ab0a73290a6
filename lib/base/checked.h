// Overflow-safe arithmetic on counts, offsets and sizes that come from files or from callers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace deepseam {

inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t sum;
  if (__builtin_add_overflow(a, b, &sum)) return std::nullopt;
  return sum;
}

inline std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
  uint64_t product;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

// The product of all dims; nothing on overflow. 1 for a scalar.
inline std::optional<uint64_t> checked_product(std::span<const uint64_t> dims) {
  uint64_t product = 1;
  for (uint64_t dim : dims)
    if (__builtin_mul_overflow(product, dim, &product)) return std::nullopt;
  return product;
}

// Whether [offset, offset + size) lies within [0, limit).
inline bool within(uint64_t offset, uint64_t size, uint64_t limit) { return offset <= limit && size <= limit - offset; }

// a rounded up to a multiple of unit (a power of two); nothing on overflow.
inline std::optional<uint64_t> checked_align(uint64_t a, uint64_t unit) {
  auto sum = checked_add(a, unit - 1);
  if (!sum) return std::nullopt;
  return *sum & ~(unit - 1);
}

}  // namespace deepseam
