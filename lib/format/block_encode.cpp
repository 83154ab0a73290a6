// The formats of 32 elements with scales in binary16: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1.
#include "format/block_encode.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "format/block_fit.h"

namespace deepseam {
namespace {

constexpr int kBlock = 32;

inline float magnitude(float x) { return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0x7fffffffu); }

void put_half(uint16_t bits, uint8_t *out) { std::memcpy(out, &bits, 2); }

// The value of largest magnitude with its sign; the first of several.
float extreme_of(const float *x) {
  float extreme = x[0];  // of zeros the sign of the first, as the plain formats have it
  for (int i = 1; i < kBlock; ++i)
    if (magnitude(x[i]) > magnitude(extreme)) extreme = x[i];
  return extreme;
}

// Low nibbles of 16 bytes hold elements 0 … 15, high ones 16 … 31.
void put_nibbles(const uint8_t *q, uint8_t *out) {
  for (int i = 0; i < kBlock / 2; ++i) out[i] = static_cast<uint8_t>((q[i] & 15) | (q[i + kBlock / 2] & 15) << 4);
}

// The fifth bits as one word.
void put_high_bits(const uint8_t *q, uint8_t *out) {
  uint32_t high = 0;
  for (int i = 0; i < kBlock; ++i) high |= static_cast<uint32_t>(q[i] >> 4 & 1) << i;
  std::memcpy(out, &high, 4);
}

// Whether every value is d times a level of lowest … highest, without rounding.
inline bool lies_on_grid(const float *x, float d, float lowest, float highest) {
  for (int i = 0; i < kBlock; ++i) {
    const float level = round_even(x[i] / d);
    if (!(level >= lowest && level <= highest) || level * d != x[i]) return false;
  }
  return true;
}

// A scale's quotient must be a binary16 already, which few numbers are by chance; only then is the block looked at.
inline bool is_f16(float d) { return f16_to_f32(f32_to_f16(d)) == d; }

// The scale under which the block loses nothing, or 0 if there is none that makes the largest value a level near 127
// (whoever rounds to a subnormal scale may end a little below it).
float exact_q8_scale(const float *x, float largest) {
  for (float level = 127; level > 111; --level) {
    const float d = largest / level;
    if (is_f16(d) && lies_on_grid(x, d, -127, 127)) return d;
  }
  return 0;
}

void encode_q8_0(const float *x, const float *, uint8_t *out) {
  float largest = 0;
  for (int i = 0; i < kBlock; ++i) largest = std::max(largest, magnitude(x[i]));
  const float exact = largest > 0 ? exact_q8_scale(x, largest) : 0;
  uint16_t bits = f32_to_f16(exact > 0 ? exact : largest / 127.0f);
  // A scale rounded down so far that the largest value would be cut off: the next one up.
  if (largest > 127.5f * f16_to_f32(bits)) ++bits;
  const float d = f16_to_f32(bits), inverse = d > 0 ? 1.0f / d : 0.0f;
  put_half(bits, out);
  float level[kBlock];
  nearest_levels(x, inverse, 0, -127, 127, level);
  for (int i = 0; i < kBlock; ++i) out[2 + i] = static_cast<uint8_t>(static_cast<int8_t>(level[i]));
}

// Half rounds away from zero, and the scale is rounded only after the levels have been chosen.
void encode_plain_q8_0(const float *x, const float *, uint8_t *out) {
  const float d = magnitude(extreme_of(x)) / 127.0f, inverse = d != 0 ? 1.0f / d : 0.0f;
  put_half(f32_to_f16(d), out);
  for (int i = 0; i < kBlock; ++i) {
    const float scaled = x[i] * inverse, size = magnitude(scaled), whole = std::floor(size),
                rounded = whole + std::floor(2.0f * (size - whole));
    const bool holds = rounded <= 127.0f;  // not where the inverse of a tiny scale is infinite
    out[2 + i] = holds ? static_cast<uint8_t>(static_cast<int>(scaled < 0 ? -rounded : rounded)) : 0;
  }
}

// The scale under which the block loses nothing, or 0 if there is none. The extreme value is level -8 or, whatever its
// sign, 7 … 1 of a positive scale.
float exact_q4_scale(const float *x, float extreme) {
  constexpr float kLevels[] = {-8, 7, 6, 5, 4, 3, 2, 1};
  for (const float level : kLevels) {
    const float d = (level < 0 ? extreme : magnitude(extreme)) / level;
    if (is_f16(d) && lies_on_grid(x, d, -8, 7)) return d;
  }
  return 0;
}

// A block that lies on a grid of levels -8 … 7 already, such as one that was Q4_0 before, keeps every number.
void encode_q4_0(const float *x, const float *w, uint8_t *out) {
  const float extreme = extreme_of(x);
  float d = 0;
  if (magnitude(extreme) > 1e-30f) {
    d = exact_q4_scale(x, extreme);
    if (d == 0) d = fit_scale<kBlock>(x, w, -8, 7);
  }
  const uint16_t bits = f32_to_f16(d);
  d = f16_to_f32(bits);
  put_half(bits, out);
  float level[kBlock];
  nearest_levels(x, d != 0 ? 1.0f / d : 0.0f, 0, -8, 7, level);
  uint8_t q[kBlock];
  for (int i = 0; i < kBlock; ++i) q[i] = static_cast<uint8_t>(static_cast<int>(level[i]) + 8);
  put_nibbles(q, out + 2);
}

void encode_plain_q4_0(const float *x, const float *, uint8_t *out) {
  const float d = extreme_of(x) / -8.0f, inverse = d != 0 ? 1.0f / d : 0.0f;
  put_half(f32_to_f16(d), out);
  uint8_t q[kBlock];
  for (int i = 0; i < kBlock; ++i) {
    const float level = x[i] * inverse + 8.5f;
    const bool holds = level >= 0 && level < 256;  // not where the inverse of a tiny scale is infinite
    q[i] = holds ? static_cast<uint8_t>(std::min(static_cast<int>(level), 15)) : 0;
  }
  put_nibbles(q, out + 2);
}

void encode_q5_0(const float *x, const float *w, uint8_t *out) {
  const uint16_t bits = f32_to_f16(fit_scale<kBlock>(x, w, -16, 15));
  const float d = f16_to_f32(bits);
  put_half(bits, out);
  float level[kBlock];
  nearest_levels(x, d != 0 ? 1.0f / d : 0.0f, 0, -16, 15, level);
  uint8_t q[kBlock];
  for (int i = 0; i < kBlock; ++i) q[i] = static_cast<uint8_t>(static_cast<int>(level[i]) + 16);
  put_high_bits(q, out + 2);
  put_nibbles(q, out + 6);
}

// Q4_1 and Q5_1 begin alike; q gets the levels.
void fit_with_minimum(const float *x, const float *w, int highest, uint8_t *out, uint8_t (&q)[kBlock]) {
  const ScaleAndMinimum fit = fit_scale_and_minimum(x, w, highest, false);
  const uint16_t scale = f32_to_f16(fit.scale), minimum = f32_to_f16(-fit.minimum);
  put_half(scale, out);
  put_half(minimum, out + 2);
  const float d = f16_to_f32(scale);
  float level[kBlock];
  nearest_levels(x, d != 0 ? 1.0f / d : 0.0f, -f16_to_f32(minimum), 0, static_cast<float>(highest), level);
  for (int i = 0; i < kBlock; ++i) q[i] = static_cast<uint8_t>(static_cast<int>(level[i]));
}

void encode_q4_1(const float *x, const float *w, uint8_t *out) {
  uint8_t q[kBlock];
  fit_with_minimum(x, w, 15, out, q);
  put_nibbles(q, out + 4);
}

void encode_q5_1(const float *x, const float *w, uint8_t *out) {
  uint8_t q[kBlock];
  fit_with_minimum(x, w, 31, out, q);
  put_high_bits(q, out + 4);
  put_nibbles(q, out + 8);
}

}  // namespace

EncodeBlock block_encoder(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
      return encode_q8_0;
    case DType::kQ4_0:
      return encode_q4_0;
    case DType::kQ4_1:
      return encode_q4_1;
    case DType::kQ5_0:
      return encode_q5_0;
    case DType::kQ5_1:
      return encode_q5_1;
    case DType::kQ3_K:
      return encode_q3_k;
    case DType::kQ4_K:
      return encode_q4_k;
    case DType::kQ5_K:
      return encode_q5_k;
    case DType::kQ6_K:
      return encode_q6_k;
    default:
      return nullptr;
  }
}

EncodeBlock plain_block_encoder(DType dtype) {
  if (dtype == DType::kQ4_0) return encode_plain_q4_0;
  return dtype == DType::kQ8_0 ? encode_plain_q8_0 : nullptr;
}

}  // namespace deepseam
