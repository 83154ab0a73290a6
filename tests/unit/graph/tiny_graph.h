// A graph with every op of the decoder in it: what tests print, damage and send.
#pragma once

#include <doctest/doctest.h>

#include "graph/builder.h"

namespace deepseam::graph {

inline constexpr int64_t kH = 16, kExperts = 8;

struct Weights {
  GraphBuilder &g;
  Value operator()(const char *role, std::vector<int64_t> shape, DType dtype = DType::kBF16) const {
    return g.weight(role, dtype, std::move(shape));
  }
};

inline MlaOptions tiny_mla(int64_t kv_layer) {
  MlaOptions options;
  options.shape = {2, 8, 4, 6, 12};
  options.kv_layer = kv_layer;
  options.softmax_scale = 0.25;
  options.inv_freq = {1, 0.01};
  return options;
}

inline RouteOptions tiny_route() {
  RouteOptions options;
  options.n_routed_experts = kExperts;
  options.num_experts_per_tok = 2;
  options.n_group = 4;
  options.topk_group = 2;
  options.scoring_func = ScoringFunc::kSigmoid;
  options.group_score = GroupScore::kTop2Sum;
  options.norm_topk_prob = true;
  options.routed_scaling_factor = 2.5;
  return options;
}

inline ExpertWeights tiny_experts(const Weights &w) {
  ExpertWeights experts;
  experts.n_routed_experts = experts.expert_count = kExperts;
  experts.gate = w("experts.gate", {kExperts, 10, kH}, DType::kQ4_0);
  experts.up = w("experts.up", {kExperts, 10, kH}, DType::kQ4_0);
  experts.down = w("experts.down", {kExperts, kH, 10}, DType::kQ4_0);
  experts.shared_gate = w("shared.gate", {20, kH});
  experts.shared_up = w("shared.up", {20, kH});
  experts.shared_down = w("shared.down", {kH, 20});
  return experts;
}

// x + attention(norm(x)), then x + experts(norm(x)); ids and hidden joined in front as an MTP module does.
inline Result<Graph> tiny_graph() {
  GraphBuilder g("tiny");
  const Weights w{g};
  const Value token = g.embed(w("embed", {40, kH}));
  const Value before = g.input_hidden(kH);
  const Value x = g.linear(g.concat(token, before), w("eh_proj", {kH, 2 * kH}));
  g.scope("layers.3");
  const Value normed = g.rms_norm(x, w("layers.3.attn_norm", {kH}), 1e-6);
  const Value q = g.linear(normed, w("layers.3.q", {24, kH}));
  const Value kv = g.linear(normed, w("layers.3.kv_a", {16, kH}), w("layers.3.kv_a.bias", {16}));
  const Value o = g.mla_attention(q, kv, w("layers.3.kv_a_norm", {12}), w("layers.3.kv_b", {28, 12}), tiny_mla(3));
  const Value h = g.add(x, g.linear(o, w("layers.3.o", {kH, 12})));
  const Routing routing = g.moe_route(h, w("layers.3.router", {kExperts, kH}, DType::kF32),
                                      w("layers.3.router.bias", {kExperts}, DType::kF32), tiny_route());
  const Value y = g.add(h, g.moe_experts(h, routing, tiny_experts(w)));
  const Value gate = g.linear(y, w("gate", {20, kH})), up = g.linear(y, w("up", {20, kH}));
  const Value mlp = g.linear(g.swiglu(gate, up), w("down", {kH, 20}));
  g.scope("");
  const Value hidden = g.rms_norm(g.gather_rows(mlp), w("final_norm", {kH}), 1e-6);
  g.output_hidden(hidden);
  g.output_logits(g.lm_head(hidden, w("lm_head", {40, kH}, DType::kQ8_0), 33));
  return g.finish();
}

inline Graph made_tiny_graph() {
  auto made = tiny_graph();
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  return std::move(made).value();
}

// The node and tensor of a name; a test that misspells one fails here.
inline Node &node_of(Graph &graph, const std::string &name) {
  for (Node &node : graph.nodes)
    if (node.name == name) return node;
  FAIL("no node " << name);
  return graph.nodes[0];
}
inline Tensor &tensor_of(Graph &graph, const std::string &name) {
  for (Tensor &tensor : graph.tensors)
    if (tensor.name == name) return tensor;
  FAIL("no tensor " << name);
  return graph.tensors[0];
}
inline Attribute &attribute_of(Graph &graph, const std::string &name, Attr key) {
  for (Attribute &attribute : node_of(graph, name).attributes)
    if (attribute.key == key) return attribute;
  FAIL("no such attribute of " << name);
  return graph.nodes[0].attributes[0];
}

}  // namespace deepseam::graph
