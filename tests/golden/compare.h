// The oracle's measure: largest difference of logits, and KL(reference ‖ ours) per row.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace deepseam::golden {

inline constexpr double kMaxAbs = 5e-4, kMaxKl = 1e-8;  // float32, any order of summation

inline std::vector<double> log_softmax(std::span<const float> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (float x : logits) sum += std::exp(x - top);
  std::vector<double> out;
  for (float x : logits) out.push_back(x - top - std::log(sum));
  return out;
}

struct Difference {
  double max_abs = 0, kl = 0;
};

// NaN anywhere makes both infinite.
inline Difference compare(std::span<const float> reference, std::span<const float> ours) {
  Difference d;
  if (reference.size() != ours.size()) return {HUGE_VAL, HUGE_VAL};
  for (size_t i = 0; i < ours.size(); ++i) {
    const double abs = std::fabs(double{reference[i]} - ours[i]);
    if (!(abs <= 1e30)) return {HUGE_VAL, HUGE_VAL};
    d.max_abs = std::max(d.max_abs, abs);
  }
  const auto p = log_softmax(reference), q = log_softmax(ours);
  for (size_t i = 0; i < p.size(); ++i) d.kl += std::exp(p[i]) * (p[i] - q[i]);
  return d;
}

}  // namespace deepseam::golden
