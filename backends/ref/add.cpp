// y = a + b.
#include "ref/ref.h"

namespace deepseam::ref {

Status add(sdk::RunContext &context) {
  const uint64_t cols = context.plan.output_cols(0), begin = context.first_row * cols;
  const float *a = context.input(0) + begin, *b = context.input(1) + begin;
  float *y = context.output() + begin;
  for (uint64_t i = 0; i < context.n_rows * cols; ++i) y[i] = a[i] + b[i];
  return {};
}

}  // namespace deepseam::ref
