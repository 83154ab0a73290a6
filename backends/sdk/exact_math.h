// exp, sine and cosine in float64 with the same bits on every machine.
//
// libm chooses its functions by the processor it runs on, and the choices differ in the last bit. Where a bit decides a
// token or ends up in a cached row, that is not good enough: these use only operations that IEEE 754 defines to the bit
// (and the build forbids fusing them). Errors are about 1 ulp.
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

struct SinCos {
  double sin = 0, cos = 1;
};

// For |x| up to 2^20, which positions times frequencies stay below. x is brought to [-pi/4, pi/4] by pi/2 in three
// pieces, of which the first two have 33 bits: their multiples are exact.
inline SinCos exact_sincos(double x) {
  constexpr double kShift = 0x1.8p52;
  const double turns = x * 6.36619772367581382433e-01 + kShift;  // 2 / pi
  const double n = turns - kShift;
  const double r = ((x - n * 0x1.921fb544p0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69;
  const double r2 = r * r;
  double s = 1.0 / 355687428096000.0, c = 1.0 / 20922789888000.0;  // 1 / 17!, 1 / 16!
  constexpr double kSin[] = {-1.0 / 1307674368000.0, 1.0 / 6227020800.0, -1.0 / 39916800.0, 1.0 / 362880.0,
                             -1.0 / 5040.0,          1.0 / 120.0,        -1.0 / 6.0};
  constexpr double kCos[] = {
      -1.0 / 87178291200.0, 1.0 / 479001600.0, -1.0 / 3628800.0, 1.0 / 40320.0, -1.0 / 720.0, 1.0 / 24.0, -0.5};
  for (double term : kSin) s = s * r2 + term;
  for (double term : kCos) c = c * r2 + term;
  s = r + r * r2 * s;
  c = 1.0 + r2 * c;
  switch (static_cast<int64_t>(n) & 3) {
    case 0:
      return {s, c};
    case 1:
      return {c, -s};
    case 2:
      return {-s, -c};
    default:
      return {-c, s};
  }
}

}  // namespace deepseam::sdk
