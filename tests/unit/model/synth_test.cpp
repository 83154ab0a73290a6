#include "model/synth.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>

#include "model/synth_fill.h"
#include "unit/base/temporary_folder.h"
#include "work_samples.h"

using namespace deepseam;
using namespace deepseam::model;
using namespace deepseam::model::test;

TEST_CASE("tiny with seed 1 is the oracle's lite, number for number") {
  TemporaryFolder folder;
  synth("tiny", PackType::kBF16, folder / "x.dsm");
  const ModelFiles ours = opened(folder / "x.dsm"), oracle = opened(std::string(DS_TINY_DIR) + "/lite");
  const WeightMap found = bound(ours), expected = bound(oracle);
  REQUIRE_EQ(found.bindings.size(), expected.bindings.size());
  for (const WeightBinding &weight : expected.bindings) {
    INFO(weight.spec.role);
    CHECK(numbers(ours, *found.find(weight.spec.role)) == numbers(oracle, weight));
  }
  HfConfig config = oracle.config;
  CHECK(ours.config == config);
}

TEST_CASE("tiny-v3 is the oracle's v3 before fp8, with a larger vocabulary") {
  TemporaryFolder folder;
  synth("tiny-v3", PackType::kF32, folder / "x.dsm", 3);
  const ModelFiles ours = opened(folder / "x.dsm"), oracle = opened(std::string(DS_TINY_DIR) + "/v3");
  const WeightMap found = bound(ours), expected = bound(oracle);
  CHECK(found.has_mtp);
  for (const WeightBinding &weight : expected.bindings) {
    const WeightBinding *same = found.find(weight.spec.role);
    if (!same || same->spec.shape != weight.spec.shape) continue;  // the vocabulary's
    INFO(weight.spec.role);
    const auto a = numbers(ours, *same), b = numbers(oracle, weight);
    float largest = 0;
    for (float value : b) largest = std::fmax(largest, std::fabs(value));
    const float limit = weight.dtype == DType::kF8E4M3 ? largest / 20 : 0;  // half a step of e4m3, and bf16's rounding
    for (size_t i = 0; i < a.size(); ++i) REQUIRE(std::fabs(a[i] - b[i]) <= limit);
  }
}

TEST_CASE("every shape has a possible configuration") {
  for (const std::string &shape : synth_shapes()) {
    const auto config = synth_config(shape);
    REQUIRE(config.ok());
    require_ok(make_config(config.value(), shape).status());
  }
  const auto wrong = synth_config("huge");
  REQUIRE_FALSE(wrong.ok());
  CHECK(std::strstr(wrong.status().message(), "tiny, tiny-v3, lite, v2, r1, found 'huge'"));
}

TEST_CASE("seed and threads: the same file, or another one") {
  TemporaryFolder folder;
  auto pool = make_thread_pool(3, false);
  WorkOptions work;
  work.runner = pool->get();
  synth("tiny-v3", PackType::kFp8, folder / "a", 5);
  synth("tiny-v3", PackType::kFp8, folder / "b", 5, work);
  synth("tiny-v3", PackType::kFp8, folder / "c", 6);
  CHECK(TemporaryFolder::read(folder / "a") == TemporaryFolder::read(folder / "b"));
  CHECK_FALSE(TemporaryFolder::read(folder / "a") == TemporaryFolder::read(folder / "c"));
}

TEST_CASE("quickly made rows have the right spread in every format, wherever they are cut") {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                      DType::kQ5_0}) {
    INFO(dtype_info(dtype).name);
    constexpr uint64_t kRows = 300, kCols = 200;  // a partial block in every row
    const double deviation = 0.03;
    const uint64_t row = row_bytes(dtype, kCols);
    std::vector<uint8_t> whole(kRows * row), pieces(kRows * row);
    synth_fill(dtype, 17, deviation, 0, kRows, kCols, whole.data());
    synth_fill(dtype, 17, deviation, 0, 77, kCols, pieces.data());
    synth_fill(dtype, 17, deviation, 77, kRows - 77, kCols, pieces.data() + 77 * row);
    CHECK(whole == pieces);
    TensorDirectory directory;
    directory.sources.push_back(open_memory("x", whole).value());
    TensorInfo tensor;
    tensor.dtype = dtype;
    tensor.shape = {kRows, kCols};
    tensor.range = {0, 0, whole.size()};
    const auto values = read_tensor_f32(directory, tensor);
    REQUIRE(values.ok());
    const double scale = dtype == DType::kF8E4M3 ? synth_fp8_scale(deviation) : 1;
    double sum = 0, square = 0;
    for (float value : values.value()) {
      sum += value * scale;
      square += value * scale * value * scale;
    }
    const double n = kRows * kCols;
    CHECK(std::fabs(std::sqrt(square / n) / deviation - 1) < 0.02);
    CHECK(std::fabs(sum / n) < 0.02 * deviation);
  }
}
