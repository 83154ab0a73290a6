// moe_route against its definition in float64, with a choice that is far enough from every border; and ties, exactly.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "harness.h"

namespace conformance {
namespace {

constexpr uint32_t kHidden = 27, kRows = 20;

struct Gate {
  uint32_t experts, chosen, groups = 1, kept = 1;
  bool sigmoid = false;
  graph::GroupScore group_score = graph::GroupScore::kNone;
  bool normalise = false;
  double scale = 1;
  double bias = 0;  // centre of the biases; 0: none
};

struct Choice {
  std::vector<uint32_t> experts;
  std::vector<double> weights;
  double margin = std::numeric_limits<double>::infinity();
};

// The n largest, best first, of equal ones the lower index; narrows margin to the lead over the next.
std::vector<uint32_t> best(const std::vector<double> &values, uint32_t n, double *margin) {
  std::vector<uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return values[a] > values[b]; });
  for (uint32_t i = 0; i < n && i + 1 < order.size(); ++i)
    *margin = std::min(*margin, values[order[i]] - values[order[i + 1]]);
  order.resize(n);
  return order;
}

Choice choose(const Gate &gate, std::vector<double> scores, const Tensor *bias) {
  if (gate.sigmoid) {
    for (double &s : scores) s = 1 / (1 + std::exp(-s));
  } else {
    const double most = *std::max_element(scores.begin(), scores.end());
    double sum = 0;
    for (double &s : scores) sum += s = std::exp(s - most);
    for (double &s : scores) s /= sum;
  }
  Choice choice;
  std::vector<double> key = scores;
  for (uint32_t e = 0; bias && e < gate.experts; ++e) key[e] += bias->values[e];
  if (gate.group_score != graph::GroupScore::kNone) {
    const uint32_t size = gate.experts / gate.groups;
    std::vector<double> strength;
    for (uint32_t g = 0; g < gate.groups; ++g) {
      std::vector<double> members(key.begin() + g * size, key.begin() + (g + 1) * size);
      std::sort(members.rbegin(), members.rend());
      strength.push_back(gate.group_score == graph::GroupScore::kMax ? members[0] : members[0] + members[1]);
    }
    const std::vector<uint32_t> groups = best(strength, gate.kept, &choice.margin);
    for (uint32_t e = 0; e < gate.experts; ++e)
      if (std::find(groups.begin(), groups.end(), e / size) == groups.end())
        key[e] = -std::numeric_limits<double>::infinity();
  }
  choice.experts = best(key, gate.chosen, &choice.margin);
  double sum = 1e-20;
  for (uint32_t e : choice.experts) sum += scores[e];
  for (uint32_t e : choice.experts) choice.weights.push_back(scores[e] / (gate.normalise ? sum : 1) * gate.scale);
  return choice;
}

Program make_program(const Gate &gate, Weights &weights) {
  graph::GraphBuilder b("route");
  const graph::Value x = b.input_hidden(kHidden);
  graph::RouteOptions options;
  options.n_routed_experts = gate.experts;
  options.num_experts_per_tok = gate.chosen;
  options.n_group = gate.groups;
  options.topk_group = gate.kept;
  options.scoring_func = gate.sigmoid ? graph::ScoringFunc::kSigmoid : graph::ScoringFunc::kSoftmax;
  options.group_score = gate.group_score;
  options.norm_topk_prob = gate.normalise;
  options.routed_scaling_factor = gate.scale;
  const bool biased = weights.count("bias") != 0;
  (void)b.moe_route(x, b.weight("router", weights["router"].dtype, {gate.experts, kHidden}),
                    biased ? b.weight("bias", DType::kF32, {gate.experts}) : graph::Value{}, options);
  b.output_hidden(b.gather_rows(x));
  auto made = b.finish();
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  return Program(*made, weights);
}

struct Routed {
  std::vector<int32_t> ids;
  std::vector<float> weights;
  std::vector<uint32_t> counts;
};

Routed route(const Gate &gate, Weights &weights, const std::vector<float> &hidden) {
  const Program program = make_program(gate, weights);
  const uint32_t n = static_cast<uint32_t>(hidden.size() / kHidden);
  Step step;
  step.hidden_in = hidden;
  step.n_hidden_in = n;
  step.add_seq(0, 0, {});
  for (uint32_t i = 0; i < n; ++i) step.add_row(0, i, 0).hidden_row = i;
  Routed routed{std::vector<int32_t>(n * gate.chosen), std::vector<float>(n * gate.chosen),
                std::vector<uint32_t>(gate.experts, 100)};
  step.outputs.route_ids = routed.ids.data();
  step.outputs.route_weights = routed.weights.data();
  step.outputs.expert_counts = routed.counts.data();
  run_ok(program.exec, step);
  return routed;
}

void check_gate(const Gate &gate, DType dtype = DType::kF32) {
  Random random(gate.experts * 100 + gate.chosen);
  Weights weights;
  weights["router"] = make_tensor(random, {dtype}, {gate.experts, kHidden}, 1);
  if (gate.bias != 0) {
    weights["bias"] = make_tensor(random, {}, {gate.experts}, 0.5);
    for (double &value : weights["bias"].values) value = static_cast<float>(value + gate.bias);
    weights["bias"] = exact_tensor({gate.experts}, {weights["bias"].values.begin(), weights["bias"].values.end()});
  }
  const std::vector<float> hidden = random_floats(random, kRows * kHidden);
  const Routed routed = route(gate, weights, hidden);
  std::vector<float> found;
  std::vector<double> exact;
  std::vector<uint32_t> counts(gate.experts, 100);
  uint32_t decided = 0;
  for (uint32_t r = 0; r < kRows; ++r) {
    std::vector<double> logits;
    for (uint32_t e = 0; e < gate.experts; ++e) {
      double sum = 0;
      for (uint32_t i = 0; i < kHidden; ++i) sum += weights["router"].row(e)[i] * hidden[r * kHidden + i];
      logits.push_back(sum);
    }
    const Choice choice = choose(gate, logits, weights.count("bias") ? &weights["bias"] : nullptr);
    for (uint32_t k = 0; k < gate.chosen; ++k) ++counts[static_cast<uint32_t>(routed.ids[r * gate.chosen + k])];
    if (choice.margin < 1e-6) continue;
    ++decided;
    for (uint32_t k = 0; k < gate.chosen; ++k) {
      CHECK(routed.ids[r * gate.chosen + k] == static_cast<int32_t>(choice.experts[k]));
      found.push_back(routed.weights[r * gate.chosen + k]);
      exact.push_back(choice.weights[k]);
    }
  }
  CHECK(decided > kRows / 2);
  check_close(found, exact, 2e-6);
  CHECK(routed.counts == counts);  // added to what was there
}

}  // namespace

CONFORMANCE("moe_route: greedy softmax") {
  check_gate({17, 5});
  check_gate({17, 5}, DType::kBF16);
  check_gate({17, 1, 1, 1, false, graph::GroupScore::kNone, false, 16});
  check_gate({8, 8, 1, 1, false, graph::GroupScore::kNone, true, 1});
}

CONFORMANCE("moe_route: groups by their largest score") {
  check_gate({24, 5, 6, 2, false, graph::GroupScore::kMax, false, 16});
  check_gate({24, 4, 6, 6, false, graph::GroupScore::kMax, false, 1});
}

CONFORMANCE("moe_route: sigmoid, groups by the sum of two biased scores") {
  check_gate({32, 6, 8, 4, true, graph::GroupScore::kTop2Sum, true, 2.5, 2});
}

CONFORMANCE("moe_route: biases so negative that masking with zero would choose wrongly") {
  check_gate({32, 6, 8, 3, true, graph::GroupScore::kTop2Sum, true, 2.5, -4});
}

CONFORMANCE("moe_route: of equal scores the lower index") {
  for (const graph::GroupScore score : {graph::GroupScore::kNone, graph::GroupScore::kTop2Sum}) {
    Weights weights;
    weights["router"] = exact_tensor({12, kHidden}, std::vector<float>(12 * kHidden, 0.25f));
    const Gate gate{12, 4, 4, 3, true, score, false, 1};
    const Routed routed = route(gate, weights, std::vector<float>(2 * kHidden, 0.5f));
    for (int32_t k = 0; k < 4; ++k) {
      CHECK(routed.ids[k] == k);
      CHECK(routed.ids[4 + k] == k);
    }
  }
}

}  // namespace conformance
