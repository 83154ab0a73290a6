// Weights for tests: random numbers in a stored format, with what they decode to in float64 by formulas of this file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/dtype.h"

namespace conformance {

using deepseam::DType;

// splitmix64; the same numbers everywhere.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next();
  double uniform() { return static_cast<double>(next() >> 11) * 0x1p-53; }  // [0, 1)
  double signed_unit() { return 2 * uniform() - 1; }                        // [-1, 1)
  uint32_t below(uint32_t n) { return static_cast<uint32_t>(uniform() * n); }

 private:
  uint64_t state_;
};

struct Tensor {
  DType dtype = DType::kF32;
  std::vector<uint64_t> dims;
  std::vector<double> values;               // row-major
  std::vector<std::vector<uint8_t>> parts;  // one, or dims[0] of them
  std::vector<std::vector<float>> scales;   // of the parts; empty without
  uint32_t block_rows = 0, block_cols = 0;

  uint64_t cols() const { return dims.back(); }
  const double *row(uint64_t i) const { return values.data() + i * cols(); }
  const double *row(uint64_t matrix, uint64_t i) const { return row(matrix * dims[1] + i); }
};

struct Storage {
  DType dtype = DType::kF32;
  bool stacked = false;                     // one part per dims[0]
  uint32_t block_rows = 0, block_cols = 0;  // F8_E4M3: scales
};

// Values are about `size` large.
Tensor make_tensor(Random &random, const Storage &storage, std::vector<uint64_t> dims, double size);
// F32 with these values.
Tensor exact_tensor(std::vector<uint64_t> dims, const std::vector<float> &values);

std::vector<float> random_floats(Random &random, size_t n, double size = 1);

}  // namespace conformance
