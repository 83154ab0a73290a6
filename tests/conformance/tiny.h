// A two-layer model with odd sizes, for cases about steps rather than about arithmetic.
#pragma once

#include "harness.h"

namespace conformance {

inline constexpr uint32_t kVocab = 97, kHidden = 36, kHeads = 3, kNope = 10, kRope = 6, kValue = 9, kRank = 20,
                          kExperts = 6, kChosen = 2, kWidth = 14, kLayers = 2, kUsedVocab = 91;

graph::Graph tiny_graph();
Weights tiny_weights(uint64_t seed = 7);
dsb_plan_options tiny_options();  // with room for adapters

// The model with a pool of 64 blocks. Sequences live in slots; slot s has blocks 16 s, 16 s + 1, …
class Tiny {
 public:
  explicit Tiny(const dsb_plan_options &options = tiny_options(), const Weights &weights = tiny_weights());
  static std::vector<uint32_t> blocks(uint32_t slot);
  // Logits [rows, V] of `tokens` appended to a sequence that has kv_len rows.
  std::vector<float> forward(uint32_t slot, uint32_t kv_len, const std::vector<uint32_t> &tokens, uint32_t adapter = 0);
  // A step with these rows, ready for more.
  Step step(uint32_t slot, uint32_t kv_len, const std::vector<uint32_t> &tokens, uint32_t want) const;

  dsb_plan_options options;
  Program program;
  PoolHolder pool;
};

std::vector<uint32_t> random_tokens(uint64_t seed, uint32_t n);

}  // namespace conformance
