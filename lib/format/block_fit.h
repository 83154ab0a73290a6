// Scales for groups of numbers that are stored as small levels: those of least weighted squared error among many.
//
// Weights say how much an error of each number matters; they are finite, not negative, and may be zero. Everything is
// computed in one order with plain float operations, so the result is the same on every machine. Private to the block
// encoders.
#pragma once

#include <cstdint>

namespace deepseam {

// Nearest integer, ties to even, for |x| < 2^22.
inline float round_even(float x) {
  constexpr float kMagic = 12582912.0f;
  return (x + kMagic) - kMagic;
}

// Sum of kN numbers, a multiple of four, in four lanes, so that nothing has to be reordered for vectors.
template <int kN>
float lane_sum(const float (&v)[kN]) {
  float lane[4] = {};
  for (int i = 0; i < kN; i += 4)
    for (int l = 0; l < 4; ++l) lane[l] += v[i + l];
  return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

// level[i] = the level of lowest … highest nearest to (x[i] + minimum) * inverse.
template <int kN>
void nearest_levels(const float *x, float inverse, float minimum, float lowest, float highest, float (&level)[kN]) {
  for (int i = 0; i < kN; ++i) {
    float wanted = (x[i] + minimum) * inverse;
    wanted = wanted < lowest ? lowest : wanted;
    level[i] = round_even(wanted > highest ? highest : wanted);
  }
}

// Weighted squared error of scale * level - minimum.
template <int kN>
float level_error(const float *x, const float *w, const float (&level)[kN], float scale, float minimum) {
  float square[kN];
  for (int i = 0; i < kN; ++i) {
    const float off = scale * level[i] - minimum - x[i];
    square[i] = w[i] * off * off;
  }
  return lane_sum(square);
}

// The scale under which kN numbers (16 or 32) lose least as levels of lowest … highest, lowest < 0. 0 for zeros.
template <int kN>
float fit_scale(const float *x, const float *w, int lowest, int highest);

struct ScaleAndMinimum {
  float scale = 0, minimum = 0;  // scale * level - minimum
};

// The same for 32 numbers and levels of 0 … highest above a minimum, which is not negative where `positive` is set.
ScaleAndMinimum fit_scale_and_minimum(const float *x, const float *w, int highest, bool positive);

}  // namespace deepseam
