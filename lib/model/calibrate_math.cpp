// See calibrate_math.h.
#include "model/calibrate_math.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

namespace deepseam::model {
namespace {

float dot(const float *a, const float *b, uint64_t n) {
  float lane[4] = {};
  uint64_t i = 0;
  for (; i + 4 <= n; i += 4)
    for (int l = 0; l < 4; ++l) lane[l] += a[i + static_cast<uint64_t>(l)] * b[i + static_cast<uint64_t>(l)];
  for (; i < n; ++i) lane[0] += a[i] * b[i];
  return (lane[0] + lane[1]) + (lane[2] + lane[3]);
}

// Four tokens by two rows: each number that is read is used twice or four times.
void tile(const float *x, const float *w, uint64_t cols, float *y, uint64_t stride) {
  float sums[8][4] = {};
  const float *x0 = x, *x1 = x + cols, *x2 = x + 2 * cols, *x3 = x + 3 * cols, *w0 = w, *w1 = w + cols;
  uint64_t i = 0;
  for (; i + 4 <= cols; i += 4)
    for (uint64_t l = 0; l < 4; ++l) {
      const uint64_t at = i + l;
      sums[0][l] += x0[at] * w0[at];
      sums[1][l] += x1[at] * w0[at];
      sums[2][l] += x2[at] * w0[at];
      sums[3][l] += x3[at] * w0[at];
      sums[4][l] += x0[at] * w1[at];
      sums[5][l] += x1[at] * w1[at];
      sums[6][l] += x2[at] * w1[at];
      sums[7][l] += x3[at] * w1[at];
    }
  for (; i < cols; ++i)
    for (uint64_t t = 0; t < 8; ++t) sums[t][0] += x[t % 4 * cols + i] * w[t / 4 * cols + i];
  for (uint64_t t = 0; t < 8; ++t) y[t % 4 * stride + t / 4] += (sums[t][0] + sums[t][1]) + (sums[t][2] + sums[t][3]);
}

void score(bool sigmoid, std::vector<float> *scores) {
  if (sigmoid) {
    for (float &s : *scores) s = 1.0f / (1.0f + std::exp(-s));
    return;
  }
  const float most = *std::max_element(scores->begin(), scores->end());
  double sum = 0;
  for (float &s : *scores) sum += s = std::exp(s - most);
  for (float &s : *scores) s = static_cast<float>(s / sum);
}

// Indices by value, largest first, of equal ones the lower; only the first n are in order.
std::vector<uint32_t> best_of(const std::vector<float> &values, int64_t n) {
  std::vector<uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0u);
  std::partial_sort(order.begin(), order.begin() + n, order.end(),
                    [&](uint32_t a, uint32_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
  return order;
}

// Experts of the weaker groups leave.
void keep_groups(const Config &config, bool two_best, std::vector<float> *choice) {
  const auto size = static_cast<int64_t>(choice->size()) / config.n_group;
  std::vector<float> strength;
  for (int64_t g = 0; g < config.n_group; ++g) {
    std::vector<float> members(choice->begin() + g * size, choice->begin() + (g + 1) * size);
    std::partial_sort(members.begin(), members.begin() + (two_best ? 2 : 1), members.end(), std::greater<>());
    strength.push_back(two_best ? members[0] + members[1] : members[0]);
  }
  const std::vector<uint32_t> order = best_of(strength, config.topk_group);
  for (int64_t i = config.topk_group; i < config.n_group; ++i)
    std::fill_n(choice->begin() + order[static_cast<size_t>(i)] * size, size, -std::numeric_limits<float>::infinity());
}

}  // namespace

void rms_norm(const float *x, const float *scale, uint64_t cols, double eps, float *y) {
  const float root = std::sqrt(dot(x, x, cols) / static_cast<float>(cols) + static_cast<float>(eps));
  for (uint64_t i = 0; i < cols; ++i) y[i] = x[i] / root * scale[i];
}

float silu(float x) { return x / (1.0f + std::exp(-x)); }

void add_products(const float *x, uint64_t n, uint64_t cols, const float *w, uint64_t rows, float *y, uint64_t stride) {
  uint64_t t = 0;
  for (; t + 4 <= n; t += 4) {
    uint64_t r = 0;
    for (; r + 2 <= rows; r += 2) tile(x + t * cols, w + r * cols, cols, y + t * stride + r, stride);
    for (; r < rows; ++r)
      for (uint64_t one = t; one < t + 4; ++one) y[one * stride + r] += dot(x + one * cols, w + r * cols, cols);
  }
  for (; t < n; ++t)
    for (uint64_t r = 0; r < rows; ++r) y[t * stride + r] += dot(x + t * cols, w + r * cols, cols);
}

void add_squares(const float *x, uint64_t cols, double *sums) {
  for (uint64_t i = 0; i < cols; ++i) sums[i] += double{x[i]} * x[i];
}

void raise_zeros(float *means, uint64_t cols) {
  double sum = 0;
  for (uint64_t i = 0; i < cols; ++i) sum += means[i];
  const float least = static_cast<float>(sum / static_cast<double>(cols) * 1e-3);
  for (uint64_t i = 0; i < cols; ++i) means[i] = least > 0 ? means[i] + least : 1.0f;
}

void rotate(const RopeConstants &rope, uint64_t position, float *x) {
  for (size_t j = 0; j < rope.inv_freq.size(); ++j) {
    const double angle = static_cast<double>(position) * rope.inv_freq[j];
    const float c = static_cast<float>(std::cos(angle) * rope.rope_scale),
                s = static_cast<float>(std::sin(angle) * rope.rope_scale), even = x[2 * j], odd = x[2 * j + 1];
    x[2 * j] = even * c - odd * s;
    x[2 * j + 1] = even * s + odd * c;
  }
}

void attend_head(const HeadShape &shape, uint64_t head, uint64_t begin, uint64_t end, const float *q, const float *kv,
                 const float *keys, std::vector<float> *scratch, float *mixed) {
  scratch->resize(end - begin);
  for (uint64_t t = begin; t < end; ++t) {
    const float *query = q + (t * shape.heads + head) * (shape.dn + shape.dr);
    float most = -std::numeric_limits<float>::infinity();
    for (uint64_t s = begin; s <= t; ++s) {
      const float *key = keys + (s * shape.heads + head) * (shape.dn + shape.dv);
      const float *turned = kv + s * (shape.rank + shape.dr) + shape.rank;
      const float product = dot(query, key, shape.dn) + dot(query + shape.dn, turned, shape.dr);
      (*scratch)[s - begin] = product * static_cast<float>(shape.softmax_scale);
      most = std::max(most, (*scratch)[s - begin]);
    }
    float *out = mixed + (t * shape.heads + head) * shape.dv, sum = 0;
    std::fill_n(out, shape.dv, 0.0f);
    for (uint64_t s = begin; s <= t; ++s) {
      const float weight = std::exp((*scratch)[s - begin] - most);
      const float *value = keys + (s * shape.heads + head) * (shape.dn + shape.dv) + shape.dn;
      sum += weight;
      for (uint64_t i = 0; i < shape.dv; ++i) out[i] += weight * value[i];
    }
    for (uint64_t i = 0; i < shape.dv; ++i) out[i] /= sum;
  }
}

void route(const Config &config, const float *logits, const std::vector<float> &bias, uint64_t token,
           std::vector<std::vector<Share>> *shares) {
  const bool biased = config.topk_method == TopkMethod::kNoauxTc;
  const bool grouped = config.topk_method != TopkMethod::kGreedy && config.n_group > 1;
  const bool normalised = config.norm_topk_prob && config.num_experts_per_tok > 1;
  std::vector<float> scores(logits, logits + shares->size());
  score(config.sigmoid_scores, &scores);
  std::vector<float> choice = scores;
  for (size_t e = 0; e < bias.size(); ++e) choice[e] += bias[e];
  if (grouped) keep_groups(config, biased, &choice);
  const std::vector<uint32_t> order = best_of(choice, config.num_experts_per_tok);
  const auto chosen = static_cast<size_t>(config.num_experts_per_tok);
  float sum = normalised ? 1e-20f : 1.0f;
  for (size_t k = 0; k < chosen && normalised; ++k) sum += scores[order[k]];
  const float scale = biased || !normalised ? static_cast<float>(config.routed_scaling_factor) : 1.0f;
  for (size_t k = 0; k < chosen; ++k) (*shares)[order[k]].push_back({token, scores[order[k]] / sum * scale});
}

}  // namespace deepseam::model
