#include "format/block_encode.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "format/blocks.h"

using namespace deepseam;

namespace {

// Bell-shaped numbers, the same on every machine.
std::vector<float> bell(uint64_t state, size_t n, float size) {
  std::vector<float> values(n);
  for (float &value : values) {
    int sum = 0;
    for (int i = 0; i < 8; ++i) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      sum += static_cast<int>(state >> 40 & 0xffff);
    }
    value = size * static_cast<float>(sum - 4 * 65535) / 53509.0f;
  }
  return values;
}

std::vector<float> written(DType dtype, const std::vector<float> &values, uint64_t cols, const EncodeHow &how = {}) {
  const uint64_t rows = values.size() / cols;
  std::vector<uint8_t> bytes(rows * row_bytes(dtype, cols));
  const Status status = encode_rows(dtype, values.data(), rows, cols, bytes.data(), {"w", 0}, how);
  INFO(status.message());
  REQUIRE(status.ok());
  std::vector<float> back(values.size());
  decode_rows(dtype, bytes.data(), rows, cols, back.data());
  return back;
}

double error_of(const std::vector<float> &a, const std::vector<float> &b, const float *weights, uint64_t cols) {
  double error = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double w = weights ? weights[i % cols] : 1;
    error += w * (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    size += w * double(a[i]) * a[i];
  }
  return std::sqrt(error / size);
}

constexpr DType kSearched[] = {DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                               DType::kQ3_K, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

}  // namespace

TEST_CASE("bell-shaped numbers: the error of each format, a hundredth above what was measured") {
  struct Case {
    DType dtype;
    double most;
  };
  const std::vector<float> values = bell(1, 512 * 128, 0.02f);
  for (const Case &each : {Case{DType::kQ8_0, 0.0055}, Case{DType::kQ4_0, 0.0820}, Case{DType::kQ4_1, 0.0705},
                           Case{DType::kQ5_0, 0.0406}, Case{DType::kQ5_1, 0.0340}, Case{DType::kQ3_K, 0.1453},
                           Case{DType::kQ4_K, 0.0708}, Case{DType::kQ5_K, 0.0348}, Case{DType::kQ6_K, 0.0174}}) {
    const double error = error_of(values, written(each.dtype, values, 512), nullptr, 512);
    INFO(dtype_info(each.dtype).name, " ", error);
    CHECK(error < each.most);
    CHECK(error > each.most * 0.9);  // much less is impossible: the comparison would be wrong
  }
}

TEST_CASE("weights move the error to where it counts less") {
  const std::vector<float> values = bell(2, 256 * 64, 0.02f);
  std::vector<float> weights(256);
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = i % 5 ? 0.01f : 4.0f;
  for (const DType dtype : kSearched) {
    const double with = error_of(values, written(dtype, values, 256, {weights.data(), false}), weights.data(), 256);
    const double without = error_of(values, written(dtype, values, 256), weights.data(), 256);
    INFO(dtype_info(dtype).name, " ", with, " ", without);
    CHECK(with < 0.95 * without);
  }
}

TEST_CASE("the filling of a row's last block does not matter") {
  const std::vector<float> values = bell(3, 264 * 8, 0.5f);
  for (const DType dtype : kSearched) {
    const double error = error_of(values, written(dtype, values, 264), nullptr, 264);
    INFO(dtype_info(dtype).name, " ", error);
    CHECK(error < 0.15);
  }
}

TEST_CASE("zeros, one number, tiny numbers, the largest ones") {
  for (const DType dtype : kSearched) {
    INFO(dtype_info(dtype).name);
    const std::vector<float> zeros(512);
    CHECK_EQ(written(dtype, zeros, 512), zeros);
    for (const float alone : {1.0f, -1.0f, 32768.0f, -32768.0f, 3e-5f}) {
      std::vector<float> one(512);
      one[300] = alone;
      const auto back = written(dtype, one, 512);
      INFO(alone, " ", back[300]);
      CHECK(std::fabs(back[300] - alone) <= 0.03f * std::fabs(alone));
      CHECK_EQ(back[0], 0);
    }
    for (const float size : {1e-12f, 1e-38f, 1e-44f}) {  // below what binary16 has: zeros, not NaN
      const std::vector<float> tiny = bell(4, 512, size);
      for (const float value : written(dtype, tiny, 512)) CHECK(std::fabs(value) <= 1e-7f);
    }
    std::vector<float> large = bell(5, 512, 8000.0f);
    CHECK(error_of(large, written(dtype, large, 512), nullptr, 512) < 0.15);
  }
}

TEST_CASE("weights of zero, also of whole groups, leave nothing undefined") {
  const std::vector<float> values = bell(6, 256, 1.0f);
  std::vector<float> weights(256, 0.0f);
  for (const DType dtype : kSearched)
    for (size_t used : {size_t{0}, size_t{1}, size_t{40}, size_t{255}}) {
      for (size_t i = 0; i < 256; ++i) weights[i] = i < used ? 1.0f : 0.0f;
      for (const float value : written(dtype, values, 256, {weights.data(), false})) REQUIRE(std::isfinite(value));
    }
}

TEST_CASE("plain Q4_0 and Q8_0: the extreme value gives the scale, half rounds up") {
  std::vector<float> x(32);
  x[3] = -16, x[7] = 1, x[20] = 16, x[21] = -0.99f;
  uint8_t block[34];
  plain_block_encoder(DType::kQ4_0)(x.data(), nullptr, block);
  CHECK_EQ(block[0] | block[1] << 8, 0x4000);  // 2.0
  CHECK_EQ(block[2 + 3] & 15, 0);              // -8
  CHECK_EQ(block[2 + 7] & 15, 9);              // 0.5 goes up
  CHECK_EQ(block[2 + 4] >> 4, 15);             // 8 is cut off at 7
  CHECK_EQ(block[2 + 5] >> 4, 8);
  plain_block_encoder(DType::kQ8_0)(x.data(), nullptr, block);
  CHECK_EQ(static_cast<int8_t>(block[2 + 3]), -127);
  CHECK_EQ(static_cast<int8_t>(block[2 + 20]), 127);
  CHECK_EQ(static_cast<int8_t>(block[2 + 7]), 8);  // 7.94
  CHECK_FALSE(static_cast<bool>(plain_block_encoder(DType::kQ4_K)));
}

TEST_CASE("what can be written") {
  for (const DType dtype : kSearched) CHECK(can_encode(dtype));
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3, DType::kQ8_0})
    CHECK(can_encode(dtype));
  for (const DType dtype : {DType::kNone, DType::kI32, DType::kQ2_K, DType::kIQ4_NL, DType::kTQ2_0})
    CHECK_FALSE(can_encode(dtype));
}
