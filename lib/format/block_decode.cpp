// The formats with plain levels: legacy 4 and 5 bits, K-quants (some of them: base/k_blocks.h), IQ4, MXFP4, ternary.
#include "format/block_decode.h"

#include <bit>
#include <cstddef>
#include <cstring>

#include "base/half.h"
#include "base/k_blocks.h"

namespace deepseam {
namespace {

constexpr int8_t kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
constexpr int8_t kE2m1Twice[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

float half_at(const uint8_t *at) {
  uint16_t bits;
  std::memcpy(&bits, at, 2);
  return f16_to_f32(bits);
}

uint32_t word_at(const uint8_t *at) {
  uint32_t word;
  std::memcpy(&word, at, 4);
  return word;
}

// Element i of 32 nibbles: the low ones come first.
int nibble(const uint8_t *at, int i) { return i < 16 ? at[i] & 15 : at[i - 16] >> 4; }

void decode_q4_1(const uint8_t *in, float *out) {
  const float d = half_at(in), m = half_at(in + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(nibble(in + 4, i)) + m;
}

void levels_q5_0(const uint8_t *in, float *scales, int8_t *levels) {
  const uint32_t high = word_at(in + 2);
  scales[0] = half_at(in);
  for (int i = 0; i < 32; ++i)
    levels[i] = static_cast<int8_t>((nibble(in + 6, i) | static_cast<int>(high >> i & 1) << 4) - 16);
}

void decode_q5_1(const uint8_t *in, float *out) {
  const float d = half_at(in), m = half_at(in + 2);
  const uint32_t high = word_at(in + 4);
  for (int i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>(nibble(in + 8, i) | static_cast<int>(high >> i & 1) << 4) + m;
}

// The order of 2-bit numbers in Q2_K, Q3_K, TQ2_0: 128 elements from 32 bytes, a pair of bits after the other.
int pair_at(const uint8_t *in, int i) { return in[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2) & 3; }

void decode_q2_k(const uint8_t *in, float *out) {
  const float d = half_at(in + 80), dmin = half_at(in + 82);
  for (int group = 0; group < 16; ++group) {
    const float scale = d * static_cast<float>(in[group] & 15), minimum = dmin * static_cast<float>(in[group] >> 4);
    for (int i = group * 16; i < group * 16 + 16; ++i)
      out[i] = scale * static_cast<float>(pair_at(in + 16, i)) - minimum;
  }
}

void decode_q3_k(const uint8_t *in, float *out) {
  const uint8_t *packed = in + 96;
  const float d = half_at(in + 108);
  for (int group = 0; group < 16; ++group) {
    const int low = group < 8 ? packed[group] & 15 : packed[group - 8] >> 4;
    const int high = packed[8 + group % 4] >> (group / 4 * 2) & 3;
    const float scale = d * static_cast<float>((low | high << 4) - 32);
    for (int i = group * 16; i < group * 16 + 16; ++i) {
      const int kept = in[i % 32] >> (i / 32) & 1;  // where the bit is set nothing is taken off
      out[i] = scale * static_cast<float>(pair_at(in + 32, i) - (kept ? 0 : 4));
    }
  }
}

void decode_q8_k(const uint8_t *in, float *out) {
  const float d = std::bit_cast<float>(word_at(in));
  for (int i = 0; i < 256; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(in[4 + i]));
}

void levels_iq4_nl(const uint8_t *in, float *scales, int8_t *levels) {
  scales[0] = half_at(in);
  for (int i = 0; i < 32; ++i) levels[i] = kIq4Levels[nibble(in + 2, i)];
}

void levels_iq4_xs(const uint8_t *in, float *scales, int8_t *levels) {
  const float d = half_at(in);
  const int high = in[2] | in[3] << 8;
  for (int group = 0; group < 8; ++group) {
    const int low = in[4 + group / 2] >> (group % 2 * 4) & 15;
    scales[group] = d * static_cast<float>((low | (high >> 2 * group & 3) << 4) - 32);
    for (int i = 0; i < 32; ++i) levels[group * 32 + i] = kIq4Levels[nibble(in + 8 + group * 16, i)];
  }
}

void levels_mxfp4(const uint8_t *in, float *scales, int8_t *levels) {
  const uint32_t e = in[0];
  scales[0] = std::bit_cast<float>(e < 2 ? 0x00200000u << e : (e - 1) << 23);  // 2^(e-128)
  for (int i = 0; i < 32; ++i) levels[i] = kE2m1Twice[nibble(in + 1, i)];
}

// Digit `place` of a byte that holds the fraction 0.abcde in base 3, as 256ths rounded up.
int digit_at(uint8_t byte, int place) {
  constexpr uint8_t kPowers[5] = {1, 3, 9, 27, 81};
  return static_cast<uint8_t>(byte * kPowers[place]) * 3 >> 8;
}

void decode_tq1_0(const uint8_t *in, float *out) {
  const float d = half_at(in + 52);
  const auto put = [&](const uint8_t *bytes, int n_bytes, int places) {
    for (int place = 0; place < places; ++place)
      for (int i = 0; i < n_bytes; ++i) *out++ = d * static_cast<float>(digit_at(bytes[i], place) - 1);
  };
  put(in, 32, 5);
  put(in + 32, 16, 5);
  put(in + 48, 4, 4);
}

void decode_tq2_0(const uint8_t *in, float *out) {
  const float d = half_at(in + 64);
  for (int i = 0; i < 256; ++i) out[i] = d * static_cast<float>(pair_at(in, i) - 1);
}

// A format of levels as float.
template <DecodeLevels kLevels, size_t kElements>
void decode_levels(const uint8_t *in, float *out) {
  float scales[kElements / 32];
  int8_t levels[kElements];
  kLevels(in, scales, levels);
  for (size_t i = 0; i < kElements; ++i) out[i] = scales[i / 32] * static_cast<float>(levels[i]);
}

}  // namespace

DecodeBlock stored_block_decoder(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
      return decode_q4_1;
    case DType::kQ5_0:
      return decode_q5_0;
    case DType::kQ5_1:
      return decode_q5_1;
    case DType::kQ2_K:
      return decode_q2_k;
    case DType::kQ3_K:
      return decode_q3_k;
    case DType::kQ4_K:
      return decode_q4_k;
    case DType::kQ5_K:
      return decode_q5_k;
    case DType::kQ6_K:
      return decode_q6_k;
    case DType::kQ8_K:
      return decode_q8_k;
    case DType::kIQ4_NL:
      return decode_levels<levels_iq4_nl, 32>;
    case DType::kIQ4_XS:
      return decode_levels<levels_iq4_xs, 256>;
    case DType::kMXFP4:
      return decode_levels<levels_mxfp4, 32>;
    case DType::kTQ1_0:
      return decode_tq1_0;
    case DType::kTQ2_0:
      return decode_tq2_0;
    case DType::kIQ2_XXS:
      return decode_iq2_xxs;
    case DType::kIQ2_XS:
      return decode_iq2_xs;
    case DType::kIQ2_S:
      return decode_iq2_s;
    case DType::kIQ3_XXS:
      return decode_iq3_xxs;
    case DType::kIQ3_S:
      return decode_iq3_s;
    case DType::kIQ1_S:
      return decode_iq1_s;
    case DType::kIQ1_M:
      return decode_iq1_m;
    default:
      return nullptr;
  }
}

DecodeLevels stored_level_decoder(DType dtype) {
  switch (dtype) {
    case DType::kQ5_0:
      return levels_q5_0;
    case DType::kIQ4_NL:
      return levels_iq4_nl;
    case DType::kIQ4_XS:
      return levels_iq4_xs;
    case DType::kMXFP4:
      return levels_mxfp4;
    case DType::kIQ2_XXS:
      return levels_iq2_xxs;
    case DType::kIQ3_XXS:
      return levels_iq3_xxs;
    case DType::kIQ3_S:
      return levels_iq3_s;
    case DType::kIQ1_S:
      return levels_iq1_s;
    default:
      return nullptr;
  }
}

}  // namespace deepseam
