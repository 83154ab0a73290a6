#include "tiny.h"

#include <cmath>

namespace conformance {
namespace {

struct Shape {
  const char *name;
  std::vector<uint64_t> dims;
  DType dtype;
};

std::vector<Shape> layer_weights(int layer) {
  std::vector<Shape> list = {
      {"attn_norm", {kHidden}, DType::kF32},
      {"q", {kHeads * (kNope + kRope), kHidden}, DType::kBF16},
      {"kv_a", {kRank + kRope, kHidden}, DType::kF32},
      {"kv_a_norm", {kRank}, DType::kF32},
      {"kv_b", {kHeads * (kNope + kValue), kRank}, DType::kF32},
      {"o", {kHidden, kHeads * kValue}, DType::kF16},
      {"ffn_norm", {kHidden}, DType::kF32},
  };
  if (layer == 0) {
    list.push_back({"gate", {2 * kWidth, kHidden}, DType::kF32});
    list.push_back({"up", {2 * kWidth, kHidden}, DType::kF32});
    list.push_back({"down", {kHidden, 2 * kWidth}, DType::kF32});
    return list;
  }
  list.push_back({"router", {kExperts, kHidden}, DType::kF32});
  list.push_back({"router.bias", {kExperts}, DType::kF32});
  list.push_back({"experts.gate", {kExperts, kWidth, kHidden}, DType::kF32});
  list.push_back({"experts.up", {kExperts, kWidth, kHidden}, DType::kBF16});
  list.push_back({"experts.down", {kExperts, kHidden, kWidth}, DType::kF32});
  list.push_back({"shared.gate", {kWidth, kHidden}, DType::kF32});
  list.push_back({"shared.up", {kWidth, kHidden}, DType::kF32});
  list.push_back({"shared.down", {kHidden, kWidth}, DType::kF32});
  return list;
}

std::string role(int layer, const char *name) { return "layers." + std::to_string(layer) + "." + name; }

class Maker {
 public:
  graph::Value weight(int layer, const char *name) {
    for (const Shape &shape : layer_weights(layer))
      if (std::string(name) == shape.name)
        return b.weight(role(layer, name), shape.dtype, {shape.dims.begin(), shape.dims.end()});
    return {};
  }
  graph::Value attention(graph::Value h, int layer) {
    graph::MlaOptions options;
    options.shape = {kHeads, kNope, kRope, kValue, kRank};
    options.kv_layer = layer;
    options.softmax_scale = 1 / std::sqrt(double{kNope + kRope});
    for (uint32_t j = 0; j < kRope / 2; ++j) options.inv_freq.push_back(std::pow(100.0, -2.0 * j / kRope));
    const graph::Value x = b.rms_norm(h, weight(layer, "attn_norm"), 1e-6);
    const graph::Value q = b.linear(x, weight(layer, "q")), kv_a = b.linear(x, weight(layer, "kv_a"));
    return b.linear(b.mla_attention(q, kv_a, weight(layer, "kv_a_norm"), weight(layer, "kv_b"), options),
                    weight(layer, "o"));
  }
  graph::Value dense(graph::Value x) {
    const graph::Value gate = b.linear(x, weight(0, "gate")), up = b.linear(x, weight(0, "up"));
    return b.linear(b.swiglu(gate, up), weight(0, "down"));
  }
  graph::Value experts(graph::Value x) {
    graph::RouteOptions options;
    options.n_routed_experts = kExperts;
    options.num_experts_per_tok = kChosen;
    options.scoring_func = graph::ScoringFunc::kSigmoid;
    options.norm_topk_prob = true;
    options.routed_scaling_factor = 1.5;
    const graph::Routing routing = b.moe_route(x, weight(1, "router"), weight(1, "router.bias"), options);
    graph::ExpertWeights weights{};
    weights.n_routed_experts = weights.expert_count = kExperts;
    weights.gate = weight(1, "experts.gate");
    weights.up = weight(1, "experts.up");
    weights.down = weight(1, "experts.down");
    weights.shared_gate = weight(1, "shared.gate");
    weights.shared_up = weight(1, "shared.up");
    weights.shared_down = weight(1, "shared.down");
    return b.moe_experts(x, routing, weights);
  }

  graph::GraphBuilder b{"tiny"};
};

}  // namespace

graph::Graph tiny_graph() {
  Maker maker;
  graph::GraphBuilder &b = maker.b;
  graph::Value h = b.embed(b.weight("embed", DType::kF32, {kVocab, kHidden}));
  for (int layer = 0; layer < 2; ++layer) {
    b.scope("layers." + std::to_string(layer));
    h = b.add(h, maker.attention(h, layer));
    if (layer == 1) h = b.gather_rows(h);
    const graph::Value x = b.rms_norm(h, maker.weight(layer, "ffn_norm"), 1e-6);
    h = b.add(h, layer == 0 ? maker.dense(x) : maker.experts(x));
  }
  b.scope("");
  h = b.rms_norm(h, b.weight("final_norm", DType::kF32, {kHidden}), 1e-6);
  b.output_hidden(h);
  b.output_logits(b.lm_head(h, b.weight("lm_head", DType::kF32, {kVocab, kHidden}), kUsedVocab));
  auto graph = b.finish();
  REQUIRE_MESSAGE(graph.ok(), graph.status().message());
  return std::move(graph).value();
}

Weights tiny_weights(uint64_t seed) {
  Random random(seed);
  Weights weights;
  weights["embed"] = make_tensor(random, {}, {kVocab, kHidden}, 1);
  weights["lm_head"] = make_tensor(random, {}, {kVocab, kHidden}, 0.9);
  weights["final_norm"] = make_tensor(random, {}, {kHidden}, 1);
  for (int layer = 0; layer < 2; ++layer)
    for (const Shape &shape : layer_weights(layer)) {
      const bool vector = shape.dims.size() == 1;
      const double size = vector ? 1.0 : 1.7 / std::sqrt(static_cast<double>(shape.dims.back()));
      const Storage storage{shape.dtype, shape.dims.size() == 3, 0, 0};
      weights[role(layer, shape.name)] = make_tensor(random, storage, shape.dims, size);
    }
  return weights;
}

dsb_plan_options tiny_options() {
  dsb_plan_options options = default_options();
  options.max_adapters = 3;
  options.max_lora_rank = 5;
  return options;
}

Tiny::Tiny(const dsb_plan_options &given, const Weights &weights)
    : options(given), program(tiny_graph(), weights, given, false), pool(given, kRank, kRope, kLayers, 64) {}

std::vector<uint32_t> Tiny::blocks(uint32_t slot) {
  std::vector<uint32_t> list;
  for (uint32_t i = 0; i < 8; ++i) list.push_back(16 * slot + i);
  return list;
}

Step Tiny::step(uint32_t slot, uint32_t kv_len, const std::vector<uint32_t> &tokens, uint32_t want) const {
  Step step;
  step.pool = pool.pool;
  const uint32_t seq = step.add_seq(slot, kv_len, blocks(slot));
  for (uint32_t i = 0; i < tokens.size(); ++i) step.add_row(seq, kv_len + i, tokens[i], want);
  return step;
}

std::vector<float> Tiny::forward(uint32_t slot, uint32_t kv_len, const std::vector<uint32_t> &tokens,
                                 uint32_t adapter) {
  Step one = step(slot, kv_len, tokens, DSB_WANT_LOGITS);
  one.seqs[0].adapter_slot = adapter;
  std::vector<float> logits(tokens.size() * kVocab);
  one.outputs.logits = logits.data();
  run_ok(program.exec, one);
  return logits;
}

std::vector<uint32_t> random_tokens(uint64_t seed, uint32_t n) {
  Random random(seed);
  std::vector<uint32_t> tokens(n);
  for (uint32_t &token : tokens) token = random.below(kUsedVocab);
  return tokens;
}

}  // namespace conformance
