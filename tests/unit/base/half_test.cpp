// Every code of every format, and rounding against an exact float64 reference.
#include "base/half.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

using namespace deepseam;

namespace {

// A binary float format of `exponent_bits` and `mantissa_bits`, described rather than converted: its value by
// definition.
struct Format {
  int exponent_bits, mantissa_bits;
  bool has_infinity;

  int bits() const { return 1 + exponent_bits + mantissa_bits; }
  int bias() const { return (1 << (exponent_bits - 1)) - 1; }
  double value(uint32_t code) const {
    const int exponent = static_cast<int>(code >> mantissa_bits) & ((1 << exponent_bits) - 1);
    const int mantissa = static_cast<int>(code) & ((1 << mantissa_bits) - 1);
    const int all = (1 << exponent_bits) - 1;
    const double sign = code >> (bits() - 1) & 1 ? -1.0 : 1.0;
    if (has_infinity && exponent == all) return mantissa ? NAN : sign * INFINITY;
    if (!has_infinity && exponent == all && mantissa == (1 << mantissa_bits) - 1) return NAN;
    if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias() - mantissa_bits);
    return sign * std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias() - mantissa_bits);
  }
};

constexpr Format kF16{5, 10, true}, kBf16{8, 7, true}, kE4m3{4, 3, false};

// The nearest finite code of the positive half, ties to the even code, by search over all of them.
struct Rounder {
  explicit Rounder(const Format &format) : format_(format) {
    for (uint32_t code = 0; code < 1u << (format.bits() - 1); ++code)
      if (std::isfinite(format.value(code))) values_.push_back(format.value(code));
  }
  uint32_t nearest(double magnitude) const {
    const auto above = std::lower_bound(values_.begin(), values_.end(), magnitude);
    if (above == values_.begin()) return 0;
    const uint32_t high = static_cast<uint32_t>(above - values_.begin()), low = high - 1;
    const double next = high < values_.size() ? *above : 2 * values_[low] - values_[low - 1];
    const double to_low = magnitude - values_[low], to_high = next - magnitude;
    if (to_low != to_high) return to_low < to_high ? low : high;
    return low % 2 == 0 ? low : high;
  }
  uint32_t greatest() const { return static_cast<uint32_t>(values_.size() - 1); }

 private:
  Format format_;
  std::vector<double> values_;
};

std::vector<float> hard_values() {
  std::vector<float> values;
  // Around every float16, bfloat16 and e4m3 value and every midpoint between two of them.
  for (const Format &format : {kF16, kBf16, kE4m3})
    for (uint32_t code = 0; code + 1 < 1u << (format.bits() - 1); ++code) {
      const double low = format.value(code), high = format.value(code + 1);
      for (const double value : {low, (low + high) / 2}) {
        const float middle = static_cast<float>(value);
        if (!std::isfinite(middle)) continue;
        for (const float near : {middle, std::nextafter(middle, INFINITY), std::nextafter(middle, -INFINITY)})
          if (std::isfinite(near)) values.push_back(std::fabs(near));
      }
    }
  std::mt19937 random(7);
  for (int i = 0; i < 100000; ++i) {
    const float value = std::bit_cast<float>(static_cast<uint32_t>(random()) & 0x7fffffffu);
    if (std::isfinite(value)) values.push_back(value);
  }
  return values;
}

template <typename Narrow>
void check_rounding(const Format &format, Narrow narrow, bool saturates) {
  const Rounder rounder(format);
  const uint32_t sign = 1u << (format.bits() - 1), infinity = rounder.greatest() + 1;
  int wrong = 0;
  for (const float value : hard_values()) {
    uint32_t expected = rounder.nearest(value);
    if (expected >= infinity) expected = saturates ? rounder.greatest() : infinity;
    wrong += narrow(value) != expected;
    wrong += narrow(-value) != (expected | sign);
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("all 65536 float16 codes widen to their value and come back") {
  int wrong = 0;
  for (uint32_t code = 0; code < 65536; ++code) {
    const float wide = f16_to_f32(static_cast<uint16_t>(code));
    const double value = kF16.value(code);
    const bool nan = std::isnan(value);
    wrong += nan ? !std::isnan(wide) : !(wide == value && std::signbit(wide) == std::signbit(value));
    const uint16_t back = f32_to_f16(wide);
    wrong += nan ? !std::isnan(f16_to_f32(back)) : back != code;
  }
  CHECK(wrong == 0);
}

TEST_CASE("all 65536 bfloat16 codes widen to their value and come back") {
  int wrong = 0;
  for (uint32_t code = 0; code < 65536; ++code) {
    const float wide = bf16_to_f32(static_cast<uint16_t>(code));
    const double value = kBf16.value(code);
    const bool nan = std::isnan(value);
    wrong += nan ? !std::isnan(wide) : !(wide == value && std::signbit(wide) == std::signbit(value));
    const uint16_t back = f32_to_bf16(wide);
    wrong += nan ? !std::isnan(bf16_to_f32(back)) : back != code;
  }
  CHECK(wrong == 0);
}

TEST_CASE("all 256 e4m3 codes widen to their value and come back") {
  int wrong = 0;
  for (uint32_t code = 0; code < 256; ++code) {
    const float wide = e4m3_to_f32(static_cast<uint8_t>(code));
    const double value = kE4m3.value(code);
    const bool nan = std::isnan(value);
    wrong += nan ? !std::isnan(wide) : !(wide == value && std::signbit(wide) == std::signbit(value));
    wrong += f32_to_e4m3(wide) != code;
  }
  CHECK(wrong == 0);
}

TEST_CASE("narrowing to float16 rounds to nearest even") { check_rounding(kF16, f32_to_f16, false); }
TEST_CASE("narrowing to bfloat16 rounds to nearest even") { check_rounding(kBf16, f32_to_bf16, false); }
TEST_CASE("narrowing to e4m3 rounds to nearest even and saturates") { check_rounding(kE4m3, f32_to_e4m3, true); }

TEST_CASE("infinities stay or saturate") {
  CHECK(f32_to_f16(INFINITY) == 0x7c00);
  CHECK(f32_to_f16(-INFINITY) == 0xfc00);
  CHECK(f32_to_bf16(INFINITY) == 0x7f80);
  CHECK(f32_to_e4m3(INFINITY) == 0x7e);
  CHECK(f32_to_e4m3(-INFINITY) == 0xfe);
}
