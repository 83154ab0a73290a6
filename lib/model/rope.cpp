// RoPE frequencies and scales: plain, or YaRN (Peng et al. 2023, arXiv 2309.00071) with DeepSeek's rules for mscale:
// the ratio of the two mscales multiplies cos and sin, the square of mscale_all_dim's multiplies the softmax scale.
// Both hold at every position, also within the original context.
#include <algorithm>
#include <cmath>

#include "model/config.h"

namespace deepseam::model {
namespace {

constexpr double kPi = 3.14159265358979323846;

double mscale(double factor, double m) { return factor > 1 ? 0.1 * m * std::log(factor) + 1 : 1; }

// The pair, as a real number, that turns so often within the original context.
double pair_with_turns(double turns, double dim, double theta, double context) {
  return dim * std::log(context / (turns * 2 * kPi)) / (2 * std::log(theta));
}

}  // namespace

RopeConstants rope_constants(const Config &config) {
  const Yarn &yarn = config.yarn;
  const double dim = static_cast<double>(config.qk_rope_head_dim);
  RopeConstants made;
  made.softmax_scale = 1 / std::sqrt(static_cast<double>(config.qk_head_dim()));
  for (int64_t pair = 0; pair < config.qk_rope_head_dim / 2; ++pair)
    made.inv_freq.push_back(std::pow(config.rope_theta, -2.0 * static_cast<double>(pair) / dim));
  if (!yarn.on) return made;

  const double context = yarn.original_max_position_embeddings;
  const double low = std::max(std::floor(pair_with_turns(yarn.beta_fast, dim, config.rope_theta, context)), 0.0);
  double high = std::min(std::ceil(pair_with_turns(yarn.beta_slow, dim, config.rope_theta, context)), dim - 1);
  if (low == high) high += 0.001;
  for (size_t pair = 0; pair < made.inv_freq.size(); ++pair) {
    const double ramp = std::clamp((static_cast<double>(pair) - low) / (high - low), 0.0, 1.0);
    made.inv_freq[pair] = made.inv_freq[pair] * (1 - ramp) + made.inv_freq[pair] / yarn.factor * ramp;
  }
  const double all_dim = mscale(yarn.factor, yarn.mscale_all_dim);
  made.rope_scale = mscale(yarn.factor, yarn.mscale) / all_dim;
  made.softmax_scale *= all_dim * all_dim;
  return made;
}

}  // namespace deepseam::model
