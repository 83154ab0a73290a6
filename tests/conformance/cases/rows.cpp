// The ops that work on rows without a matrix: rms_norm, concat, add, swiglu, input_hidden, gather_rows.
#include <cmath>

#include "harness.h"

namespace conformance {
namespace {

constexpr uint32_t kCols = 45, kRows = 9;

// Two tensors a and b made from the input by exact linear maps: a = x, b = columns of x in reverse order.
struct Maker {
  Maker() : b("rows") {
    std::vector<float> flip(kCols * kCols);
    for (uint32_t i = 0; i < kCols; ++i) flip[i * kCols + kCols - 1 - i] = 1;
    weights["flip"] = exact_tensor({kCols, kCols}, flip);
    x = b.input_hidden(kCols);
    y = b.linear(x, b.weight("flip", DType::kF32, {kCols, kCols}));
  }
  std::vector<float> run(graph::Value out, uint32_t cols, const std::vector<float> &hidden) {
    b.output_hidden(b.gather_rows(out));
    auto made = b.finish();
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    const Program program(*made, weights);
    return run_rows(program, hidden, kRows, cols);
  }
  graph::GraphBuilder b;
  Weights weights;
  graph::Value x, y;
};

double flipped(const std::vector<float> &hidden, uint32_t r, uint32_t i) { return hidden[r * kCols + kCols - 1 - i]; }

}  // namespace

CONFORMANCE("rms_norm") {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    Random random(3);
    Maker maker;
    maker.weights["norm"] = make_tensor(random, {dtype}, {kCols}, 2);
    std::vector<float> hidden = random_floats(random, kRows * kCols, 3);
    for (uint32_t i = 0; i < kCols; ++i) hidden[i] = 0;               // eps keeps zeros finite
    for (uint32_t i = 0; i < kCols; ++i) hidden[kCols + i] *= 1e-4f;  // where eps matters
    const double eps = 1e-3;
    std::vector<double> exact;
    for (uint32_t r = 0; r < kRows; ++r) {
      double sum = 0;
      for (uint32_t i = 0; i < kCols; ++i) sum += double{hidden[r * kCols + i]} * hidden[r * kCols + i];
      for (uint32_t i = 0; i < kCols; ++i)
        exact.push_back(hidden[r * kCols + i] / std::sqrt(sum / kCols + eps) * maker.weights["norm"].values[i]);
    }
    check_close(maker.run(maker.b.rms_norm(maker.x, maker.b.weight("norm", dtype, {kCols}), eps), kCols, hidden), exact,
                1e-6);
  }
}

CONFORMANCE("concat") {
  Random random(4);
  Maker maker;
  const std::vector<float> hidden = random_floats(random, kRows * kCols);
  std::vector<double> exact;
  for (uint32_t r = 0; r < kRows; ++r) {
    for (uint32_t i = 0; i < kCols; ++i) exact.push_back(hidden[r * kCols + i]);
    for (uint32_t i = 0; i < kCols; ++i) exact.push_back(flipped(hidden, r, i));
  }
  check_close(maker.run(maker.b.concat(maker.x, maker.y), 2 * kCols, hidden), exact, 0);
}

CONFORMANCE("add") {
  Random random(5);
  Maker maker;
  const std::vector<float> hidden = random_floats(random, kRows * kCols);
  std::vector<double> exact;
  for (uint32_t r = 0; r < kRows; ++r)
    for (uint32_t i = 0; i < kCols; ++i) exact.push_back(hidden[r * kCols + i] + flipped(hidden, r, i));
  check_close(maker.run(maker.b.add(maker.x, maker.y), kCols, hidden), exact, 1e-7);
}

CONFORMANCE("swiglu") {
  Random random(6);
  Maker maker;
  std::vector<float> hidden = random_floats(random, kRows * kCols, 8);
  hidden[0] = -200, hidden[1] = 200, hidden[2] = 0;  // where e^x leaves float32
  std::vector<double> exact;
  for (uint32_t r = 0; r < kRows; ++r)
    for (uint32_t i = 0; i < kCols; ++i) {
      const double gate = hidden[r * kCols + i];
      exact.push_back(gate / (1 + std::exp(-gate)) * flipped(hidden, r, i));
    }
  check_close(maker.run(maker.b.swiglu(maker.x, maker.y), kCols, hidden), exact, 1e-6);
}

CONFORMANCE("input_hidden and gather_rows: rows in any order, only those that are wanted") {
  Random random(7);
  graph::GraphBuilder b("rows");
  b.output_hidden(b.gather_rows(b.input_hidden(kCols)));
  auto made = b.finish();
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  const Program program(*made, {});
  Step step;
  step.hidden_in = random_floats(random, 5 * kCols);
  step.n_hidden_in = 5;
  step.add_seq(0, 0, {});
  const uint32_t from[] = {3, 0, 4, 4, 1};
  for (uint32_t i = 0; i < 5; ++i) step.add_row(0, i, 0, i % 2 ? 0 : DSB_WANT_HIDDEN).hidden_row = from[i];
  std::vector<float> found(3 * kCols);
  step.outputs.hidden = found.data();
  run_ok(program.exec, step);
  for (uint32_t i = 0; i < 3; ++i)
    for (uint32_t j = 0; j < kCols; ++j) CHECK(found[i * kCols + j] == step.hidden_in[from[2 * i] * kCols + j]);
}

}  // namespace conformance
