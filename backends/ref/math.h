// Sums in one fixed order, and the products of rows with stored weights that most ops are made of.
#pragma once

#include <cstdint>
#include <vector>

#include "sdk/kernel.h"

namespace deepseam::ref {

// Sum of a[i] * b[i]: 16 partial sums (i modulo 16), added up in pairs.
float dot(const float *a, const float *b, uint64_t n);

// y[i] += factor * x[i]
void add_scaled(float *y, const float *x, float factor, uint64_t n);

// How many weight rows of `cols` numbers a task takes, so that with `rows` input rows it ends within milliseconds.
uint32_t weight_rows_per_task(uint64_t cols, uint64_t rows);

// For output rows r of the context: y[r, o] = sum over i of x[r, i] w[o, i], plus the row's adapter. The bias may be
// absent. `weight` and `bias` are input numbers of the node.
void multiply(sdk::RunContext &context, size_t weight, size_t bias);

// What an adapter adds to output o: scale * b[o] · projected, with projected = A x.
std::vector<float> project(const sdk::Lora &lora, const float *x);
inline float delta(const sdk::Lora &lora, const std::vector<float> &projected, uint64_t o) {
  return lora.scale * dot(lora.b.data() + o * lora.rank, projected.data(), lora.rank);
}

}  // namespace deepseam::ref
