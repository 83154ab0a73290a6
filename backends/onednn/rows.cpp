// Ops that map single rows: embed, input_hidden, rms_norm, concat, swiglu, add, gather_rows.
#include <cmath>
#include <cstring>

#include "ops.h"

namespace deepseam::onednn {
namespace {

// body(r) for every row asked for.
template <class Body>
void each_row(sdk::RunContext &run, const Body &body) {
  onednn::each_row(run.tasks, run.n_rows, [&](uint64_t i) { body(run.first_row + static_cast<uint32_t>(i)); });
}

const Kernels &kernels_of(const sdk::RunContext &run) { return *machine_of(run.plan).kernels; }

}  // namespace

Status run_embed(sdk::RunContext &run) {
  const uint64_t hidden = run.plan.output_cols(0);
  const sdk::StoredTensor &table = *run.stored(0);
  each_row(run, [&](uint32_t row) { table.decode(0, run.row(row).token, run.output() + row * hidden); });
  return {};
}

Status run_input_hidden(sdk::RunContext &run) {
  const uint64_t hidden = run.plan.output_cols(0);
  each_row(run, [&](uint32_t row) {
    std::memcpy(run.output() + row * hidden, run.hidden_in + run.row(row).hidden_row * hidden, hidden * sizeof(float));
  });
  return {};
}

Status run_rms_norm(sdk::RunContext &run) {
  const uint64_t cols = run.plan.output_cols(0);
  const double eps = run.plan.node.get_float(graph::Attr::kEps);
  std::vector<float> weight(cols);
  run.stored(1)->decode(0, 0, weight.data());
  each_row(run, [&](uint32_t row) {
    const float *x = run.input(0) + row * cols;
    float *y = run.output() + row * cols;
    const double mean = static_cast<double>(kernels_of(run).sum_squares(x, cols)) / static_cast<double>(cols);
    const float scale = static_cast<float>(1 / std::sqrt(mean + eps));
    for (uint64_t i = 0; i < cols; ++i) y[i] = x[i] * scale * weight[i];
  });
  return {};
}

Status run_concat(sdk::RunContext &run) {
  const uint64_t a = run.plan.input_cols(0), b = run.plan.input_cols(1);
  each_row(run, [&](uint32_t row) {
    float *y = run.output() + row * (a + b);
    std::memcpy(y, run.input(0) + row * a, a * sizeof(float));
    std::memcpy(y + a, run.input(1) + row * b, b * sizeof(float));
  });
  return {};
}

Status run_swiglu(sdk::RunContext &run) {
  const uint64_t cols = run.plan.output_cols(0);
  each_row(run, [&](uint32_t row) {
    kernels_of(run).silu_mul(run.input(0) + row * cols, run.input(1) + row * cols, run.output() + row * cols, cols);
  });
  return {};
}

Status run_add(sdk::RunContext &run) {
  const uint64_t cols = run.plan.output_cols(0);
  each_row(run, [&](uint32_t row) {
    const float *a = run.input(0) + row * cols, *b = run.input(1) + row * cols;
    float *y = run.output() + row * cols;
    for (uint64_t i = 0; i < cols; ++i) y[i] = a[i] + b[i];
  });
  return {};
}

Status run_gather_rows(sdk::RunContext &run) {
  const uint64_t cols = run.plan.output_cols(0);
  each_row(run, [&](uint32_t row) {
    std::memcpy(run.output() + row * cols, run.input(0) + run.gathered[row] * cols, cols * sizeof(float));
  });
  return {};
}

}  // namespace deepseam::onednn
