// Blocks of 256 elements whose groups have small scales of their own under one or two binary16: Q3_K to Q6_K.
//
// First each group gets the scale (and minimum) that is best for it alone; then the block's own scale is tried from
// several starts, each group takes the neighbour of its rounded scale that loses least, and the block's scale is
// solved for anew from what was chosen. What lost least of all is written.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "format/block_encode.h"
#include "format/block_fit.h"

namespace deepseam {
namespace {

constexpr int kBlock = 256, kRounds = 3;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Of a scale that is not zero something is left: groups' scales can make up for what it is too large.
uint16_t half_of(float x) {
  const uint16_t bits = f32_to_f16(x);
  return x != 0 && (bits & 0x7fffu) == 0 ? static_cast<uint16_t>(bits | 1u) : bits;
}

void put_half(uint16_t bits, uint8_t *out) { std::memcpy(out, &bits, 2); }

// ---- Q3_K, Q6_K: 16 groups of 16, levels of both signs, d * scale * level ----

struct SignedShape {
  int lowest, highest;              // levels
  int lowest_scale, highest_scale;  // of groups
};

struct SignedBlock {
  uint16_t d = 0;
  int scales[16] = {};
  float levels[kBlock] = {};
  float error = kInfinity;
};

// Levels of one group under the best scale near `wanted`, which is in units of d. Adds to the block.
void settle_group(const float *x, const float *w, const SignedShape &shape, float d, float wanted, int *scale,
                  float *levels, float *error) {
  constexpr int kGroup = 16;
  const int middle = static_cast<int>(round_even(
      std::min(std::max(wanted, static_cast<float>(shape.lowest_scale)), static_cast<float>(shape.highest_scale))));
  float best = kInfinity;
  for (int s = std::max(middle - 1, shape.lowest_scale); s <= std::min(middle + 1, shape.highest_scale); ++s) {
    const float step = d * static_cast<float>(s);
    float level[kGroup];
    nearest_levels(x, step != 0 ? 1.0f / step : 0.0f, 0, static_cast<float>(shape.lowest),
                   static_cast<float>(shape.highest), level);
    const float off = level_error(x, w, level, step, 0);
    if (!(off < best)) continue;
    best = off;
    *scale = s;
    std::memcpy(levels, level, sizeof level);
  }
  *error += best;
}

// The block under this d. Returns the d that would have been best for what was chosen; 0: none.
float settle(const float *x, const float *w, const SignedShape &shape, const float (&wanted)[16], uint16_t bits,
             SignedBlock *block) {
  const float d = f16_to_f32(bits);
  block->d = bits;
  block->error = 0;
  double product = 0, square = 0;
  for (int g = 0; g < 16; ++g) {
    const int at = g * 16;
    settle_group(x + at, w + at, shape, d, wanted[g] / d, &block->scales[g], block->levels + at, &block->error);
    float p[16], s[16];
    for (int i = 0; i < 16; ++i) {
      const float whole = static_cast<float>(block->scales[g]) * block->levels[at + i];
      p[i] = w[at + i] * x[at + i] * whole;
      s[i] = w[at + i] * whole * whole;
    }
    product += lane_sum(p);
    square += lane_sum(s);
  }
  return square > 0 ? static_cast<float>(product / square) : 0;
}

SignedBlock fit_signed(const float *x, const float *w, const SignedShape &shape) {
  float wanted[16], extreme = 0;
  for (int g = 0; g < 16; ++g) {
    wanted[g] = fit_scale<16>(x + g * 16, w + g * 16, shape.lowest, shape.highest);
    if (std::fabs(wanted[g]) > std::fabs(extreme)) extreme = wanted[g];
  }
  SignedBlock best, tried;
  const float low = static_cast<float>(shape.lowest_scale), high = static_cast<float>(shape.highest_scale);
  for (const float start : {low, high, 0.92f * low}) {
    float d = extreme / start;
    for (int round = 0; round < kRounds; ++round) {
      const uint16_t bits = half_of(d);
      if (f16_to_f32(bits) == 0) break;
      d = settle(x, w, shape, wanted, bits, &tried);
      if (tried.error < best.error) best = tried;
    }
  }
  return best.error < kInfinity ? best : SignedBlock();
}

// ---- Q4_K, Q5_K: 8 groups of 32, d * scale * level - dmin * minimum, both of 6 bits ----

struct LineBlock {
  uint16_t d = 0, dmin = 0;
  int scales[8] = {}, minimums[8] = {};
  float levels[kBlock] = {};
  float error = kInfinity;
};

struct LineScales {
  float d = 0, dmin = 0;
};

float quotient(float a, float b) { return b > 0 ? std::min(std::max(a / b, 0.0f), 63.0f) : 0.0f; }

void settle_group(const float *x, const float *w, int highest, LineScales by, ScaleAndMinimum wanted, int g,
                  LineBlock *block) {
  constexpr int kGroup = 32;
  const int scale = static_cast<int>(round_even(quotient(wanted.scale, by.d))),
            minimum = static_cast<int>(round_even(quotient(wanted.minimum, by.dmin)));
  float best = kInfinity;
  for (int m = std::max(minimum - 1, 0); m <= std::min(minimum + 1, 63); ++m)
    for (int s = std::max(scale - 1, 0); s <= std::min(scale + 1, 63); ++s) {
      const float step = by.d * static_cast<float>(s), below = by.dmin * static_cast<float>(m);
      float level[kGroup];
      nearest_levels(x, step > 0 ? 1.0f / step : 0.0f, below, 0, static_cast<float>(highest), level);
      const float off = level_error(x, w, level, step, below);
      if (!(off < best)) continue;
      best = off;
      block->scales[g] = s;
      block->minimums[g] = m;
      std::memcpy(block->levels + g * kGroup, level, sizeof level);
    }
  block->error += best;
}

// What the two scales of the block would best have been, by the normal equations of what was chosen.
LineScales solve(const float *x, const float *w, const LineBlock &block, LineScales before) {
  double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
  for (int g = 0; g < 8; ++g) {
    float wa[32], waa[32], wx[32], wxa[32], ww[32];
    for (int i = 0; i < 32; ++i) {
      const float a = static_cast<float>(block.scales[g]) * block.levels[g * 32 + i], weight = w[g * 32 + i];
      ww[i] = weight;
      wa[i] = weight * a;
      waa[i] = wa[i] * a;
      wx[i] = weight * x[g * 32 + i];
      wxa[i] = wx[i] * a;
    }
    const double b = block.minimums[g];
    aa += lane_sum(waa);
    ab += b * lane_sum(wa);
    bb += b * b * lane_sum(ww);
    xa += lane_sum(wxa);
    xb += b * lane_sum(wx);
  }
  const double determinant = aa * bb - ab * ab;
  if (bb > 0 && determinant > 1e-9 * aa * bb) {
    const LineScales after{static_cast<float>((bb * xa - ab * xb) / determinant),
                           static_cast<float>((ab * xa - aa * xb) / determinant)};
    if (after.d > 0 && after.dmin > 0) return after;
  }
  if (aa > 0 && xa > 0 && bb == 0) return {static_cast<float>(xa / aa), before.dmin};
  return before;
}

LineBlock fit_lines(const float *x, const float *w, int highest) {
  ScaleAndMinimum wanted[8];
  LineScales most;
  for (int g = 0; g < 8; ++g) {
    wanted[g] = fit_scale_and_minimum(x + g * 32, w + g * 32, highest, true);
    most.d = std::max(most.d, wanted[g].scale);
    most.dmin = std::max(most.dmin, wanted[g].minimum);
  }
  LineBlock best, tried;
  for (const float start : {63.0f, 58.0f}) {
    LineScales by{most.d / start, most.dmin / start};
    for (int round = 0; round < kRounds; ++round) {
      tried.d = half_of(by.d);
      tried.dmin = half_of(by.dmin);
      const LineScales held{f16_to_f32(tried.d), f16_to_f32(tried.dmin)};
      tried.error = 0;
      for (int g = 0; g < 8; ++g) settle_group(x + g * 32, w + g * 32, highest, held, wanted[g], g, &tried);
      if (tried.error < best.error) best = tried;
      by = solve(x, w, tried, by);
    }
  }
  return best;
}

// The 12 bytes of block_decode.h's q4_k_group.
void put_group_scales(const LineBlock &block, uint8_t *out) {
  for (int g = 0; g < 4; ++g) {
    out[g] = static_cast<uint8_t>(block.scales[g] | block.scales[g + 4] >> 4 << 6);
    out[g + 4] = static_cast<uint8_t>(block.minimums[g] | block.minimums[g + 4] >> 4 << 6);
    out[g + 8] = static_cast<uint8_t>((block.scales[g + 4] & 15) | (block.minimums[g + 4] & 15) << 4);
  }
}

// Two groups share 32 bytes: low nibbles, high nibbles.
void put_low_nibbles(const LineBlock &block, uint8_t *out) {
  for (int i = 0; i < kBlock / 2; ++i) {
    const int at = i / 32 * 64 + i % 32;
    out[i] = static_cast<uint8_t>((static_cast<int>(block.levels[at]) & 15) |
                                  (static_cast<int>(block.levels[at + 32]) & 15) << 4);
  }
}

}  // namespace

void encode_q3_k(const float *x, const float *w, uint8_t *out) {
  const SignedBlock block = fit_signed(x, w, {-4, 3, -32, 31});
  std::memset(out, 0, 108);
  for (int i = 0; i < kBlock; ++i) {
    const int level = static_cast<int>(block.levels[i]) + 4;  // its third bit is set where nothing is taken off
    out[i % 32] = static_cast<uint8_t>(out[i % 32] | (level >> 2) << (i / 32));
    uint8_t &pairs = out[32 + i / 128 * 32 + i % 32];
    pairs = static_cast<uint8_t>(pairs | (level & 3) << (i % 128 / 32 * 2));
  }
  for (int g = 0; g < 16; ++g) {
    const int scale = block.scales[g] + 32;
    uint8_t &low = out[96 + g % 8], &high = out[104 + g % 4];
    low = static_cast<uint8_t>(low | (scale & 15) << (g / 8 * 4));
    high = static_cast<uint8_t>(high | (scale >> 4) << (g / 4 * 2));
  }
  put_half(block.d, out + 108);
}

void encode_q4_k(const float *x, const float *w, uint8_t *out) {
  const LineBlock block = fit_lines(x, w, 15);
  put_half(block.d, out);
  put_half(block.dmin, out + 2);
  put_group_scales(block, out + 4);
  put_low_nibbles(block, out + 16);
}

void encode_q5_k(const float *x, const float *w, uint8_t *out) {
  const LineBlock block = fit_lines(x, w, 31);
  put_half(block.d, out);
  put_half(block.dmin, out + 2);
  put_group_scales(block, out + 4);
  std::memset(out + 16, 0, 32);
  for (int i = 0; i < kBlock; ++i) {
    const int high = static_cast<int>(block.levels[i]) >> 4;
    out[16 + i % 32] = static_cast<uint8_t>(out[16 + i % 32] | high << (i / 32));
  }
  put_low_nibbles(block, out + 48);
}

void encode_q6_k(const float *x, const float *w, uint8_t *out) {
  const SignedBlock block = fit_signed(x, w, {-32, 31, -128, 127});
  std::memset(out, 0, 192);
  for (int i = 0; i < kBlock; ++i) {
    const int level = static_cast<int>(block.levels[i]) + 32, part = i / 32;  // 128 elements from 64 and 32 bytes
    uint8_t &low = out[part / 4 * 64 + i % 64], &high = out[128 + part / 4 * 32 + i % 32];
    low = static_cast<uint8_t>(low | (level & 15) << (part % 4 < 2 ? 0 : 4));
    high = static_cast<uint8_t>(high | (level >> 4) << (part % 4 * 2));
  }
  for (int g = 0; g < 16; ++g) out[192 + g] = static_cast<uint8_t>(static_cast<int8_t>(block.scales[g]));
  put_half(block.d, out + 208);
}

}  // namespace deepseam
