// moe_route: scores of all experts, then the choice of each row (DeepSeek-V2, section 2.1.2; V3, section 2.1.2).
//
// Everything is float32 with double sums of exponentials, as the reference does; of equal scores the lower index wins.
#include <algorithm>
#include <cmath>

#include "ops.h"

namespace deepseam::onednn {
namespace {

struct Route {
  uint32_t n_experts = 0, k = 0, n_group = 1, topk_group = 1;
  bool sigmoid = false, normalise = false;
  int64_t group_score = 0;
  float scale = 1;
};

Route route_of(const graph::Node &node) {
  using graph::Attr;
  Route r;
  r.n_experts = static_cast<uint32_t>(node.get_int(Attr::kNumExperts));
  r.k = static_cast<uint32_t>(node.get_int(Attr::kExpertsPerTok));
  r.n_group = static_cast<uint32_t>(node.get_int(Attr::kNumGroups, 1));
  r.topk_group = static_cast<uint32_t>(node.get_int(Attr::kTopkGroup, 1));
  r.sigmoid = node.get_int(Attr::kScoringFunc) == 1;
  r.normalise = node.get_int(Attr::kNormTopkProb) == 1;
  r.group_score = node.get_int(Attr::kGroupScore);
  r.scale = static_cast<float>(node.get_float(Attr::kRoutedScaling, 1));
  return r;
}

// Logits to probabilities, in place.
void score(const Route &r, float *x) {
  if (r.sigmoid) {
    for (uint32_t e = 0; e < r.n_experts; ++e)
      x[e] = static_cast<float>(1 / (1 + std::exp(-static_cast<double>(x[e]))));
    return;
  }
  const float largest = *std::max_element(x, x + r.n_experts);
  double sum = 0;
  for (uint32_t e = 0; e < r.n_experts; ++e) sum += std::exp(static_cast<double>(x[e] - largest));
  for (uint32_t e = 0; e < r.n_experts; ++e)
    x[e] = static_cast<float>(std::exp(static_cast<double>(x[e] - largest)) / sum);
}

// Indices of the k largest of n values, largest first, to `best`.
void top_k(const float *values, uint32_t n, uint32_t k, uint32_t *best) {
  uint32_t found = 0;
  for (uint32_t i = 0; i < n; ++i) {
    uint32_t at = found;
    while (at > 0 && values[i] > values[best[at - 1]]) --at;
    if (at >= k) continue;
    if (found < k) ++found;
    for (uint32_t j = found - 1; j > at; --j) best[j] = best[j - 1];
    best[at] = i;
  }
}

// Experts outside the best groups lose: -inf, so that negative biased scores cannot win against them.
void mask_groups(const Route &r, float *selection) {
  const uint32_t size = r.n_experts / r.n_group;
  std::vector<float> groups(r.n_group);
  for (uint32_t g = 0; g < r.n_group; ++g) {
    float first = -INFINITY, second = -INFINITY;
    for (uint32_t e = g * size; e < (g + 1) * size; ++e) {
      if (selection[e] > first)
        second = first, first = selection[e];
      else
        second = std::max(second, selection[e]);
    }
    groups[g] = r.group_score == 2 ? first + second : first;
  }
  std::vector<uint32_t> best(r.topk_group);
  top_k(groups.data(), r.n_group, r.topk_group, best.data());
  for (uint32_t g = 0; g < r.n_group; ++g)
    if (std::find(best.begin(), best.end(), g) == best.end())
      std::fill(selection + g * size, selection + (g + 1) * size, -INFINITY);
}

void choose(const Route &r, float *scores, const float *bias, int32_t *ids, float *weights) {
  score(r, scores);
  std::vector<float> selection(scores, scores + r.n_experts);
  if (bias)
    for (uint32_t e = 0; e < r.n_experts; ++e) selection[e] += bias[e];
  if (r.group_score != 0) mask_groups(r, selection.data());
  std::vector<uint32_t> best(r.k);
  top_k(selection.data(), r.n_experts, r.k, best.data());
  double sum = 1e-20;
  for (uint32_t i = 0; i < r.k; ++i) sum += static_cast<double>(scores[best[i]]);
  for (uint32_t i = 0; i < r.k; ++i) {
    const double weight = static_cast<double>(scores[best[i]]) / (r.normalise ? sum : 1);
    ids[i] = static_cast<int32_t>(best[i]);
    weights[i] = static_cast<float>(weight) * r.scale;
  }
}

}  // namespace

Status run_moe_route(sdk::RunContext &run) {
  const Route r = route_of(run.plan.node);
  const Matrix w = matrix_of(run.plan, *run.weights[0], 1);
  std::vector<float> logits(static_cast<size_t>(run.n_rows) * r.n_experts), bias;
  const Multiply how{machine_of(run.plan), true, run.scratch};
  multiply(run.tasks, how, w, {run.input(0) + run.first_row * w.cols, w.cols}, run.n_rows, logits.data(), r.n_experts);
  if (run.any_adapter)
    for (uint32_t i = 0; i < run.n_rows; ++i)
      if (const sdk::Lora *lora = run.lora(run.first_row + i, 1))
        add_lora(*how.machine.kernels, *lora, run.input(0) + (run.first_row + i) * w.cols, &logits[i * r.n_experts]);
  if (run.plan.has_input(2)) {
    bias.resize(r.n_experts);
    run.weights[1]->stored.decode(0, 0, bias.data());
  }
  each_row(run.tasks, run.n_rows, [&](uint64_t i) {
    const uint64_t row = run.first_row + i;
    choose(r, &logits[i * r.n_experts], bias.empty() ? nullptr : bias.data(), run.output_ids(0) + row * r.k,
           run.output(1) + row * r.k);
  });
  return {};
}

}  // namespace deepseam::onednn
