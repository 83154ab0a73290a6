#include "model/synth_fill.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.h"

namespace deepseam::model {
namespace {

// Standard deviations of the integers that words are cut into, uniform over all their values.
constexpr double kDeviation16 = 18918.0;           // 16 bits: 65536 / sqrt(12)
constexpr double kDeviation8 = 73.9;               // 8 bits
constexpr double kDeviation4 = 4.183300132670378;  // -7 … 7 and a second 0: sqrt(17.5)
constexpr double kDeviation5 = 8.803408430829505;  // -15 … 15 and a second 0: sqrt(77.5)
constexpr double kDeviationFp8 = 448 / 127.5 * kDeviation8;

// Nibbles 0 (the value -8) become 8 (the value 0), so that the mean is exactly 0.
inline uint64_t balanced_nibbles(uint64_t word) {
  constexpr uint64_t kOnes = 0x1111111111111111u;
  const uint64_t some_bit = (word | word >> 1 | word >> 2 | word >> 3) & kOnes;
  return word | (some_bit ^ kOnes) << 3;
}

// One row of blocks: a scale, for Q4_1 -8 times it, and words of levels each.
void fill_block_row(DType dtype, uint64_t start, float scale, uint64_t row, uint64_t blocks, uint8_t *out) {
  const bool q4 = dtype != DType::kQ8_0;
  const uint64_t words = q4 ? 2 : 4, first_word = row * blocks * words;
  const uint16_t bits = f32_to_f16(scale), least = f32_to_f16(-8 * f16_to_f32(bits));
  for (uint64_t b = 0; b < blocks; ++b) {
    std::memcpy(out, &bits, 2);
    out += 2;
    if (dtype == DType::kQ4_1) {
      std::memcpy(out, &least, 2);
      out += 2;
    }
    for (uint64_t w = 0; w < words; ++w, out += 8) {
      const uint64_t word = synth_word(start, first_word + b * words + w);
      const uint64_t levels = q4 ? balanced_nibbles(word) : word;
      std::memcpy(out, &levels, 8);
    }
  }
}

// One row of Q5_0: a scale, the fifth bits, the nibbles. Level 0 (the value -16) becomes 16, as above.
void fill_q5_row(uint64_t start, float scale, uint64_t row, uint64_t blocks, uint8_t *out) {
  const uint16_t bits = f32_to_f16(scale);
  for (uint64_t b = 0; b < blocks; ++b, out += 22) {
    const uint64_t first_word = (row * blocks + b) * 3;
    const uint64_t nibbles[2] = {synth_word(start, first_word), synth_word(start, first_word + 1)};
    uint32_t fifth = static_cast<uint32_t>(synth_word(start, first_word + 2));
    for (int i = 0; i < 16; ++i) {
      const uint64_t byte = nibbles[i / 8] >> 8 * (i % 8);
      fifth |= uint32_t((byte & 0x0f) == 0) << i | uint32_t((byte & 0xf0) == 0) << (16 + i);
    }
    std::memcpy(out, &bits, 2);
    std::memcpy(out + 2, &fifth, 4);
    std::memcpy(out + 6, nibbles, 16);
  }
}

void fill_fp8_row(uint64_t start, uint64_t first_word, uint64_t cols, const uint8_t *codes, uint8_t *out) {
  for (uint64_t c = 0; c < cols; c += 8) {
    const uint64_t word = synth_word(start, first_word + c / 8);
    for (uint64_t i = 0; i < std::min<uint64_t>(8, cols - c); ++i) out[c + i] = codes[word >> 8 * i & 0xff];
  }
}

template <typename Stored, typename Convert>
void fill_float_row(uint64_t start, uint64_t first_word, uint64_t cols, uint8_t *out, Convert convert) {
  for (uint64_t c = 0; c < cols; c += 4) {
    const uint64_t word = synth_word(start, first_word + c / 4);
    Stored values[4];
    for (int i = 0; i < 4; ++i) values[i] = convert(static_cast<float>(static_cast<int16_t>(word >> 16 * i)));
    std::memcpy(out + c * sizeof(Stored), values, std::min<uint64_t>(4, cols - c) * sizeof(Stored));
  }
}

}  // namespace

uint64_t synth_start(uint64_t seed, std::string_view name) {
  uint64_t start = 0xCBF29CE484222325u;
  const auto add = [&start](char byte) { start = (start ^ static_cast<uint8_t>(byte)) * 0x100000001B3u; };
  char digits[20];
  int n = 0;
  do digits[n++] = static_cast<char>('0' + seed % 10);
  while (seed /= 10);
  while (n) add(digits[--n]);
  add('/');
  for (char byte : name) add(byte);
  return start;
}

double synth_noise(uint64_t start, uint64_t n) {
  const uint64_t word = synth_word(start, n);
  const int64_t sum =
      static_cast<int64_t>((word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48));
  return static_cast<double>(sum - 131070) / 65536 * std::sqrt(3.0);
}

float synth_fp8_scale(double deviation) { return static_cast<float>(deviation / kDeviationFp8); }

void synth_fill(DType dtype, uint64_t start, double deviation, uint64_t first_row, uint64_t n_rows, uint64_t cols,
                uint8_t *out) {
  const uint64_t bytes = row_bytes(dtype, cols), blocks = row_blocks(dtype, cols);
  uint8_t codes[256];
  for (int i = 0; i < 256; ++i) codes[i] = f32_to_e4m3((static_cast<float>(i) - 127.5f) * (448.0f / 127.5f));
  const float unit = static_cast<float>(deviation / kDeviation16);
  for (uint64_t r = 0; r < n_rows; ++r, out += bytes) {
    const uint64_t row = first_row + r, quarter = row * ((cols + 3) / 4);
    switch (dtype) {
      case DType::kQ4_0:
      case DType::kQ4_1:
        fill_block_row(dtype, start, static_cast<float>(deviation / kDeviation4), row, blocks, out);
        break;
      case DType::kQ8_0:
        fill_block_row(dtype, start, static_cast<float>(deviation / kDeviation8), row, blocks, out);
        break;
      case DType::kQ5_0:
        fill_q5_row(start, static_cast<float>(deviation / kDeviation5), row, blocks, out);
        break;
      case DType::kF8E4M3:
        fill_fp8_row(start, row * ((cols + 7) / 8), cols, codes, out);
        break;
      case DType::kBF16:
        fill_float_row<uint16_t>(start, quarter, cols, out, [unit](float x) { return f32_to_bf16(x * unit); });
        break;
      case DType::kF16:
        fill_float_row<uint16_t>(start, quarter, cols, out, [unit](float x) { return f32_to_f16(x * unit); });
        break;
      default:
        fill_float_row<float>(start, quarter, cols, out, [unit](float x) { return x * unit; });
        break;
    }
  }
}

}  // namespace deepseam::model
