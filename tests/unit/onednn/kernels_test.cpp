// Every instruction set this machine has, against float64 sums over the unpacked numbers; odd sizes; and the promise
// that a row's bits do not depend on the rows beside it.
#include "kernels.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "base/half.h"
#include "pack.h"

using namespace deepseam;
using namespace deepseam::onednn;

namespace {

// The sets up to the best one here: a cap never raises.
std::vector<const Kernels *> sets() {
  std::vector<const Kernels *> list;
  for (const char *cap : {"generic", "avx2", ""}) {
    const Kernels *k = &kernels_for(cap);
    if (list.empty() || list.back() != k) list.push_back(k);
  }
  return list;
}

struct Source {
  std::vector<uint8_t> bytes;
  std::vector<float> scales;
  sdk::StoredTensor tensor;
};

// A random stored matrix with scales per 16 x 32 for F8.
Source random_matrix(DType dtype, uint64_t rows, uint64_t cols, uint32_t seed) {
  std::mt19937 random(seed);
  const auto uniform = [&] { return static_cast<float>(random() % 2001) / 1000 - 1; };
  Source s;
  sdk::StoredTensor &t = s.tensor;
  t.dtype = dtype;
  t.rows = rows;
  t.cols = cols;
  t.row_bytes = row_bytes(dtype, cols);
  s.bytes.resize(rows * t.row_bytes);
  const uint32_t size = dtype_info(dtype).block_bytes, per = dtype_info(dtype).block_elements;
  for (uint64_t i = 0; i < s.bytes.size(); i += size) {
    uint8_t *at = &s.bytes[i];
    if (per > 1) {
      const uint16_t scale = f32_to_f16(uniform() / 16);
      for (uint32_t b = 2; b < size; ++b) at[b] = static_cast<uint8_t>(random());
      std::memcpy(at, &scale, 2);
      const uint16_t least = f32_to_f16(uniform() / 4);
      if (dtype == DType::kQ4_1 || dtype == DType::kQ4_K || dtype == DType::kQ5_K) std::memcpy(at + 2, &least, 2);
      if (dtype == DType::kQ6_K) std::memcpy(at + 208, &scale, 2);
    } else if (dtype == DType::kF32) {
      const float value = uniform();
      std::memcpy(at, &value, 4);
    } else if (dtype == DType::kF8E4M3) {
      *at = f32_to_e4m3(uniform());
    } else {
      const uint16_t bits = dtype == DType::kBF16 ? f32_to_bf16(uniform()) : f32_to_f16(uniform());
      std::memcpy(at, &bits, 2);
    }
  }
  if (dtype == DType::kF8E4M3) {
    t.scale_block_rows = 16, t.scale_block_cols = 32;
    t.scale_rows = (rows + 15) / 16, t.scale_cols = (cols + 31) / 32;
    for (uint64_t i = 0; i < t.scale_rows * t.scale_cols; ++i) s.scales.push_back(uniform());
  }
  t.parts = {{s.bytes.data(), s.scales.empty() ? nullptr : s.scales.data()}};
  return s;
}

struct Packed {
  std::vector<uint8_t> memory;
  Matrix matrix;
};

Packed packed(const Source &s) {
  const Pack pack = pack_of(s.tensor.dtype);
  Packed p;
  p.memory.resize(packed_bytes(pack, s.tensor.rows, s.tensor.cols));
  REQUIRE(pack_tiles(s.tensor, 0, pack, 0, tiles(s.tensor.rows), "w", p.memory.data()).ok());
  p.matrix = matrix_at(pack, s.tensor.rows, s.tensor.cols, p.memory.data());
  return p;
}

// Activations, and the numbers that a block format's kernel really multiplies by: their int8 form.
struct Activations {
  std::vector<float> x, seen;
  std::vector<int8_t> q;
  std::vector<float> scale;
  std::vector<int32_t> sum;
  uint64_t cols;
  Activations(const Kernels &k, uint64_t rows, uint64_t n_cols, bool quant) : cols(n_cols) {
    std::mt19937 random(5);
    const uint64_t b = blocks(cols);
    x.resize(rows * cols);
    for (float &v : x) v = static_cast<float>(random() % 4001) / 1000 - 2;
    seen = x;
    q.resize(rows * b * kBlock);
    scale.resize(rows * b);
    sum.resize(rows * b);
    for (uint64_t r = 0; r < rows; ++r) {
      k.quantise(&x[r * cols], cols, &q[r * b * kBlock], &scale[r * b], &sum[r * b]);
      for (uint64_t i = 0; quant && i < cols; ++i)
        seen[r * cols + i] = scale[r * b + i / kBlock] * q[r * b * kBlock + i];
    }
  }
  QuantRow quant_row(uint64_t r) const {
    const uint64_t b = blocks(cols);
    return {&q[r * b * kBlock], &scale[r * b], &sum[r * b]};
  }
};

std::vector<float> product(const Kernels &k, const Matrix &w, const Activations &a, uint64_t first, uint32_t n) {
  std::vector<float> y(n * w.rows, -7);
  const float *xs[kMaxRows];
  float *ys[kMaxRows];
  QuantRow qs[kMaxRows];
  for (uint32_t i = 0; i < n; ++i)
    xs[i] = &a.x[(first + i) * a.cols], ys[i] = &y[i * w.rows], qs[i] = a.quant_row(first + i);
  if (quantised(w.pack))
    k.matmul_q(w, 0, tiles(w.rows), qs, ys, n);
  else
    k.matmul(w, 0, tiles(w.rows), xs, ys, n);
  return y;
}

}  // namespace

TEST_CASE("products agree with float64 for every format, size and instruction set") {
  for (const Kernels *k : sets())
    for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3, DType::kQ8_0, DType::kQ4_0,
                        DType::kQ4_1, DType::kQ5_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K})
      for (const auto &[rows, cols] : {std::pair{16, 32}, {1, 1}, {17, 33}, {40, 136}, {31, 24}, {20, 700}}) {
        CAPTURE(k->isa);
        CAPTURE(dtype_info(dtype).name);
        CAPTURE(rows);
        CAPTURE(cols);
        const Source s = random_matrix(dtype, static_cast<uint64_t>(rows), static_cast<uint64_t>(cols), 3);
        const Packed p = packed(s);
        const Activations a(*k, kMaxRows, s.tensor.cols, quantised(p.matrix.pack));
        const std::vector<float> y = product(*k, p.matrix, a, 0, kMaxRows);
        std::vector<float> w(s.tensor.cols);
        for (uint64_t row = 0; row < s.tensor.rows; ++row) {
          s.tensor.decode(0, row, w.data());
          for (uint64_t m = 0; m < kMaxRows; ++m) {
            double sum = 0, magnitude = 0;
            for (uint64_t i = 0; i < s.tensor.cols; ++i) {
              const double term = static_cast<double>(w[i]) * static_cast<double>(a.seen[m * a.cols + i]);
              sum += term, magnitude += std::fabs(term);
            }
            REQUIRE(std::fabs(static_cast<double>(y[m * s.tensor.rows + row]) - sum) <= 2e-6 * magnitude + 1e-30);
          }
        }
      }
}

TEST_CASE("a row's bits do not depend on the rows computed with it") {
  for (const Kernels *k : sets())
    for (DType dtype : {DType::kF32, DType::kBF16, DType::kF8E4M3, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                        DType::kQ5_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
      CAPTURE(k->isa);
      CAPTURE(dtype_info(dtype).name);
      const Packed p = packed(random_matrix(dtype, 48, 200, 4));
      const Activations a(*k, kMaxRows, 200, false);
      const std::vector<float> together = product(*k, p.matrix, a, 0, kMaxRows);
      for (uint32_t n = 1; n <= kMaxRows; ++n)
        for (uint32_t first = 0; first + n <= kMaxRows; ++first) {
          const std::vector<float> y = product(*k, p.matrix, a, first, n);
          REQUIRE(std::memcmp(y.data(), &together[first * 48], y.size() * sizeof(float)) == 0);
        }
    }
}

TEST_CASE("unpacking a packed matrix gives back the stored numbers") {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF8E4M3, DType::kQ8_0, DType::kQ4_0, DType::kQ4_1,
                      DType::kQ5_0, DType::kQ4_K, DType::kQ5_K, DType::kQ6_K}) {
    CAPTURE(dtype_info(dtype).name);
    const Source s = random_matrix(dtype, 37, 70, 6);
    const Packed p = packed(s);
    std::vector<float> out(37 * 70), row(70);
    unpack_tiles(p.matrix, 0, tiles(37), out.data());
    for (uint64_t r = 0; r < 37; ++r) {
      s.tensor.decode(0, r, row.data());
      REQUIRE(std::memcmp(row.data(), &out[r * 70], 70 * sizeof(float)) == 0);
    }
  }
}

TEST_CASE("panels hold a packed matrix as it lies and turned over") {
  for (DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    CAPTURE(dtype_info(dtype).name);
    constexpr uint64_t kRows = 37, kCols = 70;
    const Source s = random_matrix(dtype, kRows, kCols, 6);
    const Packed p = packed(s);
    std::vector<float> lying(tiles(kRows) * kCols * kLanes, -1), turned(tiles(kCols) * kRows * kLanes, -1), row(kCols);
    unpack_panels(p.matrix, false, lying.data());
    unpack_panels(p.matrix, true, turned.data());
    for (uint64_t r = 0; r < kRows; ++r) {
      s.tensor.decode(0, r, row.data());
      for (uint64_t c = 0; c < kCols; ++c) {
        REQUIRE(lying[(r / kLanes * kCols + c) * kLanes + r % kLanes] == row[c]);
        REQUIRE(turned[(c / kLanes * kRows + r) * kLanes + c % kLanes] == row[c]);
      }
    }
    CHECK(lying[(tiles(kRows) * kCols - 1) * kLanes + 15] == 0);
    CHECK(turned[(tiles(kCols) * kRows - 1) * kLanes + 15] == 0);
  }
}

TEST_CASE("products of panels agree with float64 for every number of rows, and add where asked") {
  for (const Kernels *k : sets())
    for (uint64_t m = 1; m <= 26; ++m)
      for (const uint64_t cols : {1u, 20u, 300u}) {
        CAPTURE(k->isa);
        CAPTURE(m);
        CAPTURE(cols);
        std::mt19937 random(static_cast<uint32_t>(m + cols));
        const auto fill = [&](uint64_t n) {
          std::vector<float> v(n);
          for (float &x : v) x = static_cast<float>(random() % 2001) / 1000 - 1;
          return v;
        };
        const std::vector<float> a = fill((kLanes + m) * cols), b = fill(2 * cols * kLanes), before = fill(m * 40);
        for (const bool turned : {false, true}) {
          std::vector<float> out = before;
          Product p;
          p.a = a.data(), p.a_row = cols, p.turned = turned;
          p.b = b.data(), p.b_tile = cols * kLanes;
          p.out = out.data(), p.out_row = 40, p.out_tile = 20;
          p.m = m, p.n_tiles = 2, p.k = cols, p.add = turned;
          k->product(p);
          for (uint64_t i = 0; i < m; ++i)
            for (uint64_t t = 0; t < 2; ++t)
              for (uint64_t lane = 0; lane < kLanes; ++lane) {
                const uint64_t at = i * 40 + t * 20 + lane;
                double sum = turned ? static_cast<double>(before[at]) : 0;
                for (uint64_t j = 0; j < cols; ++j)
                  sum += static_cast<double>(a[turned ? i + j * kLanes : i * cols + j]) *
                         static_cast<double>(b[(t * cols + j) * kLanes + lane]);
                REQUIRE(std::fabs(static_cast<double>(out[at]) - sum) <= 2e-6 * static_cast<double>(cols + 1));
              }
          for (uint64_t i = 0; i < m; ++i) REQUIRE(out[i * 40 + 17] == before[i * 40 + 17]);  // between the tiles
        }
      }
}

TEST_CASE("a softmax in steps is the softmax of the whole, and hides what a lane does not see") {
  constexpr uint64_t kSteps = 3, kEach = 21;
  for (const Kernels *k : sets()) {
    CAPTURE(k->isa);
    std::mt19937 random(11);
    std::vector<float> scores(kSteps * kEach * kLanes);
    for (float &x : scores) x = static_cast<float>(random() % 40001) / 1000 - 20;
    const std::vector<float> given = scores;
    Softmax state;
    std::fill_n(state.maximum, kLanes, -INFINITY);
    std::fill_n(state.sum, kLanes, 0.0f);
    double weighted[kLanes] = {};                                  // sums of weight * row number, as values would be
    const auto seen = [](uint64_t lane) { return 4 * lane + 1; };  // the last lanes see all but two rows
    for (uint64_t step = 0; step < kSteps; ++step) {
      int32_t last[kLanes];
      for (uint64_t lane = 0; lane < kLanes; ++lane)
        last[lane] = static_cast<int32_t>(seen(lane)) - 1 - static_cast<int32_t>(step * kEach);
      k->softmax(&scores[step * kEach * kLanes], kEach, 0.5f, last, &state);
      for (uint64_t lane = 0; lane < kLanes; ++lane) {
        weighted[lane] *= static_cast<double>(state.rescale[lane]);
        for (uint64_t j = step * kEach; j < (step + 1) * kEach; ++j) {
          if (j >= seen(lane)) REQUIRE(scores[j * kLanes + lane] == 0);
          weighted[lane] += static_cast<double>(j) * static_cast<double>(scores[j * kLanes + lane]);
        }
      }
    }
    for (uint64_t lane = 0; lane < kLanes; ++lane) {
      double sum = 0, expected = 0;
      for (uint64_t j = 0; j < seen(lane); ++j) {
        const double e = std::exp(0.5 * static_cast<double>(given[j * kLanes + lane]));
        sum += e, expected += static_cast<double>(j) * e;
      }
      CHECK(weighted[lane] / static_cast<double>(state.sum[lane]) == doctest::Approx(expected / sum).epsilon(2e-6));
    }
  }
}

TEST_CASE("a score that is not a number reaches its lane's sum and no other") {
  for (const Kernels *k : sets()) {
    std::vector<float> scores(4 * kLanes, 1.0f);
    scores[2 * kLanes + 5] = NAN;
    int32_t last[kLanes];
    std::fill_n(last, kLanes, 3);
    Softmax state;
    std::fill_n(state.maximum, kLanes, -INFINITY);
    std::fill_n(state.sum, kLanes, 0.0f);
    k->softmax(scores.data(), 4, 1, last, &state);
    for (uint32_t lane = 0; lane < kLanes; ++lane) CHECK(std::isnan(state.sum[lane]) == (lane == 5));
  }
}

TEST_CASE("a weight that is not finite is refused with its place") {
  Source s = random_matrix(DType::kF32, 20, 40, 7);
  const float bad = NAN;
  std::memcpy(&s.bytes[(18 * 40 + 3) * 4], &bad, 4);
  std::vector<uint8_t> memory(packed_bytes(Pack::kF32, 20, 40));
  const Status status = pack_tiles(s.tensor, 0, Pack::kF32, 0, 2, "layers.0.o", memory.data());
  CHECK(status.code() == DS_E_MODEL);
  CHECK(std::string(status.message()).find("layers.0.o") != std::string::npos);
  CHECK(std::string(status.message()).find("row 18, column 3") != std::string::npos);
}

TEST_CASE("several rows at once have the bits of one after the other") {
  for (const Kernels *k : sets())
    for (const uint64_t n : {1u, 7u, 16u, 31u, 64u, 100u, 512u}) {
      CAPTURE(k->isa);
      CAPTURE(n);
      std::mt19937 random(static_cast<uint32_t>(n));
      std::vector<float> numbers(6 * n);
      for (float &x : numbers) x = static_cast<float>(random() % 2001) / 1000 - 1;
      const float *const rows[4] = {&numbers[0], &numbers[n], &numbers[2 * n], &numbers[3 * n]};
      const float *a = &numbers[4 * n], factors[4] = {0.3f, -1.7f, 0.01f, 2.5f};
      float two[2];
      k->dot2(a, rows, n, two);
      CHECK(two[0] == k->dot(a, rows[0], n));
      CHECK(two[1] == k->dot(a, rows[1], n));
      std::vector<float> one_by_one(a, a + n), together = one_by_one;
      for (int i = 0; i < 4; ++i) k->axpy(factors[i], rows[i], one_by_one.data(), n);
      k->axpy4(factors, rows, together.data(), n);
      CHECK(together == one_by_one);
    }
}

TEST_CASE("exponentials and silu are accurate over their whole range") {
  for (const Kernels *k : sets()) {
    CAPTURE(k->isa);
    std::vector<float> x, up, out;
    for (int i = -860; i <= 0; ++i) x.push_back(static_cast<float>(i) / 10);
    std::vector<float> e = x;
    k->exp_sum(e.data(), e.size(), 0);
    for (size_t i = 0; i < x.size(); ++i)
      REQUIRE(std::fabs(static_cast<double>(e[i]) / std::exp(static_cast<double>(x[i])) - 1) < 5e-7);
    for (int i = -200; i <= 200; ++i) up.push_back(static_cast<float>(i) / 7);
    out.resize(up.size());
    const std::vector<float> one(up.size(), 1.0f);
    k->silu_mul(up.data(), one.data(), out.data(), up.size());
    for (size_t i = 0; i < up.size(); ++i) {
      const double g = static_cast<double>(up[i]), expected = g / (1 + std::exp(-g));
      REQUIRE(std::fabs(static_cast<double>(out[i]) - expected) <= 1e-6 * std::fabs(expected) + 1e-12);
    }
  }
}

TEST_CASE("an activation that is not a number reaches the result") {
  for (const Kernels *k : sets()) {
    const Packed p = packed(random_matrix(DType::kQ4_0, 16, 64, 8));
    for (float bad : {NAN, INFINITY}) {
      Activations a(*k, kMaxRows, 64, false);
      a.x[40] = bad;
      const uint64_t b = blocks(64);
      k->quantise(a.x.data(), 64, a.q.data(), a.scale.data(), a.sum.data());
      REQUIRE(b == 2);
      CHECK(!std::isfinite(product(*k, p.matrix, a, 0, 1)[0]));
    }
  }
}
