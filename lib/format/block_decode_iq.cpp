// The formats whose elements are rows of code books (iq_grids.h): IQ1, IQ2, IQ3. See block_decode.h.
//
// All scales and levels are short binary numbers, so products are exact and their order does not matter. Fields in file
// order; 256 elements a block, e(…) are groups of eight of them (IQ3: four):
//   IQ2_XXS d, per 32: four 8-bit codes, u32 of four 7-bit signs and a 4-bit scale: d*(scale+1/2)/4 * ±level
//   IQ2_XS  d, u16[32] of a 9-bit code and 7-bit signs, 4-bit scales per 16
//   IQ2_S   d, low codes[32], signs[32], high 2-bit codes[8], 4-bit scales per 16
//   IQ3_XXS d, codes[64], u32[8] as in IQ2_XXS: d*(scale+1/2)/2 * ±level
//   IQ3_S   d, low codes[64], high bits[8], signs[32], 4-bit scales per 32: d*(1+2*scale) * ±level
//   IQ1_S   d, low codes[32], u16[8] of four 3-bit high codes, a 3-bit scale and a sign: d*(2*scale+1) * (level ± 1/8)
//   IQ1_M   low codes[32], per 16: two 3-bit high codes with a sign each [16], u16[4] of four 3-bit scales and 4 bits
//   of d
#include <bit>
#include <cstring>

#include "base/half.h"
#include "format/block_decode.h"
#include "format/iq_grids.h"

namespace deepseam {
namespace {

constexpr int8_t kLevels2[4] = {8, 25, 43, 0};  // the fourth code does not occur in the books
constexpr int8_t kLevels3Xxs[8] = {4, 12, 20, 28, 36, 44, 52, 62};
constexpr int8_t kLevels3S[8] = {1, 3, 5, 7, 9, 11, 13, 15};

uint16_t u16_at(const uint8_t *at) {
  uint16_t value;
  std::memcpy(&value, at, 2);
  return value;
}

uint32_t u32_at(const uint8_t *at) {
  uint32_t value;
  std::memcpy(&value, at, 4);
  return value;
}

float half_at(const uint8_t *at) { return f16_to_f32(u16_at(at)); }

// Seven stored signs; the eighth makes their number even.
uint8_t even_signs(uint32_t seven) {
  seven &= 127;
  return static_cast<uint8_t>(seven | static_cast<uint32_t>(std::popcount(seven) & 1) << 7);
}

int8_t with_sign(int8_t level, bool negative) { return static_cast<int8_t>(negative ? -level : level); }

void put_eight(uint16_t codes, uint8_t signs, int8_t *levels) {
  for (int i = 0; i < 8; ++i) levels[i] = with_sign(kLevels2[codes >> 2 * i & 3], signs >> i & 1);
}

// `signs` in its lowest four bits.
void put_four(uint16_t codes, const int8_t (&book)[8], int signs, int8_t *levels) {
  for (int i = 0; i < 4; ++i) levels[i] = with_sign(book[codes >> 4 * i & 7], signs >> i & 1);
}

int nibble_of(const uint8_t *at, int group) { return at[group / 2] >> (group % 2 * 4) & 15; }

// 256 levels with a scale for each `per` of them.
void scale_levels(const float *scales, const int8_t *levels, int per, float *out) {
  for (int i = 0; i < 256; ++i) out[i] = scales[i / per] * static_cast<float>(levels[i]);
}

// Ternary codes plus or minus an eighth, as eighths.
void put_eighths(uint16_t codes, bool negative, int8_t *levels) {
  for (int i = 0; i < 8; ++i) levels[i] = static_cast<int8_t>(((codes >> 2 * i & 3) - 1) * 8 + (negative ? -1 : 1));
}

template <DecodeLevels kDecode>
void decode_by_levels(const uint8_t *in, float *out) {
  float scales[8];
  int8_t levels[256];
  kDecode(in, scales, levels);
  scale_levels(scales, levels, 32, out);
}

}  // namespace

void levels_iq2_xxs(const uint8_t *in, float *scales, int8_t *levels) {
  const float d = half_at(in);
  for (int group = 0; group < 8; ++group) {
    const uint8_t *codes = in + 2 + group * 8;
    const uint32_t packed = u32_at(codes + 4);
    scales[group] = d * (0.5f + static_cast<float>(packed >> 28)) * 0.25f;
    for (int i = 0; i < 4; ++i)
      put_eight(kIq2XxsGrid[codes[i]], even_signs(packed >> 7 * i), levels + group * 32 + i * 8);
  }
}

void levels_iq3_xxs(const uint8_t *in, float *scales, int8_t *levels) {
  const float d = half_at(in);
  for (int group = 0; group < 8; ++group) {
    const uint8_t *codes = in + 2 + group * 8;
    const uint32_t packed = u32_at(in + 66 + group * 4);
    scales[group] = d * (0.5f + static_cast<float>(packed >> 28)) * 0.5f;
    for (int i = 0; i < 8; ++i)
      put_four(kIq3XxsGrid[codes[i]], kLevels3Xxs, even_signs(packed >> (i / 2 * 7)) >> (i % 2 * 4),
               levels + group * 32 + i * 4);
  }
}

void levels_iq3_s(const uint8_t *in, float *scales, int8_t *levels) {
  const uint8_t *high = in + 66, *signs = in + 74;
  const float d = half_at(in);
  for (int group = 0; group < 8; ++group) {
    scales[group] = d * static_cast<float>(1 + 2 * nibble_of(in + 106, group));
    for (int i = 0; i < 8; ++i) {
      const int code = in[2 + group * 8 + i] | (high[group] >> i & 1) << 8;
      put_four(kIq3SGrid[static_cast<size_t>(code)], kLevels3S, signs[group * 4 + i / 2] >> (i % 2 * 4),
               levels + group * 32 + i * 4);
    }
  }
}

void levels_iq1_s(const uint8_t *in, float *scales, int8_t *levels) {
  const float d = half_at(in);
  for (int group = 0; group < 8; ++group) {
    const uint16_t packed = u16_at(in + 34 + group * 2);
    scales[group] = d * static_cast<float>(2 * (packed >> 12 & 7) + 1) * 0.125f;
    for (int i = 0; i < 4; ++i) {
      const int code = in[2 + group * 4 + i] | (packed >> 3 * i & 7) << 8;
      put_eighths(kIq1Grid[static_cast<size_t>(code)], packed & 0x8000, levels + group * 32 + i * 8);
    }
  }
}

void decode_iq2_xxs(const uint8_t *in, float *out) { decode_by_levels<levels_iq2_xxs>(in, out); }
void decode_iq3_xxs(const uint8_t *in, float *out) { decode_by_levels<levels_iq3_xxs>(in, out); }
void decode_iq3_s(const uint8_t *in, float *out) { decode_by_levels<levels_iq3_s>(in, out); }
void decode_iq1_s(const uint8_t *in, float *out) { decode_by_levels<levels_iq1_s>(in, out); }

void decode_iq2_xs(const uint8_t *in, float *out) {
  float scales[16];
  int8_t levels[256];
  const float d = half_at(in);
  for (int group = 0; group < 16; ++group)
    scales[group] = d * (0.5f + static_cast<float>(nibble_of(in + 66, group))) * 0.25f;
  for (int i = 0; i < 32; ++i) {
    const uint16_t packed = u16_at(in + 2 + i * 2);
    put_eight(kIq2XsGrid[packed & 511], even_signs(packed >> 9), levels + i * 8);
  }
  scale_levels(scales, levels, 16, out);
}

void decode_iq2_s(const uint8_t *in, float *out) {
  float scales[16];
  int8_t levels[256];
  const float d = half_at(in);
  for (int group = 0; group < 16; ++group)
    scales[group] = d * (0.5f + static_cast<float>(nibble_of(in + 74, group))) * 0.25f;
  for (int i = 0; i < 32; ++i) {
    const int code = in[2 + i] | (in[66 + i / 4] >> (i % 4 * 2) & 3) << 8;
    put_eight(kIq2SGrid[static_cast<size_t>(code)], in[34 + i], levels + i * 8);
  }
  scale_levels(scales, levels, 16, out);
}

void decode_iq1_m(const uint8_t *in, float *out) {
  float scales[16];
  int8_t levels[256];
  uint16_t words[4], bits = 0;
  for (int i = 0; i < 4; ++i) {
    words[i] = u16_at(in + 48 + i * 2);
    bits = static_cast<uint16_t>(bits | (words[i] & 0xf000) >> (12 - 4 * i));
  }
  const float d = f16_to_f32(bits);
  for (int group = 0; group < 16; ++group)
    scales[group] = d * static_cast<float>(2 * (words[group / 4] >> (group % 4 * 3) & 7) + 1) * 0.125f;
  for (int i = 0; i < 32; ++i) {
    const int high = nibble_of(in + 32, i), code = in[i] | (high & 7) << 8;
    put_eighths(kIq1Grid[static_cast<size_t>(code)], high & 8, levels + i * 8);
  }
  scale_levels(scales, levels, 16, out);
}

}  // namespace deepseam
