// Which experts a row goes to, and with what weights (DeepSeek-V3, arXiv 2412.19437, section 2.1.2; DeepSeek-V2, arXiv
// 2405.04434, section 2.1.4). The bias helps choosing and is not part of the weights.
#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "ref/math.h"
#include "ref/ref.h"
#include "sdk/exact_math.h"

namespace deepseam::ref {
namespace {

using graph::Attr;

struct Router {
  uint32_t n_experts, n_chosen, n_groups, n_kept;
  bool sigmoid, normalise;
  int group_score;  // 0 none, 1 largest, 2 sum of the two largest
  float scale;
};

// Order of `values`, largest first, of equal ones the lower index; only the first n are in order.
void order_best(const std::vector<float> &values, size_t n, std::vector<uint32_t> *order) {
  order->resize(values.size());
  std::iota(order->begin(), order->end(), 0u);
  std::partial_sort(order->begin(), order->begin() + static_cast<ptrdiff_t>(n), order->end(),
                    [&](uint32_t a, uint32_t b) { return values[a] != values[b] ? values[a] > values[b] : a < b; });
}

void score(const Router &router, std::vector<float> *logits) {
  if (router.sigmoid) {
    for (float &logit : *logits) logit = static_cast<float>(sdk::exact_sigmoid(logit));
    return;
  }
  const float most = *std::max_element(logits->begin(), logits->end());
  double sum = 0;
  for (float &logit : *logits) sum += logit = static_cast<float>(sdk::exact_exp(logit - most));
  for (float &logit : *logits) logit = static_cast<float>(logit / sum);
}

// Experts of groups that are not kept leave.
void keep_groups(const Router &router, std::vector<float> *choice) {
  const uint32_t size = router.n_experts / router.n_groups;
  std::vector<float> strength(router.n_groups);
  for (uint32_t g = 0; g < router.n_groups; ++g) {
    std::vector<float> members(choice->begin() + g * size, choice->begin() + (g + 1) * size);
    const size_t n = router.group_score == 2 ? 2 : 1;
    std::partial_sort(members.begin(), members.begin() + static_cast<ptrdiff_t>(n), members.end(), std::greater<>());
    strength[g] = n == 2 ? members[0] + members[1] : members[0];
  }
  std::vector<uint32_t> order;
  order_best(strength, router.n_kept, &order);
  for (uint32_t i = router.n_kept; i < router.n_groups; ++i)
    std::fill_n(choice->begin() + order[i] * size, size, -std::numeric_limits<float>::infinity());
}

void choose(const Router &router, const std::vector<float> &scores, const std::vector<float> &bias, int32_t *ids,
            float *weights) {
  std::vector<float> choice = scores;
  for (size_t e = 0; e < bias.size(); ++e) choice[e] += bias[e];
  if (router.group_score) keep_groups(router, &choice);
  std::vector<uint32_t> order;
  order_best(choice, router.n_chosen, &order);
  float sum = 0;
  for (uint32_t k = 0; k < router.n_chosen; ++k) {
    ids[k] = static_cast<int32_t>(order[k]);
    weights[k] = scores[order[k]];
    sum += weights[k];
  }
  for (uint32_t k = 0; k < router.n_chosen; ++k) {
    if (router.normalise) weights[k] /= sum + 1e-20f;
    weights[k] *= router.scale;
  }
}

}  // namespace

Status moe_route(sdk::RunContext &context) {
  const graph::Node &node = context.plan.node;
  const auto number = [&](Attr key) { return static_cast<uint32_t>(node.get_int(key)); };
  const Router router = {number(Attr::kNumExperts),
                         number(Attr::kExpertsPerTok),
                         number(Attr::kNumGroups),
                         number(Attr::kTopkGroup),
                         number(Attr::kScoringFunc) == 1,
                         number(Attr::kNormTopkProb) == 1,
                         static_cast<int>(number(Attr::kGroupScore)),
                         static_cast<float>(node.get_float(Attr::kRoutedScaling))};
  const sdk::StoredTensor &weight = *context.stored(1);
  std::vector<float> bias;
  if (const sdk::StoredTensor *stored = context.stored(2)) {
    bias.resize(router.n_experts);
    stored->decode(0, 0, bias.data());
  }
  context.tasks.parallel(context.n_rows, [&](uint32_t task) {
    const uint32_t r = context.first_row + task;
    const float *x = context.input(0) + r * weight.cols;
    std::vector<float> scores(router.n_experts), decoded(weight.cols);
    for (uint32_t e = 0; e < router.n_experts; ++e) {
      weight.decode(0, e, decoded.data());
      scores[e] = dot(x, decoded.data(), weight.cols);
    }
    if (const sdk::Lora *lora = context.lora(r, 1)) {
      const std::vector<float> projected = project(*lora, x);
      for (uint32_t e = 0; e < router.n_experts; ++e) scores[e] += delta(*lora, projected, e);
    }
    score(router, &scores);
    const size_t place = size_t{r} * router.n_chosen;
    choose(router, scores, bias, context.output_ids(0) + place, context.output(1) + place);
  });
  return {};
}

}  // namespace deepseam::ref
