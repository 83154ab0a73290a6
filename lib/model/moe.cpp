// Feed-forward layers: DeepSeekMoE (DeepSeek-V2, section 2.2; DeepSeek-V3, section 2.1.2), or one gated MLP.
//
// What the three gates of the family do differently is said here by attributes, so that backends know no family.
#include "model/layers.h"

namespace deepseam::model {
namespace {

graph::RouteOptions route_options(const Config &c, int64_t moe_layer) {
  const bool biased = c.topk_method == TopkMethod::kNoauxTc;
  const bool grouped = c.topk_method != TopkMethod::kGreedy && c.n_group > 1;
  const bool normalised = c.norm_topk_prob && c.num_experts_per_tok > 1;  // one expert's weight is left as it is
  graph::RouteOptions options;
  options.n_routed_experts = c.n_routed_experts;
  options.num_experts_per_tok = c.num_experts_per_tok;
  options.n_group = grouped ? c.n_group : 1;
  options.topk_group = grouped ? c.topk_group : 1;
  options.scoring_func = c.sigmoid_scores ? graph::ScoringFunc::kSigmoid : graph::ScoringFunc::kSoftmax;
  if (grouped) options.group_score = biased ? graph::GroupScore::kTop2Sum : graph::GroupScore::kMax;
  options.norm_topk_prob = normalised;
  // V2's gates normalise instead of scaling, V3's do both.
  options.routed_scaling_factor = biased || !normalised ? c.routed_scaling_factor : 1;
  options.moe_layer = moe_layer;
  return options;
}

}  // namespace

Value mixture(const Build &b, int64_t layer, Value x, int64_t moe_layer) {
  const auto weight = [&](const char *name) { return b.layer_weight(layer, name); };
  const graph::Routing routing =
      b.g.moe_route(x, weight("router"), weight("router.bias"), route_options(b.c, moe_layer));
  graph::ExpertWeights experts;
  experts.n_routed_experts = experts.expert_count = b.c.n_routed_experts;
  experts.gate = weight("experts.gate");
  experts.up = weight("experts.up");
  experts.down = weight("experts.down");
  experts.shared_gate = weight("shared.gate");
  experts.shared_up = weight("shared.up");
  experts.shared_down = weight("shared.down");
  return b.g.moe_experts(x, routing, experts);
}

Value dense(const Build &b, int64_t layer, Value x) {
  const Value gate = b.g.linear(x, b.layer_weight(layer, "gate")), up = b.g.linear(x, b.layer_weight(layer, "up"));
  return b.g.linear(b.g.swiglu(gate, up), b.layer_weight(layer, "down"));
}

}  // namespace deepseam::model
