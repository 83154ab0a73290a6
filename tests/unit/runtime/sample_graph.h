// Small graphs for tests of this folder: V 8, H 4.
#pragma once

#include <doctest/doctest.h>

#include "graph/builder.h"

namespace deepseam::runtime::test {

inline constexpr int64_t kVocabulary = 8, kHidden = 4;

// Tokens, or hidden rows, to logits.
inline graph::Graph sample_graph(bool from_tokens = true) {
  graph::GraphBuilder build("sample");
  graph::Value x = from_tokens ? build.embed(build.weight("embed", DType::kF32, {kVocabulary, kHidden}))
                               : build.input_hidden(kHidden);
  x = build.rms_norm(x, build.weight("final_norm", DType::kF32, {kHidden}), 1e-6);
  x = build.gather_rows(x);
  build.output_hidden(x);
  build.output_logits(build.lm_head(x, build.weight("lm_head", DType::kF16, {kVocabulary, kHidden}), kVocabulary));
  Result<graph::Graph> graph = build.finish();
  REQUIRE_MESSAGE(graph.ok(), graph.status().message());
  return std::move(graph).value();
}

}  // namespace deepseam::runtime::test
