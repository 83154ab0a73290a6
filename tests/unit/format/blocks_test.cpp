#include "format/blocks.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <vector>

#include "base/half.h"
#include "samples.h"

using namespace deepseam;

namespace {

// Bell-shaped numbers of variance 1, the same on every machine.
std::vector<float> bell(uint64_t seed, size_t n) {
  std::vector<float> values(n);
  for (float &value : values) {
    seed += 0x9E3779B97F4A7C15u;
    uint64_t x = seed;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    const double sum = double(x & 0xffff) + double(x >> 16 & 0xffff) + double(x >> 32 & 0xffff) + double(x >> 48);
    value = static_cast<float>((sum - 131070) / 65536 * std::sqrt(3.0));
  }
  return values;
}

std::vector<uint8_t> encoded(DType dtype, const std::vector<float> &values, uint64_t cols) {
  std::vector<uint8_t> bytes(values.size() / cols * row_bytes(dtype, cols));
  const Status status = encode_rows(dtype, values.data(), values.size() / cols, cols, bytes.data(), {"w", 0});
  INFO(status.message());
  REQUIRE(status.ok());
  return bytes;
}

std::vector<float> decoded(DType dtype, const std::vector<uint8_t> &bytes, uint64_t rows, uint64_t cols) {
  std::vector<float> values(rows * cols);
  decode_rows(dtype, bytes.data(), rows, cols, values.data());
  return values;
}

double squared_error(const std::vector<float> &a, const std::vector<float> &b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
  return sum;
}

// Q4_0 as usually done: the extreme value becomes level -8.
std::vector<float> naive_q4(const std::vector<float> &values) {
  std::vector<float> out(values.size());
  for (size_t b = 0; b < values.size(); b += 32) {
    float extreme = 0;
    for (size_t i = 0; i < 32; ++i)
      if (std::fabs(values[b + i]) > std::fabs(extreme)) extreme = values[b + i];
    const float d = f16_to_f32(f32_to_f16(extreme / -8));
    for (size_t i = 0; i < 32; ++i)
      out[b + i] = d * std::fmin(std::fmax(std::nearbyint(values[b + i] / d), -8.0f), 7.0f);
  }
  return out;
}

}  // namespace

TEST_CASE("every 16-bit and 8-bit code decodes as base/half.h says") {
  std::vector<uint8_t> codes(2 * 65536);
  for (uint32_t i = 0; i < 65536; ++i) {
    const uint16_t code = static_cast<uint16_t>(i);
    std::memcpy(&codes[2 * i], &code, 2);
  }
  const auto half = decoded(DType::kF16, codes, 1, 65536), brain = decoded(DType::kBF16, codes, 1, 65536);
  for (uint32_t i = 0; i < 65536; ++i) {
    const uint16_t code = static_cast<uint16_t>(i);
    REQUIRE_EQ(std::bit_cast<uint32_t>(half[i]), std::bit_cast<uint32_t>(f16_to_f32(code)));
    REQUIRE_EQ(std::bit_cast<uint32_t>(brain[i]), std::bit_cast<uint32_t>(bf16_to_f32(code)));
  }
  std::vector<uint8_t> small(256);
  for (int i = 0; i < 256; ++i) small[i] = static_cast<uint8_t>(i);
  const auto e4m3 = decoded(DType::kF8E4M3, small, 1, 256);
  for (int i = 0; i < 256; ++i)
    REQUIRE_EQ(std::bit_cast<uint32_t>(e4m3[i]), std::bit_cast<uint32_t>(e4m3_to_f32(static_cast<uint8_t>(i))));
}

TEST_CASE("float formats keep what they can hold") {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3}) {
    const std::vector<float> exact = {0, -0.0f, 1, -1.5f, 448, 0.015625f, 3.5f};
    CHECK_EQ(decoded(dtype, encoded(dtype, exact, 7), 1, 7), exact);
  }
  const auto values = bell(1, 1000);
  const auto brain = decoded(DType::kBF16, encoded(DType::kBF16, values, 10), 100, 10);
  for (size_t i = 0; i < values.size(); ++i) REQUIRE_EQ(brain[i], bf16_to_f32(f32_to_bf16(values[i])));
}

TEST_CASE("Q8_0 is off by at most half a step of its own scale") {
  for (float size : {1.0f, 1e-3f, 2e-5f, 1000.0f}) {
    auto values = bell(2, 3200);
    for (float &value : values) value *= size;
    const auto bytes = encoded(DType::kQ8_0, values, 64);
    const auto back = decoded(DType::kQ8_0, bytes, 50, 64);
    for (size_t i = 0; i < values.size(); ++i) {
      uint16_t bits;
      std::memcpy(&bits, &bytes[i / 32 * 34], 2);
      REQUIRE(std::fabs(back[i] - values[i]) <= 0.501f * f16_to_f32(bits));
    }
  }
}

TEST_CASE("Q4_0's search has a smaller squared error than the naive scale") {
  const auto values = bell(3, 32 * 2000);
  const auto back = decoded(DType::kQ4_0, encoded(DType::kQ4_0, values, 320), 200, 320);
  const double ours = squared_error(values, back), naive = squared_error(values, naive_q4(values));
  const double ratio = ours / naive;
  INFO(ratio);
  CHECK(ratio < 0.92);
  CHECK(ratio > 0.4);  // four bits cannot do better than that: something else would be wrong
}

TEST_CASE("Q4_0 and Q8_0 reproduce what they wrote") {
  for (DType dtype : {DType::kQ4_0, DType::kQ8_0}) {
    const auto once = decoded(dtype, encoded(dtype, bell(4, 6400), 64), 100, 64);
    const auto twice = decoded(dtype, encoded(dtype, once, 64), 100, 64);
    const double change = squared_error(once, twice) / squared_error(once, std::vector<float>(once.size()));
    INFO(change);
    CHECK(change < 1e-4);
  }
}

namespace {

// Blocks of numbers that Q4_0 (Q8_0) holds as they are: scale times level, with the largest level in any place.
std::vector<float> on_grid(int lowest, int highest, int most, size_t blocks, uint32_t seed) {
  std::vector<float> values(blocks * 32);
  uint64_t state = seed;
  const auto draw = [&](int low, int high) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return low + static_cast<int>((state >> 33) % static_cast<uint64_t>(high - low + 1));
  };
  for (size_t b = 0; b < blocks; ++b) {
    const float scale = f16_to_f32(static_cast<uint16_t>(draw(0x0001, 0x5bff) | draw(0, 1) << 15));
    for (size_t i = 0; i < 32; ++i) values[b * 32 + i] = scale * static_cast<float>(draw(lowest, highest));
    if (most) values[b * 32 + static_cast<size_t>(draw(0, 31))] = scale * static_cast<float>(most);
  }
  return values;
}

}  // namespace

TEST_CASE("numbers on a grid of Q4_0 come back as they are, whichever level is the largest") {
  for (int most = -8; most <= 7; ++most) {
    const int low = most < 0 ? most : -most, high = std::min(7, -low);
    INFO("largest level ", most);
    const auto values = on_grid(low, high, most, 500, static_cast<uint32_t>(most + 9));
    CHECK(decoded(DType::kQ4_0, encoded(DType::kQ4_0, values, 320), 50, 320) == values);
  }
  const auto mixed = on_grid(-8, 7, 0, 5000, 77);
  CHECK(decoded(DType::kQ4_0, encoded(DType::kQ4_0, mixed, 320), 500, 320) == mixed);
}

TEST_CASE("numbers on a grid of Q8_0 whose largest level is near 127 come back as they are") {
  for (int most : {127, -127, 126, -120, 112}) {
    const auto values = on_grid(-std::abs(most), std::abs(most), most, 2000, static_cast<uint32_t>(most + 500));
    CHECK(decoded(DType::kQ8_0, encoded(DType::kQ8_0, values, 320), 200, 320) == values);
  }
}

TEST_CASE("a partial last block is padded and decodes to its own length") {
  for (DType dtype : {DType::kQ4_0, DType::kQ8_0}) {
    const auto values = bell(5, 3 * 40);
    const auto bytes = encoded(dtype, values, 40);
    CHECK_EQ(bytes.size(), 3 * 2 * dtype_info(dtype).block_bytes);
    const auto back = decoded(dtype, bytes, 3, 40);
    CHECK(squared_error(values, back) < 0.02 * 120);
    // The padding is zeros, whatever the scale.
    std::vector<float> padded(64);
    decode_rows(dtype, bytes.data(), 1, 64, padded.data());
    for (int i = 40; i < 64; ++i) CHECK_EQ(padded[i], 0.0f);
  }
}

TEST_CASE("zeros and numbers below every scale become zeros") {
  for (DType dtype : {DType::kQ4_0, DType::kQ8_0})
    for (float size : {0.0f, 1e-30f, 1e-42f}) {
      const std::vector<float> values(32, size);
      for (float value : decoded(dtype, encoded(dtype, values, 32), 1, 32)) CHECK_EQ(value, 0.0f);
    }
}

TEST_CASE("what a format cannot hold is refused with tensor, row and column") {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::nanf("");
  struct Case {
    DType dtype;
    float value;
    const char *part;
  };
  const Case cases[] = {
      {DType::kF32, nan, "NaN"},         {DType::kF32, inf, "infinite"},     {DType::kF32, -inf, "infinite"},
      {DType::kF16, 65520.0f, "as f16"}, {DType::kBF16, 3.4e38f, "as bf16"}, {DType::kF8E4M3, 449.0f, "as f8_e4m3"},
      {DType::kQ8_0, 1e7f, "as q8_0"},   {DType::kQ4_0, 1e6f, "as q4_0"},    {DType::kQ4_0, nan, "NaN"},
      {DType::kQ8_0, -inf, "infinite"},
  };
  for (const Case &each : cases) {
    std::vector<float> values(128, 1.0f);
    values[64 + 5] = each.value;
    std::vector<uint8_t> bytes(512);
    const Status status = encode_rows(each.dtype, values.data(), 2, 64, bytes.data(), {"layers.0.o", 10});
    INFO(status.message());
    CHECK_EQ(status.code(), DS_E_FORMAT);
    CHECK(test::contains(status.message(), "'layers.0.o', row 11, column 5"));
    CHECK(test::contains(status.message(), each.part));
  }
  float value = 1;
  uint8_t out[4];
  CHECK_EQ(encode_rows(DType::kI32, &value, 1, 1, out, {}).code(), DS_E_UNSUPPORTED);
}

TEST_CASE("the largest values that fit do fit") {
  const struct {
    DType dtype;
    float value;
  } cases[] = {{DType::kF16, 65519.0f}, {DType::kF8E4M3, 448.0f}, {DType::kQ8_0, 8.3e6f}, {DType::kQ4_0, 229000.0f}};
  for (const auto &each : cases) {
    std::vector<float> values(32, 0.0f);
    values[3] = -each.value;
    const auto back = decoded(each.dtype, encoded(each.dtype, values, 32), 1, 32);
    CHECK(std::fabs(back[3] + each.value) < 0.01f * each.value);
  }
}

TEST_CASE("fp8 blocks: scales of 448ths, partial blocks, an all-zero block") {
  auto values = bell(6, 130 * 200);
  for (int r = 0; r < 128; ++r)
    for (int c = 128; c < 200; ++c) values[r * 200 + c] = 0;
  std::vector<uint8_t> codes(values.size());
  float scales[4];
  REQUIRE(encode_e4m3_blocks(values.data(), 130, 200, 128, 128, codes.data(), scales, {"w", 0}).ok());
  CHECK_EQ(scales[1], 1.0f);
  std::vector<float> back(values.size());
  decode_e4m3_blocks(codes.data(), scales, 0, 130, 200, 128, 128, back.data());
  for (size_t i = 0; i < values.size(); ++i)
    REQUIRE(std::fabs(back[i] - values[i]) <=
            std::fabs(values[i]) / 16 + scales[i / 200 / 128 * 2 + i % 200 / 128] / 512);
  values[129 * 200 + 3] = std::nanf("");
  CHECK(test::contains(encode_e4m3_blocks(values.data(), 130, 200, 128, 128, codes.data(), scales, {"w", 0}).message(),
                       "row 129, column 3"));
}

TEST_CASE("first_not_finite looks everywhere") {
  for (size_t n : {1, 511, 512, 513, 2000})
    for (size_t at : {size_t{0}, n / 2, n - 1}) {
      std::vector<float> values(n, std::numeric_limits<float>::max());
      CHECK_EQ(first_not_finite(values.data(), n), n);
      values[at] = -std::numeric_limits<float>::infinity();
      CHECK_EQ(first_not_finite(values.data(), n), at);
    }
}
