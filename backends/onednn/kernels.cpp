// The kernels of kernels.h, written once over 16-lane vectors and compiled once per instruction set.
//
// The build sets DS_ISA_NAME (generic, avx2, avx512) and the compiler's target flags; GCC's vector extensions become
// whatever registers there are. Only the int8 dot product is spelled per set: VNNI where there is one. Products are
// fused into sums (-ffp-contract=fast) in the same way for every row count, so rows do not see each other.
#include "kernels.h"

#include <cstring>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace deepseam::onednn {
namespace DS_ISA_NAME {
namespace {

typedef float F32x16 __attribute__((vector_size(64)));
typedef int32_t I32x16 __attribute__((vector_size(64)));
typedef uint32_t U32x16 __attribute__((vector_size(64)));
typedef uint16_t U16x16 __attribute__((vector_size(32)));
typedef uint8_t U8x16 __attribute__((vector_size(16)));

#if defined(__AVX512F__)
constexpr uint32_t kRowsAtOnce = 8;
#elif defined(__AVX2__)
constexpr uint32_t kRowsAtOnce = 3;
#else
constexpr uint32_t kRowsAtOnce = 2;
#endif

template <typename V>
inline V load(const void *from) {
  V v;
  std::memcpy(&v, from, sizeof v);
  return v;
}
template <typename V>
inline void store(void *to, V v) {
  std::memcpy(to, &v, sizeof v);
}
inline F32x16 splat(float x) { return F32x16{} + x; }

// 16-bit and 8-bit floats by moving exponent and mantissa into place and rescaling: exact, subnormals included.
// Infinities and NaN do not occur: packing refuses them.
inline F32x16 f16_lanes(const uint8_t *from) {
  const U32x16 bits = __builtin_convertvector(load<U16x16>(from), U32x16);
  const U32x16 placed = (bits & 0x8000u) << 16 | (bits & 0x7fffu) << 13;
  return reinterpret_cast<F32x16>(placed) * 0x1p112f;
}

template <Pack kPack>
inline F32x16 weight_lanes(const uint8_t *tile, uint64_t col) {
  if constexpr (kPack == Pack::kF32) {
    return load<F32x16>(tile + col * 64);
  } else if constexpr (kPack == Pack::kF16) {
    return f16_lanes(tile + col * 32);
  } else if constexpr (kPack == Pack::kBF16) {
    const U32x16 bits = __builtin_convertvector(load<U16x16>(tile + col * 32), U32x16) << 16;
    return reinterpret_cast<F32x16>(bits);
  } else {
    const U32x16 bits = __builtin_convertvector(load<U8x16>(tile + col * 16), U32x16);
    const U32x16 placed = (bits & 0x80u) << 24 | (bits & 0x7fu) << 20;
    return reinterpret_cast<F32x16>(placed) * 0x1p120f;
  }
}

// Writes the lanes of a tile that are rows of the matrix.
inline void put_tile(F32x16 sum, float *y, uint64_t tile, uint64_t rows) {
  const uint64_t first = tile * kLanes;
  if (first + kLanes <= rows) return store(y + first, sum);
  for (uint64_t lane = 0; first + lane < rows; ++lane) y[first + lane] = sum[lane];
}

// Two sums per row, over even and odd columns, hide the latency of the fused multiply-add when M is 1.
template <Pack kPack, uint32_t kRows>
void float_tile(const Matrix &w, uint64_t tile, const float *const *x, float *const *y) {
  const uint8_t *data = w.data + tile * tile_bytes(kPack, w.cols);
  F32x16 even[kRows] = {}, odd[kRows] = {};
  const uint64_t step = kPack == Pack::kF8 ? kBlock : w.cols;
  for (uint64_t begin = 0, group = 0; begin < w.cols; begin += step, ++group) {
    const uint64_t end = begin + step < w.cols ? begin + step : w.cols;
    F32x16 factor{};
    if constexpr (kPack == Pack::kF8) factor = splat(w.scales[tile * blocks(w.cols) + group]);
    uint64_t col = begin;
    for (; col + 2 <= end; col += 2) {
      F32x16 w0 = weight_lanes<kPack>(data, col), w1 = weight_lanes<kPack>(data, col + 1);
      if constexpr (kPack == Pack::kF8) w0 *= factor, w1 *= factor;
      for (uint32_t m = 0; m < kRows; ++m) {
        even[m] += w0 * x[m][col];
        odd[m] += w1 * x[m][col + 1];
      }
    }
    if (col < end) {
      F32x16 w0 = weight_lanes<kPack>(data, col);
      if constexpr (kPack == Pack::kF8) w0 *= factor;
      for (uint32_t m = 0; m < kRows; ++m) even[m] += w0 * x[m][col];
    }
  }
  for (uint32_t m = 0; m < kRows; ++m) put_tile(even[m] + odd[m], y[m], tile, w.rows);
}

// Four products of unsigned weight bytes and signed activation bytes, added up in every lane.
inline I32x16 dot4(I32x16 sum, U32x16 weights, const int8_t *x) {
  int32_t four;
  std::memcpy(&four, x, 4);
#if defined(__AVX512VNNI__)
  return reinterpret_cast<I32x16>(
      _mm512_dpbusd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(weights), _mm512_set1_epi32(four)));
#else
  for (uint32_t i = 0; i < 4; ++i) {
    const U32x16 byte = weights >> (8 * i) & 0xffu;
    sum += reinterpret_cast<I32x16>(byte) * static_cast<int32_t>(x[i]);
  }
  return sum;
#endif
}

// Integer sums per block of 32 columns, then one float product per block, in column order.
template <Pack kPack, uint32_t kRows>
void quant_tile(const Matrix &w, uint64_t tile, const QuantRow *x, float *const *y) {
  constexpr uint32_t kWords = kPack == Pack::kQ8 ? 8 : 4;
  constexpr int32_t kOffset = kPack == Pack::kQ8 ? 128 : 8;
  const uint8_t *at = w.data + tile * tile_bytes(kPack, w.cols);
  F32x16 total[kRows] = {};
  for (uint64_t block = 0; block < blocks(w.cols); ++block) {
    const F32x16 scale = f16_lanes(at);
    at += kLanes * 2;
    I32x16 sum[kRows];
    for (uint32_t m = 0; m < kRows; ++m) sum[m] = I32x16{} - kOffset * x[m].sum[block];
    for (uint32_t word = 0; word < kWords; ++word, at += 64) {
      const U32x16 bits = load<U32x16>(at);
      if constexpr (kPack == Pack::kQ8) {
        for (uint32_t m = 0; m < kRows; ++m) sum[m] = dot4(sum[m], bits, x[m].q + block * kBlock + 4 * word);
      } else {
        const U32x16 low = bits & 0x0f0f0f0fu, high = bits >> 4 & 0x0f0f0f0fu;
        for (uint32_t m = 0; m < kRows; ++m) {
          const int8_t *q = x[m].q + block * kBlock + 8 * word;
          sum[m] = dot4(dot4(sum[m], low, q), high, q + 4);
        }
      }
    }
    for (uint32_t m = 0; m < kRows; ++m)
      total[m] += __builtin_convertvector(sum[m], F32x16) * (scale * x[m].scale[block]);
  }
  for (uint32_t m = 0; m < kRows; ++m) put_tile(total[m], y[m], tile, w.rows);
}

// Calls Tile<rows>::run for groups of at most kRowsAtOnce rows; the tile's weights stay in cache between groups.
template <Pack kPack, uint32_t kRows = kRowsAtOnce>
void float_rows(const Matrix &w, uint64_t tile, const float *const *x, float *const *y, uint32_t n_rows) {
  for (; n_rows >= kRows; n_rows -= kRows, x += kRows, y += kRows) float_tile<kPack, kRows>(w, tile, x, y);
  if constexpr (kRows > 1)
    if (n_rows) float_rows<kPack, kRows - 1>(w, tile, x, y, n_rows);
}

template <Pack kPack, uint32_t kRows = kRowsAtOnce>
void quant_rows(const Matrix &w, uint64_t tile, const QuantRow *x, float *const *y, uint32_t n_rows) {
  for (; n_rows >= kRows; n_rows -= kRows, x += kRows, y += kRows) quant_tile<kPack, kRows>(w, tile, x, y);
  if constexpr (kRows > 1)
    if (n_rows) quant_rows<kPack, kRows - 1>(w, tile, x, y, n_rows);
}

void matmul(const Matrix &w, uint64_t first, uint64_t count, const float *const *x, float *const *y, uint32_t n_rows) {
  for (uint64_t tile = first; tile < first + count; ++tile) switch (w.pack) {
      case Pack::kF32:
        float_rows<Pack::kF32>(w, tile, x, y, n_rows);
        break;
      case Pack::kF16:
        float_rows<Pack::kF16>(w, tile, x, y, n_rows);
        break;
      case Pack::kBF16:
        float_rows<Pack::kBF16>(w, tile, x, y, n_rows);
        break;
      default:
        float_rows<Pack::kF8>(w, tile, x, y, n_rows);
        break;
    }
}

void matmul_q(const Matrix &w, uint64_t first, uint64_t count, const QuantRow *x, float *const *y, uint32_t n_rows) {
  for (uint64_t tile = first; tile < first + count; ++tile) {
    if (w.pack == Pack::kQ8)
      quant_rows<Pack::kQ8>(w, tile, x, y, n_rows);
    else
      quant_rows<Pack::kQ4>(w, tile, x, y, n_rows);
  }
}

// One scale per block of 32: the largest magnitude becomes 127. Rounds to nearest, halves away from zero.
void quantise(const float *x, uint64_t cols, int8_t *q, float *scale, int32_t *sum) {
  for (uint64_t begin = 0, block = 0; begin < cols; begin += kBlock, ++block) {
    const uint64_t n = begin + kBlock <= cols ? kBlock : cols - begin;
    uint32_t bits = 0;  // of the largest magnitude: as integers NaN is above infinity, and both are above numbers
    for (uint64_t i = 0; i < n; ++i) {
      uint32_t magnitude;
      std::memcpy(&magnitude, x + begin + i, 4);
      magnitude &= 0x7fffffffu;
      bits = magnitude > bits ? magnitude : bits;
    }
    float largest;
    std::memcpy(&largest, &bits, 4);
    const bool finite = bits < 0x7f800000u;  // what is not finite must reach the result, not turn into a number
    scale[block] = finite ? largest / 127 : __builtin_nanf("");
    const float inverse = finite && largest > 0 ? 127 / largest : 0;
    int32_t total = 0;
    for (uint64_t i = 0; i < kBlock; ++i) {
      const float v = i < n && finite ? x[begin + i] * inverse : 0;
      const int32_t rounded = static_cast<int32_t>(v + (v < 0 ? -0.5f : 0.5f));
      q[begin + i] = static_cast<int8_t>(rounded);
      total += rounded;
    }
    sum[block] = total;
  }
}

inline float lanes_sum(F32x16 v) {
  float sum = 0;
  for (uint32_t lane = 0; lane < kLanes; ++lane) sum += v[lane];
  return sum;
}

float dot(const float *a, const float *b, uint64_t n) {
  F32x16 even{}, odd{};
  uint64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    even += load<F32x16>(a + i) * load<F32x16>(b + i);
    odd += load<F32x16>(a + i + 16) * load<F32x16>(b + i + 16);
  }
  for (; i + 16 <= n; i += 16) even += load<F32x16>(a + i) * load<F32x16>(b + i);
  float sum = lanes_sum(even + odd);
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

void axpy(float factor, const float *x, float *y, uint64_t n) {
  uint64_t i = 0;
  for (; i + 16 <= n; i += 16) store(y + i, load<F32x16>(y + i) + load<F32x16>(x + i) * factor);
  for (; i < n; ++i) y[i] += factor * x[i];
}

void scale(float factor, float *y, uint64_t n) {
  for (uint64_t i = 0; i < n; ++i) y[i] *= factor;
}

float sum_squares(const float *x, uint64_t n) { return dot(x, x, n); }

// exp by 2^k * e^r with |r| <= ln2/2 and a polynomial of degree 6: within 2 units in the last place. Arguments are
// clamped to where the result is a normal number.
inline F32x16 exp_lanes(F32x16 x) {
  x = x < -87.0f ? splat(-87.0f) : x;
  x = x > 88.0f ? splat(88.0f) : x;
  const F32x16 shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the integer part lands in the mantissa
  const F32x16 k = shifted - 12582912.0f;
  const F32x16 r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  F32x16 p = splat(1.0f / 720);
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const I32x16 power = (__builtin_convertvector(k, I32x16) + 127) << 23;
  return p * reinterpret_cast<F32x16>(power);
}

// Runs f over [0, n) in whole vectors; the tail goes through a padded copy, so that every element sees the same code.
template <typename F>
inline void by_lanes(uint64_t n, F f) {
  for (uint64_t i = 0; i < n; i += kLanes) f(i, n - i < kLanes ? n - i : kLanes);
}
inline F32x16 load_some(const float *from, uint64_t count) {
  F32x16 v{};
  std::memcpy(&v, from, count * sizeof(float));
  return v;
}

void silu_mul(const float *gate, const float *up, float *out, uint64_t n) {
  by_lanes(n, [&](uint64_t i, uint64_t count) {
    const F32x16 g = load_some(gate + i, count), u = load_some(up + i, count);
    const F32x16 result = g / (1.0f + exp_lanes(-g)) * u;
    std::memcpy(out + i, &result, count * sizeof(float));
  });
}

float exp_sum(float *x, uint64_t n, float maximum) {
  F32x16 total{};
  by_lanes(n, [&](uint64_t i, uint64_t count) {
    F32x16 e = exp_lanes(load_some(x + i, count) - maximum);
    for (uint64_t lane = count; lane < kLanes; ++lane) e[lane] = 0;
    std::memcpy(x + i, &e, count * sizeof(float));
    total += e;
  });
  return lanes_sum(total);
}

}  // namespace

#define DS_TEXT_INNER(name) #name
#define DS_TEXT(name) DS_TEXT_INNER(name)
constexpr Kernels kTable = {DS_TEXT(DS_ISA_NAME), matmul,   matmul_q, quantise, dot, axpy, scale,
                            sum_squares,          silu_mul, exp_sum};

}  // namespace DS_ISA_NAME

#define DS_JOIN_INNER(a, b) a##b
#define DS_JOIN(a, b) DS_JOIN_INNER(a, b)
const Kernels &DS_JOIN(kernels_, DS_ISA_NAME)() { return DS_ISA_NAME::kTable; }

}  // namespace deepseam::onednn
