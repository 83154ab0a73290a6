// moe_experts against the weighted sum of gated MLPs, for the choices that the router made.
#include <cmath>

#include "harness.h"

namespace conformance {
namespace {

constexpr uint32_t kHidden = 45, kExperts = 7, kChosen = 3, kShared = 21;

struct Case {
  Storage storage;
  uint32_t width, rows;
  bool shared = true;
  uint32_t begin = 0, count = kExperts;
};

double silu(double x) { return x / (1 + std::exp(-x)); }

// down (silu(gate x) * up x), added to y with a factor. gate, up, down of expert e.
void add_mlp(const Tensor &gate, const Tensor &up, const Tensor &down, uint64_t e, const float *x, double factor,
             double *y) {
  const bool stacked = gate.dims.size() == 3;
  const uint64_t width = gate.dims[stacked ? 1 : 0];
  std::vector<double> h(width);
  for (uint64_t i = 0; i < width; ++i) {
    double g = 0, u = 0;
    for (uint64_t j = 0; j < kHidden; ++j) {
      g += (stacked ? gate.row(e, i) : gate.row(i))[j] * x[j];
      u += (stacked ? up.row(e, i) : up.row(i))[j] * x[j];
    }
    h[i] = silu(g) * u;
  }
  for (uint64_t o = 0; o < kHidden; ++o)
    for (uint64_t i = 0; i < width; ++i) y[o] += factor * (stacked ? down.row(e, o) : down.row(o))[i] * h[i];
}

Weights make_weights(const Case &c, Random &random) {
  Weights weights;
  weights["router"] = make_tensor(random, {}, {kExperts, kHidden}, 0.3);
  const Storage flat{c.storage.dtype, false, c.storage.block_rows, c.storage.block_cols};
  weights["gate"] = make_tensor(random, c.storage, {c.count, c.width, kHidden}, 0.3);
  weights["up"] = make_tensor(random, c.storage, {c.count, c.width, kHidden}, 0.3);
  weights["down"] = make_tensor(random, c.storage, {c.count, kHidden, c.width}, 0.3);
  weights["shared.gate"] = make_tensor(random, flat, {kShared, kHidden}, 0.3);
  weights["shared.up"] = make_tensor(random, flat, {kShared, kHidden}, 0.3);
  weights["shared.down"] = make_tensor(random, flat, {kHidden, kShared}, 0.3);
  return weights;
}

graph::Graph make_graph(const Case &c) {
  graph::GraphBuilder b("experts");
  const graph::Value x = b.input_hidden(kHidden);
  graph::RouteOptions route;
  route.n_routed_experts = kExperts;
  route.num_experts_per_tok = kChosen;
  route.routed_scaling_factor = 2;
  const DType dtype = c.storage.dtype;
  const auto weight = [&](const char *role, int64_t e, int64_t rows, int64_t cols) {
    return b.weight(role, dtype, e ? std::vector<int64_t>{e, rows, cols} : std::vector<int64_t>{rows, cols});
  };
  graph::ExpertWeights weights{};
  weights.n_routed_experts = kExperts;
  weights.expert_begin = c.begin;
  weights.expert_count = c.count;
  weights.gate = weight("gate", c.count, c.width, kHidden);
  weights.up = weight("up", c.count, c.width, kHidden);
  weights.down = weight("down", c.count, kHidden, c.width);
  if (c.shared) {
    weights.shared_gate = weight("shared.gate", 0, kShared, kHidden);
    weights.shared_up = weight("shared.up", 0, kShared, kHidden);
    weights.shared_down = weight("shared.down", 0, kHidden, kShared);
  }
  const graph::Routing routing = b.moe_route(x, b.weight("router", DType::kF32, {kExperts, kHidden}), {}, route);
  graph::Value y = b.moe_experts(x, routing, weights);
  b.output_hidden(b.gather_rows(y));
  auto made = b.finish();
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  return std::move(made).value();
}

void check_experts(const Case &c) {
  const std::string type = deepseam::dtype_info(c.storage.dtype).name;
  CAPTURE(type);
  CAPTURE(c.width);
  CAPTURE(c.rows);
  Random random(c.width);
  const Weights weights = make_weights(c, random);
  const Program program(make_graph(c), weights);
  const std::vector<float> hidden = random_floats(random, size_t{c.rows} * kHidden);
  std::vector<int32_t> ids(c.rows * kChosen);
  std::vector<float> factors(c.rows * kChosen), found(c.rows * kHidden);
  Step step;
  step.hidden_in = hidden;
  step.n_hidden_in = c.rows;
  step.add_seq(0, 0, {});
  for (uint32_t i = 0; i < c.rows; ++i) step.add_row(0, i, 0, DSB_WANT_HIDDEN).hidden_row = i;
  step.outputs.route_ids = ids.data();
  step.outputs.route_weights = factors.data();
  step.outputs.hidden = found.data();
  run_ok(program.exec, step);
  std::vector<double> exact(found.size());
  for (uint32_t r = 0; r < c.rows; ++r) {
    const float *x = hidden.data() + r * kHidden;
    for (uint32_t k = 0; k < kChosen; ++k) {
      const uint32_t expert = static_cast<uint32_t>(ids[r * kChosen + k]) - c.begin;
      if (expert < c.count)
        add_mlp(weights.at("gate"), weights.at("up"), weights.at("down"), expert, x, factors[r * kChosen + k],
                exact.data() + r * kHidden);
    }
    if (c.shared)
      add_mlp(weights.at("shared.gate"), weights.at("shared.up"), weights.at("shared.down"), 0, x, 1,
              exact.data() + r * kHidden);
  }
  check_close(found, exact, 2 * tolerance(c.storage.dtype));
  const std::vector<float> alone = run_rows(program, {hidden.end() - kHidden, hidden.end()}, 1, kHidden);
  check_same(alone, {found.end() - kHidden, found.end()});
}

}  // namespace

CONFORMANCE("moe_experts: every type, stacked parts") {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,
                      DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kF8E4M3})
    check_experts({{dtype, true}, 19, 6});
}

CONFORMANCE("moe_experts: one part for all experts") {
  for (DType dtype :
       {DType::kF32, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K})
    check_experts({{dtype, false}, 33, 5});
}

CONFORMANCE("moe_experts: blocks of 256, the second one partial") {
  for (DType dtype : {DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) check_experts({{dtype, true}, 290, 6});
}

CONFORMANCE("moe_experts: F8 with partial blocks, stacked and in one part") {
  check_experts({{DType::kF8E4M3, true, 16, 32}, 19, 6});
  check_experts({{DType::kF8E4M3, false, 16, 32}, 19, 6});
}

CONFORMANCE("moe_experts: one row, and more rows than experts") {
  check_experts({{DType::kBF16, true}, 20, 1});
  check_experts({{DType::kBF16, true}, 20, 50});
}

CONFORMANCE("moe_experts: many rows of every type have the bits of one") {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kQ8_0, DType::kQ4_0, DType::kF8E4M3})
    check_experts({{dtype, true}, 33, 61});
  check_experts({{DType::kQ4_0, true}, 40, 61, false, 2, 3});
}

CONFORMANCE("moe_experts: no shared expert, a share of the experts") {
  check_experts({{DType::kF32, true}, 13, 8, false});
  check_experts({{DType::kF32, true}, 13, 8, false, 2, 3});
  check_experts({{DType::kF32, true}, 13, 8, true, 6, 1});
}

}  // namespace conformance
