// Logits of the gathered rows; what lies behind n_vocab has no token and becomes -inf.
#include <algorithm>
#include <limits>

#include "ref/math.h"
#include "ref/ref.h"

namespace deepseam::ref {

Status lm_head(sdk::RunContext &context) {
  multiply(context, 1, 2);
  const uint64_t cols = context.plan.output_cols(0);
  const uint64_t known = static_cast<uint64_t>(context.plan.node.get_int(graph::Attr::kNumVocab));
  for (uint64_t r = context.first_row; r < uint64_t{context.first_row} + context.n_rows; ++r)
    std::fill(context.output() + r * cols + known, context.output() + (r + 1) * cols,
              -std::numeric_limits<float>::infinity());
  return {};
}

}  // namespace deepseam::ref
