// silu(gate) * up.
#include "ref/ref.h"
#include "sdk/exact_math.h"

namespace deepseam::ref {

Status swiglu(sdk::RunContext &context) {
  const uint64_t cols = context.plan.output_cols(0);
  context.tasks.parallel(context.n_rows, [&](uint32_t task) {
    const uint64_t begin = (uint64_t{context.first_row} + task) * cols;
    const float *gate = context.input(0) + begin, *up = context.input(1) + begin;
    float *y = context.output() + begin;
    for (uint64_t i = 0; i < cols; ++i) y[i] = sdk::exact_silu(gate[i]) * up[i];
  });
  return {};
}

}  // namespace deepseam::ref
