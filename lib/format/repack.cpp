// See repack.h. Block by block, without a buffer larger than one block.
#include "format/repack.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "base/k_blocks.h"
#include "format/block_decode.h"

namespace deepseam {
namespace {

constexpr uint64_t kGroup = 32, kQ8Bytes = 34, kMostElements = 256;

float largest_of(const float *x) {
  float largest = 0;
  for (uint64_t i = 0; i < kGroup; ++i) {
    const float magnitude = std::bit_cast<float>(std::bit_cast<uint32_t>(x[i]) & 0x7fffffffu);
    largest = magnitude <= largest ? largest : magnitude;  // NaN stays
  }
  return largest;
}

// 32 numbers to 255 levels of the largest; false if one is not finite or too large.
bool put_numbers(const float *x, uint8_t *out) {
  const float largest = largest_of(x);
  if (!(largest <= 127.0f * 65504.0f)) return false;
  uint16_t bits = f32_to_f16(largest / 127.0f);
  if (largest > 127.5f * f16_to_f32(bits)) ++bits;  // rounded down so far that the largest would be cut off
  const float d = f16_to_f32(bits), inverse = d > 0 ? 1.0f / d : 0.0f;
  std::memcpy(out, &bits, 2);
  for (uint64_t i = 0; i < kGroup; ++i) {
    constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to the nearest integer
    const float level = std::min(std::max(x[i] * inverse, -127.0f), 127.0f);
    out[2 + i] = static_cast<uint8_t>(std::bit_cast<uint32_t>(level + kRound));
  }
  return true;
}

// Levels as they are. A scale that would lose more than rounding in binary16 (a tiny exponent of MXFP4) is put into the
// numbers instead.
bool put_levels(float scale, const int8_t *levels, uint8_t *out) {
  const uint16_t bits = f32_to_f16(scale);
  const bool normal = std::fabs(scale) >= 0x1p-14f && std::fabs(scale) < 65504.0f;
  if (normal || f16_to_f32(bits) == scale) {
    if ((bits & 0x7c00u) == 0x7c00u) return false;
    std::memcpy(out, &bits, 2);
    std::memcpy(out + 2, levels, kGroup);
    return true;
  }
  float values[kGroup];
  for (uint64_t i = 0; i < kGroup; ++i) values[i] = scale * static_cast<float>(levels[i]);
  return put_numbers(values, out);
}

Status refuse(DType from, const RowsName &name, uint64_t row, uint64_t col) {
  return fail(DS_E_FORMAT, "format",
              "tensor '%s', row %llu, columns from %llu: a %s block holds numbers that are not "
              "finite or beyond 8 million",
              name.tensor, static_cast<unsigned long long>(name.first_row + row), static_cast<unsigned long long>(col),
              dtype_info(from).name);
}

// One row to Q8_0.
Status repack_row(DType from, const uint8_t *in, uint64_t cols, uint8_t *out, const RowsName &name, uint64_t row) {
  const DTypeInfo type = dtype_info(from);
  const DecodeLevels levels_of = stored_level_decoder(from);
  const DecodeBlock decode = stored_block_decoder(from);
  float values[kMostElements], scales[kMostElements / kGroup];
  int8_t levels[kMostElements];
  for (uint64_t col = 0; col < cols; in += type.block_bytes) {
    levels_of ? levels_of(in, scales, levels) : decode(in, values);
    for (uint64_t at = 0; at < type.block_elements && col < cols; at += kGroup, col += kGroup, out += kQ8Bytes) {
      const bool held = levels_of ? put_levels(scales[at / kGroup], levels + at, out) : put_numbers(values + at, out);
      if (!held) return refuse(from, name, row, col);
    }
  }
  return {};
}

// Q4_K to Q4_1: levels stay, the scale and the minimum of each 32 become numbers of their own.
bool repack_q4_k(const uint8_t *in, uint64_t cols, uint8_t *out) {
  const auto half = [](const uint8_t *at) {
    uint16_t bits;
    std::memcpy(&bits, at, 2);
    return f16_to_f32(bits);
  };
  for (uint64_t col = 0; col < cols; in += 144) {
    const float d = half(in), dmin = half(in + 2);
    for (int group = 0; group < 8 && col < cols; ++group, col += kGroup, out += 20) {
      const GroupScale by = q4_k_group(in + 4, group);
      const uint16_t bits[2] = {f32_to_f16(d * static_cast<float>(by.scale)),
                                f32_to_f16(-(dmin * static_cast<float>(by.minimum)))};
      if ((bits[0] & 0x7c00u) == 0x7c00u || (bits[1] & 0x7c00u) == 0x7c00u) return false;
      std::memcpy(out, bits, 4);
      const uint8_t *numbers = in + 16 + group / 2 * 32;  // two groups share 32 bytes: low nibbles, high nibbles
      for (uint64_t i = 0; i < 16; ++i)
        out[4 + i] = static_cast<uint8_t>(group % 2 ? numbers[i] >> 4 | (numbers[i + 16] & 0xf0)
                                                    : (numbers[i] & 15) | numbers[i + 16] << 4);
    }
  }
  return true;
}

// Ternary numbers (TQ2_0 has a fourth code, 2) to Q4_0, on whose grid they lie.
bool repack_ternary(DType from, const uint8_t *in, uint64_t cols, uint8_t *out) {
  const DTypeInfo type = dtype_info(from);
  const DecodeBlock decode = stored_block_decoder(from);
  for (uint64_t col = 0; col < cols; in += type.block_bytes) {
    float values[kMostElements];
    decode(in, values);
    const uint8_t *d = in + type.block_bytes - 2;
    uint16_t bits;
    std::memcpy(&bits, d, 2);
    const float scale = f16_to_f32(bits);
    if ((bits & 0x7c00u) == 0x7c00u) return false;
    const auto code = [&](uint64_t i) {
      return values[i] == 0 ? 8 : values[i] == scale ? 9 : values[i] == -scale ? 7 : 10;
    };
    for (uint64_t at = 0; at < type.block_elements && col < cols; at += kGroup, col += kGroup, out += 18) {
      std::memcpy(out, d, 2);
      for (uint64_t i = 0; i < 16; ++i) out[2 + i] = static_cast<uint8_t>(code(at + i) | code(at + i + 16) << 4);
    }
  }
  return true;
}

}  // namespace

Status repack_rows(DType from, DType to, const uint8_t *in, uint64_t n_rows, uint64_t cols, uint8_t *out,
                   const RowsName &name) {
  const uint64_t in_bytes = row_bytes(from, cols), out_bytes = row_bytes(to, cols);
  if (to == from) {
    if (n_rows) std::memcpy(out, in, n_rows * in_bytes);
    return {};
  }
  if (to == DType::kNone || (to != compute_dtype(from) && to != basic_dtype(from)))
    return fail(DS_E_UNSUPPORTED, "format", "tensor '%s': its type cannot be read", name.tensor);
  for (uint64_t row = 0; row < n_rows; ++row, in += in_bytes, out += out_bytes) {
    if (to == DType::kQ8_0)
      DS_TRY(repack_row(from, in, cols, out, name, row));
    else if (!(to == DType::kQ4_1 ? repack_q4_k(in, cols, out) : repack_ternary(from, in, cols, out)))
      return refuse(from, name, row, 0);
  }
  return {};
}

Status repack_numbers(const float *rows, uint64_t n_rows, uint64_t cols, uint8_t *out, const RowsName &name) {
  for (uint64_t row = 0; row < n_rows; ++row)
    for (uint64_t col = 0; col < cols; col += kGroup, out += kQ8Bytes) {
      const float *x = rows + row * cols + col;
      float last[kGroup] = {};
      if (cols - col < kGroup) std::memcpy(last, x, (cols - col) * sizeof(float)), x = last;
      if (!put_numbers(x, out)) return refuse(DType::kQ8_0, name, row, col);
    }
  return {};
}

}  // namespace deepseam
