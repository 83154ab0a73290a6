// See block_fit.h. For given levels the best scale is a quotient of two sums; what has to be searched is the levels,
// and those are had by rounding under a few dozen scales near the one that makes the extreme value the last level.
#include "format/block_fit.h"

#include <algorithm>
#include <bit>
#include <cstddef>

namespace deepseam {
namespace {

constexpr float kTooSmall = 1e-30f;

float magnitude(float x) { return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0x7fffffffu); }

// The best scale for levels, and what it takes off the squared error.
struct Fit {
  float scale = 0, gain = -1;
};

template <int kN>
Fit fit_levels(const float *x, const float *w, float inverse, float lowest, float highest) {
  float level[kN], product[kN], square[kN];
  nearest_levels(x, inverse, 0, lowest, highest, level);
  for (int i = 0; i < kN; ++i) {
    product[i] = w[i] * x[i] * level[i];
    square[i] = w[i] * level[i] * level[i];
  }
  const float p = lane_sum(product), s = lane_sum(square);
  return s > 0 ? Fit{p / s, p * (p / s)} : Fit{};
}

struct LineFit {
  ScaleAndMinimum line;
  float gain = -1;
};

// Levels of 0 … highest by rounding, and the line of least squared error through them.
LineFit fit_line(const float *x, const float *w, float inverse, float minimum, float highest, bool positive) {
  constexpr int kN = 32;
  float level[kN], ww[kN], wx[kN], wl[kN], wll[kN], wxl[kN];
  nearest_levels(x, inverse, minimum, 0, highest, level);
  for (int i = 0; i < kN; ++i) {
    ww[i] = w[i];
    wx[i] = w[i] * x[i];
    wl[i] = w[i] * level[i];
    wll[i] = wl[i] * level[i];
    wxl[i] = wx[i] * level[i];
  }
  const float sw = lane_sum(ww), sx = lane_sum(wx), sl = lane_sum(wl), sll = lane_sum(wll), sxl = lane_sum(wxl),
              determinant = sw * sll - sl * sl;
  LineFit fit;
  if (!(determinant > 0) || !(sll > 0)) return fit;
  fit.line.scale = (sw * sxl - sx * sl) / determinant;
  fit.line.minimum = (sl * sxl - sll * sx) / determinant;
  if (positive && fit.line.minimum < 0) fit.line = {sxl / sll, 0};
  fit.gain = fit.line.scale * sxl - fit.line.minimum * sx;
  return fit;
}

}  // namespace

template <int kN>
float fit_scale(const float *x, const float *w, int lowest, int highest) {
  float extreme = 0;
  for (int i = 0; i < kN; ++i)
    if (w[i] > 0 && magnitude(x[i]) > magnitude(extreme)) extreme = x[i];
  if (magnitude(extreme) <= kTooSmall) return 0;
  const float low = static_cast<float>(lowest), high = static_cast<float>(highest);
  Fit best;
  const auto offer = [&](float inverse) {
    const Fit fit = fit_levels<kN>(x, w, inverse, low, high);
    if (fit.gain > best.gain) best = fit;
  };
  for (int step = -6; step <= 6; ++step) offer((low + 0.15f * static_cast<float>(step)) / extreme);
  for (int step = -2; step <= 2; ++step) offer((high + 0.2f * static_cast<float>(step)) / extreme);
  for (int again = 0; again < 2 && magnitude(best.scale) > kTooSmall; ++again) offer(1.0f / best.scale);
  return best.scale;
}

template float fit_scale<16>(const float *, const float *, int, int);
template float fit_scale<32>(const float *, const float *, int, int);

ScaleAndMinimum fit_scale_and_minimum(const float *x, const float *w, int highest, bool positive) {
  float least = 0, most = 0;
  bool any = false;
  for (int i = 0; i < 32; ++i) {
    if (!(w[i] > 0)) continue;
    least = any ? std::min(least, x[i]) : x[i];
    most = any ? std::max(most, x[i]) : x[i];
    any = true;
  }
  if (positive) least = std::min(least, 0.0f);
  if (!(most - least > kTooSmall)) return {0, -least};
  const float high = static_cast<float>(highest);
  LineFit best;
  const auto offer = [&](float inverse, float minimum) {
    const LineFit fit = fit_line(x, w, inverse, minimum, high, positive);
    if (fit.gain > best.gain) best = fit;
  };
  for (int step = -6; step <= 10; ++step) offer((high + 0.15f * static_cast<float>(step)) / (most - least), -least);
  for (int again = 0; again < 2 && best.line.scale > kTooSmall; ++again)
    offer(1.0f / best.line.scale, best.line.minimum);
  return best.gain < 0 ? ScaleAndMinimum{(most - least) / high, -least} : best.line;
}

}  // namespace deepseam
