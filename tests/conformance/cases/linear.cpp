// linear against y = W x + b, for every stored type and sizes that fill no vector and no block.
#include "harness.h"

namespace conformance {
namespace {

struct Case {
  Storage storage;
  uint32_t in, out, rows;
  bool bias;
};

void check_linear(const Case &c, bool lasting) {
  const std::string type = deepseam::dtype_info(c.storage.dtype).name;
  CAPTURE(type);
  CAPTURE(c.in);
  CAPTURE(c.out);
  CAPTURE(c.rows);
  Random random(c.in * 1000 + c.out);
  Weights weights;
  weights["w"] = make_tensor(random, c.storage, {c.out, c.in}, 1);
  weights["b"] = make_tensor(random, {}, {c.out}, 1);
  graph::GraphBuilder b("linear");
  const graph::Value x = b.input_hidden(c.in);
  const graph::Value w = b.weight("w", c.storage.dtype, {c.out, c.in});
  const graph::Value y = b.linear(x, w, c.bias ? b.weight("b", DType::kF32, {c.out}) : graph::Value{});
  b.output_hidden(b.gather_rows(y));
  auto made = b.finish();
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  const Program program(*made, weights, default_options(), lasting);

  const std::vector<float> hidden = random_floats(random, size_t{c.rows} * c.in);
  std::vector<double> exact;
  for (uint32_t r = 0; r < c.rows; ++r)
    for (uint32_t o = 0; o < c.out; ++o) {
      double sum = c.bias ? weights["b"].values[o] : 0;
      for (uint32_t i = 0; i < c.in; ++i) sum += weights["w"].row(o)[i] * hidden[r * c.in + i];
      exact.push_back(sum);
    }
  const std::vector<float> found = run_rows(program, hidden, c.rows, c.out);
  check_close(found, exact, tolerance(c.storage.dtype));

  // Batching is invisible: each row alone gives the same bits.
  for (uint32_t r : {0u, c.rows - 1}) {
    const std::vector<float> alone =
        run_rows(program, {hidden.begin() + r * c.in, hidden.begin() + (r + 1) * c.in}, 1, c.out);
    check_same(alone, {found.begin() + r * c.out, found.begin() + (r + 1) * c.out});
  }
}

}  // namespace

CONFORMANCE("linear: plain types, odd sizes") {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16})
    for (uint32_t in : {1u, 7u, 50u, 131u}) check_linear({{dtype}, in, 37, 5, in == 50}, true);
}

CONFORMANCE("linear: block types, last block partial") {
  for (DType dtype : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0})
    for (uint32_t in : {5u, 32u, 77u, 160u}) check_linear({{dtype}, in, 45, 3, false}, true);
}

CONFORMANCE("linear: blocks of 256, last block partial") {
  for (DType dtype : {DType::kQ4_K, DType::kQ5_K, DType::kQ6_K})
    for (uint32_t in : {5u, 77u, 256u, 300u, 704u}) check_linear({{dtype}, in, 45, 3, false}, true);
}

CONFORMANCE("linear: F8 without scales, with one, with partial blocks") {
  check_linear({{DType::kF8E4M3}, 70, 33, 4, false}, true);
  check_linear({{DType::kF8E4M3, false, 33, 70}, 70, 33, 4, true}, true);
  check_linear({{DType::kF8E4M3, false, 16, 32}, 70, 41, 4, false}, true);
  check_linear({{DType::kF8E4M3, false, 128, 128}, 300, 144, 9, false}, true);
}

CONFORMANCE("linear: F8 with scales per block of any size") {
  check_linear({{DType::kF8E4M3, false, 7, 9}, 70, 41, 2, false}, true);
  check_linear({{DType::kF8E4M3, false, 1, 70}, 70, 41, 2, false}, true);
}

CONFORMANCE("linear: many rows, larger sizes") {
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ4_K,
                      DType::kQ5_K, DType::kQ6_K})
    check_linear({{dtype}, 321, 200, 61, false}, true);
}

CONFORMANCE("linear: sources that do not last are copied") {
  check_linear({{DType::kBF16}, 31, 17, 2, true}, false);
  check_linear({{DType::kF8E4M3, false, 16, 32}, 70, 17, 2, false}, false);
}

}  // namespace conformance
