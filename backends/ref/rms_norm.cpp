// x / sqrt(mean(x²) + eps) * weight.
#include <cmath>
#include <vector>

#include "ref/math.h"
#include "ref/ref.h"

namespace deepseam::ref {

Status rms_norm(sdk::RunContext &context) {
  const sdk::StoredTensor &weight = *context.stored(1);
  const uint64_t cols = weight.cols;
  const float eps = static_cast<float>(context.plan.node.get_float(graph::Attr::kEps));
  std::vector<float> scale(cols);
  weight.decode(0, 0, scale.data());
  for (uint64_t r = context.first_row; r < uint64_t{context.first_row} + context.n_rows; ++r) {
    const float *x = context.input(0) + r * cols;
    float *y = context.output() + r * cols;
    const float root = std::sqrt(dot(x, x, cols) / static_cast<float>(cols) + eps);
    for (uint64_t i = 0; i < cols; ++i) y[i] = x[i] / root * scale[i];
  }
  return {};
}

}  // namespace deepseam::ref
