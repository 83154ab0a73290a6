// Rows of numbers, to and from stored bytes. Vectors are left to the compiler: loops have fixed trip counts or no
// branches, and rounding is the add-and-subtract of 1.5 * 2^23 that every FPU does alike.
#include "format/blocks.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "format/block_decode.h"

namespace deepseam {
namespace {

constexpr uint64_t kBlock = 32;          // elements of Q8_0 and Q4_0 blocks
constexpr uint64_t kMostElements = 256;  // of a block of any format

using Ull = unsigned long long;

// Nearest integer, ties to even, for |x| < 2^22.
inline float round_even(float x) {
  constexpr float kMagic = 12582912.0f;
  return (x + kMagic) - kMagic;
}

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
    default:
      return std::bit_cast<float>(0x7f7fffffu);
  }
}

// Whether every value is d times a level of lowest … highest, without rounding.
inline bool lies_on_grid(const float *x, float d, float lowest, float highest) {
  for (uint64_t i = 0; i < kBlock; ++i) {
    const float level = round_even(x[i] / d);
    if (!(level >= lowest && level <= highest) || level * d != x[i]) return false;
  }
  return true;
}

// A scale's quotient must be a binary16 already, which few numbers are by chance; only then is the block looked at.
inline bool is_f16(float d) { return f16_to_f32(f32_to_f16(d)) == d; }

// The scale under which the block loses nothing, or 0 if there is none that makes the largest value a level near 127
// (whoever rounds to a subnormal scale may end a little below it).
float exact_q8_scale(const float *x, float largest) {
  for (float level = 127; level > 111; --level) {
    const float d = largest / level;
    if (is_f16(d) && lies_on_grid(x, d, -127, 127)) return d;
  }
  return 0;
}

void encode_q8_block(const float *x, uint8_t *out) {
  float largest = 0;
  for (uint64_t i = 0; i < kBlock; ++i) largest = std::max(largest, magnitude(x[i]));
  const float exact = largest > 0 ? exact_q8_scale(x, largest) : 0;
  uint16_t bits = f32_to_f16(exact > 0 ? exact : largest / 127.0f);
  // A scale rounded down so far that the largest value would be cut off: the next one up.
  if (largest > 127.5f * f16_to_f32(bits)) ++bits;
  const float d = f16_to_f32(bits), inverse = d > 0 ? 1.0f / d : 0.0f;
  std::memcpy(out, &bits, 2);
  int8_t q[kBlock];
  for (uint64_t i = 0; i < kBlock; ++i) {
    const float level = std::min(std::max(x[i] * inverse, -127.0f), 127.0f);
    q[i] = static_cast<int8_t>(static_cast<int32_t>(round_even(level)));
  }
  std::memcpy(out + 2, q, kBlock);
}

// Levels of one block under an inverse scale, and the two sums that its best scale follows from.
struct Q4Fit {
  float product = 0;  // sum of x * level
  float square = 0;   // sum of level^2
};

inline Q4Fit fit_q4(const float *x, float inverse) {
  float product[kBlock], square[kBlock];
  for (uint64_t i = 0; i < kBlock; ++i) {
    float level = x[i] * inverse;
    level = level < -8.0f ? -8.0f : level;
    level = round_even(level > 7.0f ? 7.0f : level);
    product[i] = x[i] * level;
    square[i] = level * level;
  }
  float p[4] = {}, s[4] = {};  // four running sums each, so that nothing has to be reordered for vectors
  for (uint64_t i = 0; i < kBlock; i += 4)
    for (uint64_t lane = 0; lane < 4; ++lane) {
      p[lane] += product[i + lane];
      s[lane] += square[i + lane];
    }
  return {(p[0] + p[1]) + (p[2] + p[3]), (s[0] + s[1]) + (s[2] + s[3])};
}

// The scale under which the block loses nothing, or 0 if there is none. The extreme value is level -8 or, whatever its
// sign, 7 … 1 of a positive scale.
float exact_q4_scale(const float *x, float extreme) {
  constexpr float kLevels[] = {-8, 7, 6, 5, 4, 3, 2, 1};
  for (const float level : kLevels) {
    const float d = (level < 0 ? extreme : magnitude(extreme)) / level;
    if (is_f16(d) && lies_on_grid(x, d, -8, 7)) return d;
  }
  return 0;
}

// Levels are -8 … 7. A block that lies on a grid of them already, such as one that was Q4_0 before, keeps every number.
// For others and levels given, the scale of least squared error is product / square and takes product^2 /
// square off the error, so the candidate with the largest such gain wins: over Gaussian weights a tenth less squared
// error than taking the extreme value as -8 (tests/unit/format/blocks_test.cpp).
float best_q4_scale(const float *x, float extreme) {
  constexpr float kLevels[] = {-8.0f, -8.6f, -7.4f, 7.0f};
  float best = -1, d = 0;
  for (float level : kLevels) {
    const Q4Fit fit = fit_q4(x, level / extreme);
    if (fit.square > 0 && fit.product * (fit.product / fit.square) > best) {
      best = fit.product * (fit.product / fit.square);
      d = fit.product / fit.square;
    }
  }
  return d;
}

void encode_q4_block(const float *x, uint8_t *out) {
  float extreme = 0;  // the value of largest magnitude, with its sign
  for (uint64_t i = 0; i < kBlock; ++i)
    if (magnitude(x[i]) > magnitude(extreme)) extreme = x[i];
  float d = 0;
  if (magnitude(extreme) > 1e-30f) {
    d = exact_q4_scale(x, extreme);
    if (d == 0) d = best_q4_scale(x, extreme);
  }
  const uint16_t bits = f32_to_f16(d);
  d = f16_to_f32(bits);
  const float inverse = d != 0 ? 1.0f / d : 0.0f;
  std::memcpy(out, &bits, 2);
  int32_t q[kBlock];
  for (uint64_t i = 0; i < kBlock; ++i) {
    const float level = std::min(std::max(x[i] * inverse, -8.0f), 7.0f);
    q[i] = static_cast<int32_t>(round_even(level)) + 8;
  }
  for (uint64_t i = 0; i < kBlock / 2; ++i) out[2 + i] = static_cast<uint8_t>(q[i] | q[i + kBlock / 2] << 4);
}

template <typename EncodeBlock>
void encode_block_row(const float *row, uint64_t cols, uint64_t block_bytes, uint8_t *out, EncodeBlock encode) {
  const uint64_t whole = cols / kBlock;
  for (uint64_t b = 0; b < whole; ++b) encode(row + b * kBlock, out + b * block_bytes);
  if (cols % kBlock == 0) return;
  float padded[kBlock] = {};
  std::memcpy(padded, row + whole * kBlock, (cols % kBlock) * sizeof(float));
  encode(padded, out + whole * block_bytes);
}

void encode_row(DType dtype, const float *row, uint64_t cols, uint8_t *out) {
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
    case DType::kQ8_0:
      encode_block_row(row, cols, 34, out, encode_q8_block);
      break;
    case DType::kQ4_0:
      encode_block_row(row, cols, 18, out, encode_q4_block);
      break;
    default:
      break;
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

Status encode_rows(DType dtype, const float *rows, uint64_t n_rows, uint64_t cols, uint8_t *out, const RowsName &name) {
  if (dtype == DType::kI32 || dtype == DType::kQ4_1 || compute_dtype(dtype) != dtype ||
      dtype_info(dtype).dtype == DType::kNone)
    return fail(DS_E_UNSUPPORTED, "format", "tensor '%s': numbers cannot be stored as %s", name.tensor,
                dtype_info(dtype).name);
  const float limit = largest_of(dtype);
  const uint64_t bytes = row_bytes(dtype, cols);
  for (uint64_t r = 0; r < n_rows; ++r) {
    const float *row = rows + r * cols;
    const uint64_t bad = first_beyond(row, cols, limit);
    if (bad < cols) return refuse(dtype, name, r, bad, row[bad]);
    encode_row(dtype, row, cols, out + r * bytes);
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
