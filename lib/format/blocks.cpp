// Rows of numbers, to and from stored bytes. Vectors are left to the compiler: loops have fixed trip counts or no
// branches.
#include "format/blocks.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "format/block_decode.h"
#include "format/block_encode.h"

namespace deepseam {
namespace {

constexpr uint64_t kBlock = 32;          // elements of Q8_0 and Q4_0 blocks
constexpr uint64_t kMostElements = 256;  // of a block of any format

using Ull = unsigned long long;

inline float magnitude(float x) { return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & 0x7fffffffu); }

Status refuse(DType dtype, const RowsName &name, uint64_t row, uint64_t col, float value) {
  const char *what = std::isnan(value) ? "NaN" : std::isinf(value) ? "infinite" : "too large";
  return fail(DS_E_FORMAT, "format", "tensor '%s', row %llu, column %llu: %s (%g) cannot be stored as %s", name.tensor,
              Ull{name.first_row + row}, Ull{col}, what, static_cast<double>(value), dtype_info(dtype).name);
}

// Column of the first value of a row that is not finite or beyond `limit`, or cols.
uint64_t first_beyond(const float *row, uint64_t cols, float limit) {
  bool beyond = first_not_finite(row, cols) < cols;
  if (!beyond) {
    float largest = 0;
    for (uint64_t i = 0; i < cols; ++i) largest = std::max(largest, magnitude(row[i]));
    beyond = largest > limit;
  }
  if (!beyond) return cols;
  for (uint64_t i = 0; i < cols; ++i)
    if (!(magnitude(row[i]) <= limit)) return i;
  return cols;
}

// The largest magnitude each format holds: above it rounding would give infinity (or saturate).
float largest_of(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return std::bit_cast<float>(0x477fefffu);  // just below 65520
    case DType::kBF16:
      return std::bit_cast<float>(0x7f7f7fffu);  // just below where bfloat16 overflows
    case DType::kF8E4M3:
      return 448.0f;
    case DType::kQ8_0:
      return 127.0f * 65472.0f;
    case DType::kQ4_0:
      return 7.0f * 32768.0f;
    case DType::kF32:
      return std::bit_cast<float>(0x7f7fffffu);
    default:
      return 32768.0f;  // the others have minima in binary16, whose largest is twice that
  }
}

consteval std::array<float, kMostElements> ones() {
  std::array<float, kMostElements> values{};
  values.fill(1);
  return values;
}
constexpr std::array<float, kMostElements> kOnes = ones();

// The last, partial block is filled up with zeros that have no weight.
void encode_block_row(const float *row, uint64_t cols, const DTypeInfo &type, const float *weights, EncodeBlock encode,
                      uint8_t *out) {
  const uint64_t elements = type.block_elements, whole = cols / elements, rest = cols % elements;
  for (uint64_t b = 0; b < whole; ++b)
    encode(row + b * elements, weights ? weights + b * elements : kOnes.data(), out + b * type.block_bytes);
  if (rest == 0) return;
  float padded[kMostElements] = {}, weight[kMostElements] = {};
  std::memcpy(padded, row + whole * elements, rest * sizeof(float));
  std::memcpy(weight, weights ? weights + whole * elements : kOnes.data(), rest * sizeof(float));
  encode(padded, weight, out + whole * type.block_bytes);
}

void encode_row(DType dtype, const float *row, uint64_t cols, const EncodeHow &how, uint8_t *out) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, row, cols * sizeof(float));
      break;
    case DType::kF16:
      for (uint64_t i = 0; i < cols; ++i) {
        const uint16_t bits = f32_to_f16(row[i]);
        std::memcpy(out + 2 * i, &bits, 2);
      }
      break;
    case DType::kBF16:
      for (uint64_t i = 0; i < cols; ++i) {
        const uint32_t bits = std::bit_cast<uint32_t>(row[i]);
        const uint16_t half =
            static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);  // all values are finite
        std::memcpy(out + 2 * i, &half, 2);
      }
      break;
    case DType::kF8E4M3:
      for (uint64_t i = 0; i < cols; ++i) out[i] = f32_to_e4m3(row[i]);
      break;
    default: {
      const EncodeBlock plain = how.plain ? plain_block_encoder(dtype) : nullptr;
      encode_block_row(row, cols, dtype_info(dtype), how.weights, plain ? plain : block_encoder(dtype), out);
      break;
    }
  }
}

// Both small formats are binary32 with fewer bits: shifted into place, a multiplication moves the exponent and makes
// subnormals right; only NaN and infinity need a second look. Same values as base/half.h, without its branches.
void decode_f16_row(const uint8_t *in, uint64_t cols, float *out) {
  for (uint64_t i = 0; i < cols; ++i) {
    uint16_t half;
    std::memcpy(&half, in + 2 * i, 2);
    const uint32_t shifted = (half & 0x7fffu) << 13;
    uint32_t bits = std::bit_cast<uint32_t>(std::bit_cast<float>(shifted) * 0x1p112f);
    bits |= shifted >= 0x0f800000u ? 0x7f800000u : 0u;
    out[i] = std::bit_cast<float>(bits | static_cast<uint32_t>(half & 0x8000u) << 16);
  }
}

inline float decode_e4m3(uint8_t code) {
  const uint32_t shifted = static_cast<uint32_t>(code & 0x7fu) << 20;
  uint32_t bits = std::bit_cast<uint32_t>(std::bit_cast<float>(shifted) * 0x1p120f);
  bits = shifted == 0x07f00000u ? 0x7fc00000u : bits;
  return std::bit_cast<float>(bits | static_cast<uint32_t>(code & 0x80u) << 24);
}

// Whole blocks go straight to `out`; the last, partial one through a buffer.
template <typename Decode>
void decode_block_row(const uint8_t *in, uint64_t cols, const DTypeInfo &type, float *out, Decode decode) {
  const uint64_t elements = type.block_elements, bytes = type.block_bytes, whole = cols / elements;
  for (uint64_t b = 0; b < whole; ++b) decode(in + b * bytes, out + b * elements);
  if (cols % elements == 0) return;
  float padded[kMostElements];
  decode(in + whole * bytes, padded);
  std::memcpy(out + whole * elements, padded, (cols % elements) * sizeof(float));
}

inline float block_scale(const uint8_t *in) {
  uint16_t bits;
  std::memcpy(&bits, in, 2);
  return f16_to_f32(bits);
}

void decode_q8_block(const uint8_t *in, float *out) {
  const float d = block_scale(in);
  for (uint64_t i = 0; i < kBlock; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(in[2 + i]));
}

void decode_q4_block(const uint8_t *in, float *out) {
  const float d = block_scale(in);
  for (uint64_t i = 0; i < kBlock / 2; ++i) {
    out[i] = d * static_cast<float>((in[2 + i] & 15) - 8);
    out[i + kBlock / 2] = d * static_cast<float>((in[2 + i] >> 4) - 8);
  }
}

void decode_row(DType dtype, const uint8_t *in, uint64_t cols, float *out) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, in, cols * sizeof(float));
      break;
    case DType::kF16:
      decode_f16_row(in, cols, out);
      break;
    case DType::kBF16:
      for (uint64_t i = 0; i < cols; ++i) {
        uint16_t bits;
        std::memcpy(&bits, in + 2 * i, 2);
        out[i] = bf16_to_f32(bits);
      }
      break;
    case DType::kF8E4M3:
      for (uint64_t i = 0; i < cols; ++i) out[i] = decode_e4m3(in[i]);
      break;
    case DType::kI32:
      for (uint64_t i = 0; i < cols; ++i) {
        int32_t value;
        std::memcpy(&value, in + 4 * i, 4);
        out[i] = static_cast<float>(value);
      }
      break;
    case DType::kQ8_0:
      decode_block_row(in, cols, dtype_info(dtype), out, decode_q8_block);
      break;
    case DType::kQ4_0:
      decode_block_row(in, cols, dtype_info(dtype), out, decode_q4_block);
      break;
    default:
      if (const DecodeBlock decode = stored_block_decoder(dtype))
        decode_block_row(in, cols, dtype_info(dtype), out, decode);
      else
        std::fill_n(out, cols, 0.0f);
      break;
  }
}

}  // namespace

bool can_encode(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 || dtype == DType::kF8E4M3 ||
         block_encoder(dtype) != nullptr;
}

uint64_t first_not_finite(const float *values, uint64_t n) {
  constexpr uint64_t kChunk = 512;
  for (uint64_t begin = 0; begin < n; begin += kChunk) {
    const uint64_t end = std::min(n, begin + kChunk);
    uint32_t seen = 0;  // the top bit: an exponent of all ones
    for (uint64_t i = begin; i < end; ++i) seen |= (std::bit_cast<uint32_t>(values[i]) & 0x7fffffffu) + 0x00800000u;
    if (!(seen & 0x80000000u)) continue;
    for (uint64_t i = begin; i < end; ++i)
      if ((std::bit_cast<uint32_t>(values[i]) & 0x7f800000u) == 0x7f800000u) return i;
  }
  return n;
}

Status encode_rows(DType dtype, const float *rows, uint64_t n_rows, uint64_t cols, uint8_t *out, const RowsName &name,
                   const EncodeHow &how) {
  if (!can_encode(dtype))
    return fail(DS_E_UNSUPPORTED, "format", "tensor '%s': numbers cannot be stored as %s", name.tensor,
                dtype_info(dtype).name);
  const float limit = largest_of(dtype);
  const uint64_t bytes = row_bytes(dtype, cols);
  for (uint64_t r = 0; r < n_rows; ++r) {
    const float *row = rows + r * cols;
    const uint64_t bad = first_beyond(row, cols, limit);
    if (bad < cols) return refuse(dtype, name, r, bad, row[bad]);
    encode_row(dtype, row, cols, how, out + r * bytes);
  }
  return {};
}

void decode_rows(DType dtype, const uint8_t *in, uint64_t n_rows, uint64_t cols, float *out) {
  const uint64_t bytes = row_bytes(dtype, cols);
  for (uint64_t r = 0; r < n_rows; ++r) decode_row(dtype, in + r * bytes, cols, out + r * cols);
}

Status encode_e4m3_blocks(const float *rows, uint64_t n_rows, uint64_t cols, uint32_t block_rows, uint32_t block_cols,
                          uint8_t *codes, float *scales, const RowsName &name) {
  for (uint64_t r = 0; r < n_rows; ++r) {
    const uint64_t bad = first_not_finite(rows + r * cols, cols);
    if (bad < cols) return refuse(DType::kF8E4M3, name, r, bad, rows[r * cols + bad]);
  }
  for (uint64_t r0 = 0; r0 < n_rows; r0 += block_rows) {
    const uint64_t r1 = std::min<uint64_t>(n_rows, r0 + block_rows);
    for (uint64_t c0 = 0; c0 < cols; c0 += block_cols) {
      const uint64_t c1 = std::min<uint64_t>(cols, c0 + block_cols);
      float largest = 0;
      for (uint64_t r = r0; r < r1; ++r)
        for (uint64_t c = c0; c < c1; ++c) largest = std::max(largest, magnitude(rows[r * cols + c]));
      float scale = largest / 448.0f;
      if (!(scale >= 0x1p-126f)) scale = largest > 0 ? 0x1p-126f : 1.0f;  // no subnormal scales: 1/448 of them is lost
      *scales++ = scale;
      for (uint64_t r = r0; r < r1; ++r)
        for (uint64_t c = c0; c < c1; ++c) codes[r * cols + c] = f32_to_e4m3(rows[r * cols + c] / scale);
    }
  }
  return {};
}

void decode_e4m3_blocks(const uint8_t *codes, const float *scales, uint64_t first_row, uint64_t n_rows, uint64_t cols,
                        uint32_t block_rows, uint32_t block_cols, float *out) {
  const uint64_t scale_cols = cols / block_cols + (cols % block_cols != 0);
  for (uint64_t r = 0; r < n_rows; ++r) {
    const float *row_scales = scales + (first_row + r) / block_rows * scale_cols;
    for (uint64_t c0 = 0; c0 < cols; c0 += block_cols) {
      const float scale = row_scales[c0 / block_cols];
      const uint64_t c1 = std::min<uint64_t>(cols, c0 + block_cols);
      for (uint64_t c = c0; c < c1; ++c) out[r * cols + c] = decode_e4m3(codes[r * cols + c]) * scale;
    }
  }
}

}  // namespace deepseam
