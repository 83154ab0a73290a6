// exp in float64 with the same bits on every machine.
//
// libm chooses its exp by the processor it runs on, and the choices differ in the last bit. Where a bit decides a token
// or ends up in a cached row, that is not good enough: this one uses only operations that IEEE 754 defines to the bit
// (and the build forbids fusing them). Error below 1 ulp.
#pragma once

#include <bit>
#include <cstdint>

namespace deepseam::sdk {

// e^x; 0 below -745, +inf above 709.78, NaN for NaN.
inline double exact_exp(double x) {
  if (!(x > -745.0)) return x == x ? 0.0 : x;
  if (x > 709.78) return std::bit_cast<double>(0x7ff0000000000000ull);
  constexpr double kShift = 0x1.8p52;  // adding it rounds to an integer
  const double turns = x * 1.4426950408889634074 + kShift;
  const double n = turns - kShift;
  const double r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;  // |r| <= ln(2) / 2
  double sum = 1.0 / 6227020800.0;                                                         // 1 / 13!
  constexpr double kInverse[] = {
      1.0 / 479001600.0, 1.0 / 39916800.0, 1.0 / 3628800.0, 1.0 / 362880.0, 1.0 / 40320.0, 1.0 / 5040.0,
      1.0 / 720.0,       1.0 / 120.0,      1.0 / 24.0,      1.0 / 6.0,      0.5,           1.0};
  for (double inverse : kInverse) sum = sum * r + inverse;
  sum = sum * r + 1.0;
  const int64_t power = static_cast<int64_t>(n);
  if (power > -1022 && power < 1024) return sum * std::bit_cast<double>(static_cast<uint64_t>(power + 1023) << 52);
  const int64_t half = power / 2;  // in two steps near the ends of the range
  return sum * std::bit_cast<double>(static_cast<uint64_t>(half + 1023) << 52) *
         std::bit_cast<double>(static_cast<uint64_t>(power - half + 1023) << 52);
}

inline double exact_sigmoid(double x) {
  const double e = exact_exp(x < 0 ? x : -x);
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}

inline float exact_silu(float x) { return static_cast<float>(x * exact_sigmoid(x)); }

}  // namespace deepseam::sdk
