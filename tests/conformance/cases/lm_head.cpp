// lm_head: logits of the rows that want them; ids without a token are -inf.
#include <cmath>
#include <limits>

#include "harness.h"

namespace conformance {

CONFORMANCE("lm_head: padded vocabulary, only rows that want logits, in row order") {
  constexpr uint32_t kIn = 39, kOut = 83, kKnown = 70;
  for (DType dtype : {DType::kF32, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ4_K,
                      DType::kQ5_K, DType::kQ6_K}) {
    Random random(12);
    Weights weights;
    weights["head"] = make_tensor(random, {dtype}, {kOut, kIn}, 1);
    graph::GraphBuilder b("lm_head");
    const graph::Value x = b.gather_rows(b.input_hidden(kIn));
    b.output_hidden(x);
    b.output_logits(b.lm_head(x, b.weight("head", dtype, {kOut, kIn}), kKnown));
    auto made = b.finish();
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    dsb_plan_options options = default_options();
    options.max_logit_rows = 2;  // fewer than rows that want hidden
    const Program program(*made, weights, options);
    Step step;
    step.hidden_in = random_floats(random, 5 * kIn);
    step.n_hidden_in = 5;
    step.add_seq(0, 0, {});
    const uint32_t wants[] = {DSB_WANT_HIDDEN, DSB_WANT_LOGITS, 0, DSB_WANT_HIDDEN | DSB_WANT_LOGITS, DSB_WANT_HIDDEN};
    for (uint32_t i = 0; i < 5; ++i) step.add_row(0, i, 0, wants[i]).hidden_row = i;
    std::vector<float> logits(2 * kOut), hidden(3 * kIn);
    step.outputs.logits = logits.data();
    step.outputs.hidden = hidden.data();
    run_ok(program.exec, step);
    std::vector<float> found;
    std::vector<double> exact;
    for (uint32_t i = 0; i < 2; ++i)
      for (uint32_t o = 0; o < kOut; ++o) {
        const float value = logits[i * kOut + o];
        if (o >= kKnown) {
          CHECK(value == -std::numeric_limits<float>::infinity());
          continue;
        }
        double sum = 0;
        for (uint32_t j = 0; j < kIn; ++j) sum += weights["head"].row(o)[j] * step.hidden_in[(i ? 3 : 1) * kIn + j];
        found.push_back(value);
        exact.push_back(sum);
      }
    check_close(found, exact, tolerance(dtype));
    const uint32_t rows[] = {0, 3, 4};
    for (uint32_t i = 0; i < 3; ++i)
      for (uint32_t j = 0; j < kIn; ++j) CHECK(hidden[i * kIn + j] == step.hidden_in[rows[i] * kIn + j]);
  }
}

}  // namespace conformance
