// The block formats of GGUF that backends know beside those of 32 elements and one scale (dtype.def): Q5_0, Q4_K, Q5_K
// and Q6_K as numbers, and their levels and scales for those who lay the blocks out anew.
//
// Numbers are bit for bit those of the formats' reference implementation: products and sums are taken in its order. Any
// bytes are a block; scales that are infinite or NaN give such numbers. Layouts, fields in file order; d and dmin are
// binary16, n(…) are packed small numbers:
//
//   Q5_0  d, high bits u32, n4[32]: d*(n-16)
//   Q4_K  d, dmin, 8 pairs of 6-bit scale and minimum [12], n4[256]: d*scale*n - dmin*minimum, per 32
//   Q5_K  d, dmin, the same 12 bytes, high bits[32], n4[256]
//   Q6_K  low n4[256], high n2[256], int8 scales[16], d: d*scale*(n-32), per 16
#pragma once

#include <cstdint>

namespace deepseam {

// Scale and minimum of a group of 32 in Q4_K and Q5_K, as their 12 packed bytes have them.
struct GroupScale {
  uint8_t scale, minimum;
};
constexpr GroupScale q4_k_group(const uint8_t *packed, int group) {
  const auto byte = [](int value) { return static_cast<uint8_t>(value); };
  if (group < 4) return {byte(packed[group] & 63), byte(packed[group + 4] & 63)};
  return {byte((packed[group + 4] & 15) | packed[group - 4] >> 6 << 4),
          byte(packed[group + 4] >> 4 | packed[group] >> 6 << 4)};
}

// in[22] to out[32]; in[144], in[176], in[210] to out[256].
void decode_q5_0(const uint8_t *in, float *out);
void decode_q4_k(const uint8_t *in, float *out);
void decode_q5_k(const uint8_t *in, float *out);
void decode_q6_k(const uint8_t *in, float *out);

}  // namespace deepseam
