#include "ref/math.h"

#include <algorithm>

namespace deepseam::ref {
namespace {

constexpr uint64_t kTaskProducts = uint64_t{1} << 20;  // about a millisecond
constexpr uint32_t kBlock = 8;                         // weight rows decoded before they meet the input rows

}  // namespace

float dot(const float *a, const float *b, uint64_t n) {
  float sums[16] = {};
  uint64_t i = 0;
  for (; i + 16 <= n; i += 16)
    for (uint64_t lane = 0; lane < 16; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  for (uint64_t lane = 0; i + lane < n; ++lane) sums[lane] += a[i + lane] * b[i + lane];
  for (uint64_t half = 8; half > 0; half /= 2)
    for (uint64_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
  return sums[0];
}

void add_scaled(float *y, const float *x, float factor, uint64_t n) {
  for (uint64_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

uint32_t weight_rows_per_task(uint64_t cols, uint64_t rows) {
  const uint64_t products = std::max<uint64_t>(1, cols * rows);
  return static_cast<uint32_t>(std::clamp<uint64_t>(kTaskProducts / products, 1, 256));
}

std::vector<float> project(const sdk::Lora &lora, const float *x) {
  std::vector<float> projected(lora.rank);
  for (uint32_t j = 0; j < lora.rank; ++j) projected[j] = dot(lora.a.data() + j * lora.in, x, lora.in);
  return projected;
}

void multiply(sdk::RunContext &context, size_t weight, size_t bias) {
  const sdk::StoredTensor &w = *context.stored(weight);
  const sdk::StoredTensor *b = context.stored(bias);
  const uint64_t cols = w.cols, outs = w.rows, end = context.first_row + context.n_rows;
  const uint32_t per_task = weight_rows_per_task(cols, context.n_rows);
  std::vector<float> biases(b ? outs : 0);
  if (b) b->decode(0, 0, biases.data());

  context.tasks.parallel(static_cast<uint32_t>((outs + per_task - 1) / per_task), [&](uint32_t task) {
    std::vector<float> decoded(kBlock * cols);
    const uint64_t task_end = std::min<uint64_t>(outs, (uint64_t{task} + 1) * per_task);
    for (uint64_t o = uint64_t{task} * per_task; o < task_end; o += kBlock) {
      const uint64_t n = std::min<uint64_t>(kBlock, task_end - o);
      if (context.tasks.cancelled()) return;
      for (uint64_t j = 0; j < n; ++j) w.decode(0, o + j, decoded.data() + j * cols);
      for (uint64_t r = context.first_row; r < end; ++r)
        for (uint64_t j = 0; j < n; ++j)
          context.output()[r * outs + o + j] =
              dot(context.input(0) + r * cols, decoded.data() + j * cols, cols) + (b ? biases[o + j] : 0.0f);
    }
  });
  if (!context.any_adapter) return;
  context.tasks.parallel(context.n_rows, [&](uint32_t task) {
    const uint32_t r = context.first_row + task;
    const sdk::Lora *lora = context.lora(r, weight);
    if (!lora) return;
    const std::vector<float> projected = project(*lora, context.input(0) + r * cols);
    for (uint64_t o = 0; o < outs; ++o) context.output()[r * outs + o] += delta(*lora, projected, o);
  });
}

}  // namespace deepseam::ref
