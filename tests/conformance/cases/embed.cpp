// embed: the table's rows exactly, for every stored type.
#include "harness.h"

namespace conformance {

CONFORMANCE("embed: exact rows of every stored type") {
  const Storage storages[] = {{DType::kF32},  {DType::kF16},  {DType::kBF16}, {DType::kF8E4M3},
                              {DType::kQ8_0}, {DType::kQ4_0}, {DType::kQ4_1}, {DType::kQ5_0},
                              {DType::kQ4_K}, {DType::kQ5_K}, {DType::kQ6_K}, {DType::kF8E4M3, false, 16, 8}};
  for (const Storage &storage : storages) {
    const std::string type = deepseam::dtype_info(storage.dtype).name;
    CAPTURE(type);
    Random random(11);
    Weights weights;
    weights["embed"] = make_tensor(random, storage, {53, 43}, 1);
    graph::GraphBuilder b("embed");
    b.output_hidden(b.gather_rows(b.embed(b.weight("embed", storage.dtype, {53, 43}))));
    auto made = b.finish();
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    const Program program(*made, weights);
    Step step;
    step.add_seq(0, 0, {});
    std::vector<double> exact;
    for (uint32_t token : {0u, 52u, 17u, 17u, 31u}) {
      step.add_row(0, static_cast<uint32_t>(step.rows.size()), token, DSB_WANT_HIDDEN);
      for (uint32_t i = 0; i < 43; ++i) exact.push_back(static_cast<float>(weights["embed"].row(token)[i]));
    }
    std::vector<float> found(exact.size());
    step.outputs.hidden = found.data();
    run_ok(program.exec, step);
    check_close(found, exact, storage.block_rows ? 1e-7 : 0);  // value * scale rounds once
  }
}

}  // namespace conformance
