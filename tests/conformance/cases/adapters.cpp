// Low-rank adapters: each row follows its own sequence's adapter, and the result is that of merged weights.
#include <cmath>
#include <limits>

#include "tiny.h"

namespace conformance {
namespace {

struct Delta {
  const char *role;
  uint32_t expert;
  uint32_t rank;
};
constexpr Delta kDeltas[] = {
    {"layers.0.q", DSB_NONE, 3},           {"layers.0.kv_a", DSB_NONE, 2}, {"layers.0.kv_b", DSB_NONE, 5},
    {"layers.1.kv_b", DSB_NONE, 1},        {"layers.1.o", DSB_NONE, 4},    {"layers.0.down", DSB_NONE, 2},
    {"layers.1.router", DSB_NONE, 2},      {"lm_head", DSB_NONE, 3},       {"layers.1.shared.up", DSB_NONE, 2},
    {"layers.1.shared.down", DSB_NONE, 2},
};

struct Lora {
  Delta delta;
  float scale;
  std::vector<float> a, b;
};

// Deltas of everything that multiplies, experts included.
std::vector<Lora> make_adapter(uint64_t seed, const Weights &weights, float size) {
  Random random(seed);
  std::vector<Delta> deltas(std::begin(kDeltas), std::end(kDeltas));
  for (uint32_t expert = 0; expert < kExperts; ++expert)
    for (const char *role : {"layers.1.experts.gate", "layers.1.experts.up", "layers.1.experts.down"})
      deltas.push_back({role, expert, 1 + expert % 3});
  std::vector<Lora> adapter;
  for (const Delta &delta : deltas) {
    const std::vector<uint64_t> &dims = weights.at(delta.role).dims;
    const uint64_t in = dims.back(), out = dims[dims.size() - 2];
    adapter.push_back(
        {delta, size, random_floats(random, delta.rank * in), random_floats(random, out * delta.rank, 0.3)});
  }
  return adapter;
}

ds_status load(const Program &program, uint32_t slot, const std::vector<Lora> &adapter, Error *error = nullptr) {
  std::vector<dsb_lora> loras;
  for (const Lora &lora : adapter)
    loras.push_back({program.tensor(lora.delta.role), lora.delta.expert, lora.delta.rank, lora.scale, lora.a.data(),
                     lora.b.data()});
  const dsb_adapter_desc desc = {sizeof desc, static_cast<uint32_t>(loras.size()), loras.data(), sizeof(dsb_lora), 0};
  return api().adapter_load(program.program, slot, &desc, error);
}

// The weights with the deltas added; F32, so that nothing is rounded twice.
Weights merge(const Weights &weights, const std::vector<Lora> &adapter) {
  Weights merged = weights;
  for (const Lora &lora : adapter) {
    Tensor &tensor = merged[lora.delta.role];
    const uint64_t in = tensor.cols(), out = tensor.dims[tensor.dims.size() - 2];
    const uint64_t first = lora.delta.expert == DSB_NONE ? 0 : lora.delta.expert * out;
    for (uint64_t o = 0; o < out; ++o)
      for (uint64_t i = 0; i < in; ++i)
        for (uint64_t k = 0; k < lora.delta.rank; ++k)
          tensor.values[(first + o) * in + i] +=
              double{lora.scale} * lora.b[o * lora.delta.rank + k] * lora.a[k * in + i];
  }
  for (auto &entry : merged)
    entry.second = exact_tensor(entry.second.dims, {entry.second.values.begin(), entry.second.values.end()});
  return merged;
}

graph::Graph all_f32(graph::Graph graph) {
  for (graph::Tensor &tensor : graph.tensors)
    if (tensor.kind == graph::TensorKind::kWeight) tensor.dtype = DType::kF32;
  return graph;
}

}  // namespace

CONFORMANCE("adapters: the same as merged weights, kv_b and experts included") {
  Tiny tiny;
  const std::vector<Lora> adapter = make_adapter(61, tiny_weights(), 0.4f);
  REQUIRE(load(tiny.program, 2, adapter) == DS_OK);
  const std::vector<uint32_t> tokens = random_tokens(62, 15);
  const std::vector<float> found = tiny.forward(0, 0, tokens, 2);
  const std::vector<float> plain = tiny.forward(1, 0, tokens);

  const Program merged(all_f32(tiny_graph()), merge(tiny_weights(), adapter), tiny.options, false);
  Step step = tiny.step(1, 0, tokens, DSB_WANT_LOGITS);
  std::vector<float> logits(tokens.size() * kVocab);
  step.outputs.logits = logits.data();
  run_ok(merged.exec, step);
  std::vector<float> used;
  std::vector<double> exact;
  double moved = 0;
  for (size_t r = 0; r < tokens.size(); ++r)
    for (uint32_t i = 0; i < kUsedVocab; ++i) {
      used.push_back(found[r * kVocab + i]);
      exact.push_back(logits[r * kVocab + i]);
      moved = std::max(moved, static_cast<double>(std::abs(plain[r * kVocab + i] - found[r * kVocab + i])));
    }
  CHECK(moved > 0.1);  // the adapter does something
  check_close(used, exact, 3e-5);
}

CONFORMANCE("adapters: several slots in one batch, each as if alone; unloading; reloading") {
  Tiny tiny;
  for (uint32_t slot = 1; slot <= 3; ++slot)
    REQUIRE(load(tiny.program, slot, make_adapter(62 + slot, tiny_weights(), 0.3f)) == DS_OK);
  Step step;
  step.pool = tiny.pool.pool;
  std::vector<float> alone;
  for (uint32_t i = 0; i < 4; ++i) {  // sequence i has adapter i; 0: none
    const std::vector<uint32_t> tokens = random_tokens(70 + i, 3 + 2 * i);
    const std::vector<float> logits = tiny.forward(i, 0, tokens, i);
    alone.insert(alone.end(), logits.begin(), logits.end());
    const uint32_t seq = step.add_seq(i, 0, Tiny::blocks(i));
    step.seqs[seq].adapter_slot = i;
    for (uint32_t j = 0; j < tokens.size(); ++j) step.add_row(seq, j, tokens[j], DSB_WANT_LOGITS);
  }
  std::vector<float> together(alone.size());
  step.outputs.logits = together.data();
  run_ok(tiny.program.exec, step);
  check_same(together, alone);

  const std::vector<uint32_t> tokens = random_tokens(75, 4);
  const std::vector<float> before = tiny.forward(0, 0, tokens, 1);
  REQUIRE(api().adapter_unload(tiny.program.program, 1, nullptr) == DS_OK);
  Step gone = tiny.step(0, 0, tokens, DSB_WANT_LOGITS);
  gone.seqs[0].adapter_slot = 1;
  CHECK(run(tiny.program.exec, gone) == DS_E_ARGUMENT);
  REQUIRE(load(tiny.program, 1, make_adapter(63, tiny_weights(), 0.3f)) == DS_OK);
  check_same(tiny.forward(0, 0, tokens, 1), before);
}

CONFORMANCE("adapters: what cannot be a delta is refused") {
  Tiny tiny;
  const std::vector<float> numbers(4096, 0.1f);
  const auto refuse = [&](uint32_t slot, dsb_lora lora) {
    const dsb_adapter_desc desc = {sizeof desc, 1, &lora, sizeof lora, 0};
    Error error;
    const ds_status code = api().adapter_load(tiny.program.program, slot, &desc, &error);
    CHECK(code != DS_OK);
    CHECK(error.message[0] != 0);
  };
  const Program &p = tiny.program;
  const dsb_lora good = {p.tensor("layers.0.q"), DSB_NONE, 2, 1, numbers.data(), numbers.data()};
  refuse(0, good);
  refuse(4, good);
  dsb_lora bad = good;
  refuse(1, (bad.tensor = 1u << 30, bad));
  refuse(1, (bad = good, bad.tensor = p.tensor("embed"), bad));
  refuse(1, (bad = good, bad.tensor = p.tensor("final_norm"), bad));
  refuse(1, (bad = good, bad.expert = 0, bad));
  refuse(1, (bad = good, bad.tensor = p.tensor("layers.1.experts.up"), bad));
  refuse(1, (bad = good, bad.tensor = p.tensor("layers.1.experts.up"), bad.expert = kExperts, bad));
  refuse(1, (bad = good, bad.rank = 0, bad));
  refuse(1, (bad = good, bad.rank = 6, bad));
  refuse(1, (bad = good, bad.a = nullptr, bad));
  std::vector<float> nan = numbers;
  nan[3] = std::numeric_limits<float>::quiet_NaN();
  refuse(1, (bad = good, bad.b = nan.data(), bad));
}

}  // namespace conformance
