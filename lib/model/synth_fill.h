// Pseudorandom numbers as weights: SplitMix64 over a counter, so that any range of a tensor can be made on its own, on
// any thread. Private to synth.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/dtype.h"

namespace deepseam::model {

// Where the counter of a tensor begins: FNV-1a of its name with the seed.
uint64_t synth_start(uint64_t seed, std::string_view name);

// The n-th word of a tensor.
inline uint64_t synth_word(uint64_t start, uint64_t n) {
  uint64_t x = start + 0x9E3779B97F4A7C15u * (n + 1);
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

// Bell-shaped, variance 1: the sum of a word's four 16-bit parts.
double synth_noise(uint64_t start, uint64_t n);

// Uniform numbers of the given standard deviation for rows [first_row, first_row + n_rows), as stored in `dtype`.
// F8_E4M3 is for scales of synth_fp8_scale(deviation) everywhere. Rows are independent of how they are cut.
void synth_fill(DType dtype, uint64_t start, double deviation, uint64_t first_row, uint64_t n_rows, uint64_t cols,
                uint8_t *out);
float synth_fp8_scale(double deviation);

}  // namespace deepseam::model
