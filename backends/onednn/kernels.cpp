// The kernels of kernels.h, written once over 16-lane vectors and compiled once per instruction set.
//
// The build sets DS_ISA_NAME (generic, avx2, avx512) and the compiler's target flags; GCC's vector extensions become
// whatever registers there are. Only the int8 products are spelled per set: VNNI where there is one, and products of
// bytes into 16 bits for AVX2. All give the same integers. Products are fused into sums (-ffp-contract=fast) in the
// same way for every row count, so rows do not see each other.
#include "kernels.h"

#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace deepseam::onednn {
namespace DS_ISA_NAME {
namespace {

typedef float F32x16 __attribute__((vector_size(64)));
typedef int32_t I32x16 __attribute__((vector_size(64)));
typedef uint32_t U32x16 __attribute__((vector_size(64)));
typedef uint16_t U16x16 __attribute__((vector_size(32)));

// What one register holds where products are taken: GCC keeps 16-lane vectors in memory where registers have 8.
#if defined(__AVX2__) && !defined(__AVX512F__)
constexpr uint32_t kPart = 8;
#else
constexpr uint32_t kPart = 16;
#endif
constexpr uint32_t kParts = kLanes / kPart;
typedef float FPart __attribute__((vector_size(4 * kPart)));
typedef int32_t IPart __attribute__((vector_size(4 * kPart)));
typedef uint32_t UPart __attribute__((vector_size(4 * kPart)));
typedef uint16_t HalfPart __attribute__((vector_size(2 * kPart)));
typedef uint8_t BytePart __attribute__((vector_size(kPart)));

#if defined(__AVX512F__)
constexpr uint32_t kRowsAtOnce = 8, kQuantRowsAtOnce = 8, kProductRows = 12;
#elif defined(__AVX2__)
constexpr uint32_t kRowsAtOnce = 3, kQuantRowsAtOnce = 4, kProductRows = 6;
#else
constexpr uint32_t kRowsAtOnce = 2, kQuantRowsAtOnce = 2, kProductRows = 2;
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
// Spelled out for tails: compilers that turn a loop of them into vectors take products and sums apart.
inline float fused(float a, float b, float sum) {
#if defined(__FMA__)
  return __builtin_fmaf(a, b, sum);
#else
  return sum + a * b;
#endif
}
inline FPart part_of(float x) { return FPart{} + x; }

// 16-bit and 8-bit floats by moving exponent and mantissa into place and rescaling: exact, subnormals included.
// Infinities and NaN do not occur: packing refuses them.
inline F32x16 f16_lanes(const uint8_t *from) {
  const U32x16 bits = __builtin_convertvector(load<U16x16>(from), U32x16);
  const U32x16 placed = (bits & 0x8000u) << 16 | (bits & 0x7fffu) << 13;
  return reinterpret_cast<F32x16>(placed) * 0x1p112f;
}

// Lanes [part * kPart, … + kPart) of one column of a tile.
template <Pack kPack>
inline FPart weight_lanes(const uint8_t *tile, uint64_t col, uint32_t part) {
  const uint64_t at = col * kLanes + part * kPart;
  if constexpr (kPack == Pack::kF32) {
    return load<FPart>(tile + at * 4);
  } else if constexpr (kPack == Pack::kF16) {
    const UPart bits = __builtin_convertvector(load<HalfPart>(tile + at * 2), UPart);
    const UPart placed = (bits & 0x8000u) << 16 | (bits & 0x7fffu) << 13;
    return reinterpret_cast<FPart>(placed) * 0x1p112f;
  } else if constexpr (kPack == Pack::kBF16) {
    const UPart bits = __builtin_convertvector(load<HalfPart>(tile + at * 2), UPart) << 16;
    return reinterpret_cast<FPart>(bits);
  } else {
    const UPart bits = __builtin_convertvector(load<BytePart>(tile + at), UPart);
    const UPart placed = (bits & 0x80u) << 24 | (bits & 0x7fu) << 20;
    return reinterpret_cast<FPart>(placed) * 0x1p120f;
  }
}

// Writes the lanes of a tile that are rows of the matrix.
inline void put_tile(const FPart (&parts)[kParts], float *y, uint64_t tile, uint64_t rows) {
  const uint64_t first = tile * kLanes;
  if (first + kLanes <= rows) {  // of a size the compiler knows: no call
    std::memcpy(y + first, parts, sizeof parts);
    return;
  }
  float sum[kLanes];
  std::memcpy(sum, parts, sizeof sum);
  std::memcpy(y + first, sum, (rows - first) * sizeof(float));
}

// Two sums per row, over even and odd columns, hide the latency of the fused multiply-add when M is 1.
template <Pack kPack, uint32_t kRows>
void float_tile(const Matrix &w, uint64_t tile, const float *const *x, float *const *y) {
  const uint8_t *data = w.data + tile * tile_bytes(kPack, w.cols);
  FPart even[kRows][kParts] = {}, odd[kRows][kParts] = {};
  const uint64_t step = kPack == Pack::kF8 ? kBlock : w.cols;
  for (uint64_t begin = 0, group = 0; begin < w.cols; begin += step, ++group) {
    const uint64_t end = begin + step < w.cols ? begin + step : w.cols;
    float factor = 1;
    if constexpr (kPack == Pack::kF8) factor = w.scales[tile * blocks(w.cols) + group];
    const auto add = [&](FPart(&sums)[kRows][kParts], uint64_t col) {
      for (uint32_t part = 0; part < kParts; ++part) {
        FPart lanes = weight_lanes<kPack>(data, col, part);
        if constexpr (kPack == Pack::kF8) lanes *= factor;
        for (uint32_t m = 0; m < kRows; ++m) sums[m][part] += lanes * x[m][col];
      }
    };
    uint64_t col = begin;
    for (; col + 2 <= end; col += 2) add(even, col), add(odd, col + 1);
    if (col < end) add(even, col);
  }
  for (uint32_t m = 0; m < kRows; ++m) {
    for (uint32_t part = 0; part < kParts; ++part) even[m][part] += odd[m][part];
    put_tile(even[m], y[m], tile, w.rows);
  }
}

#if defined(__AVX2__) && !defined(__AVX512F__)

inline __m256i bytes_at(const void *from) { return _mm256_loadu_si256(static_cast<const __m256i *>(from)); }
inline __m256 eight_halves(const void *from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i *>(from)));
}
// A sum is taken here and nowhere else. Without it GCC takes all of a block's products first and adds them up later,
// which is twice as many values as there are registers: 134 against 195 GFLOP/s (docs/measured.md).
inline void keep(__m256i &v) { __asm__("" : "+x"(v)); }
inline __m256i four_columns(const int8_t *x) {
  int32_t four;
  std::memcpy(&four, x, 4);
  return _mm256_set1_epi32(four);
}

// Sums of one block of 32 columns, lanes 0 to 7 and 8 to 15. Words are 64 bytes apart, so each word of activations is
// spread over a register once.
// 4 bits: a 16-bit sum takes all 16 products of its two columns of each word, 16 * 15 * 127 < 2^15. What nibbles are
// above the stored numbers, 8 a column, is taken off with the row's own sum, unless the least value is stored.
template <uint32_t kRows, bool kLeast>
inline void block_q4(const uint8_t *at, uint64_t block, const QuantRow *x, __m256i (&sum)[2][kRows]) {
  const __m256i nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  for (uint32_t m = 0; m < kRows; ++m) sum[0][m] = sum[1][m] = _mm256_setzero_si256();
  for (uint32_t word = 0; word < 4; ++word) {
    const __m256i first = bytes_at(at + 64 * word), second = bytes_at(at + 64 * word + 32);
    const __m256i low[2] = {_mm256_and_si256(first, nibble), _mm256_and_si256(second, nibble)};
    const __m256i high[2] = {_mm256_and_si256(_mm256_srli_epi16(first, 4), nibble),
                             _mm256_and_si256(_mm256_srli_epi16(second, 4), nibble)};
    for (uint32_t m = 0; m < kRows; ++m) {
      const int8_t *q = x[m].q + block * kBlock + 8 * word;
      const __m256i q_low = four_columns(q), q_high = four_columns(q + 4);
      for (uint32_t half = 0; half < 2; ++half) {
        sum[half][m] = _mm256_add_epi16(sum[half][m], _mm256_maddubs_epi16(low[half], q_low));
        keep(sum[half][m]);
        sum[half][m] = _mm256_add_epi16(sum[half][m], _mm256_maddubs_epi16(high[half], q_high));
        keep(sum[half][m]);
      }
    }
  }
  for (uint32_t m = 0; m < kRows; ++m)
    for (uint32_t half = 0; half < 2; ++half)
      if constexpr (kLeast)
        sum[half][m] = _mm256_madd_epi16(sum[half][m], ones);
      else
        sum[half][m] = _mm256_sub_epi32(_mm256_madd_epi16(sum[half][m], ones),
                                        _mm256_slli_epi32(_mm256_set1_epi32(x[m].sum[block]), 3));
}

// 8 bits: unsigned weights would overflow 16 bits, so magnitudes are multiplied and the activations take the signs.
template <uint32_t kRows>
inline void block_q8(const uint8_t *at, uint64_t block, const QuantRow *x, __m256i (&sum)[2][kRows]) {
  const __m256i offset = _mm256_set1_epi8(-128), ones = _mm256_set1_epi16(1);
  for (uint32_t m = 0; m < kRows; ++m) sum[0][m] = sum[1][m] = _mm256_setzero_si256();
  for (uint32_t word = 0; word < 8; ++word) {
    const __m256i weights[2] = {_mm256_xor_si256(bytes_at(at + 64 * word), offset),
                                _mm256_xor_si256(bytes_at(at + 64 * word + 32), offset)};
    const __m256i size[2] = {_mm256_abs_epi8(weights[0]), _mm256_abs_epi8(weights[1])};
    for (uint32_t m = 0; m < kRows; ++m) {
      const __m256i q = four_columns(x[m].q + block * kBlock + 4 * word);
      for (uint32_t half = 0; half < 2; ++half) {
        const __m256i pairs = _mm256_maddubs_epi16(size[half], _mm256_sign_epi8(q, weights[half]));
        sum[half][m] = _mm256_add_epi32(sum[half][m], _mm256_madd_epi16(pairs, ones));
        keep(sum[half][m]);
      }
    }
  }
}

// Integer sums per block of 32 columns, then one float product per block, in column order.
template <Pack kPack, uint32_t kRows>
void quant_tile(const Matrix &w, uint64_t tile, const QuantRow *x, float *const *y) {
  constexpr bool kLeast = kPack == Pack::kQ4Least;
  constexpr uint64_t kBlockBytes = kLanes * (kPack == Pack::kQ8 ? 34 : kLeast ? 20 : 18);
  const uint8_t *at = w.data + tile * blocks(w.cols) * kBlockBytes;
  __m256 total[2][kRows];
  for (uint32_t m = 0; m < kRows; ++m) total[0][m] = total[1][m] = _mm256_setzero_ps();
  for (uint64_t block = 0; block < blocks(w.cols); ++block, at += kBlockBytes) {
    __m256i sum[2][kRows];
    if constexpr (kPack == Pack::kQ8)
      block_q8<kRows>(at + kLanes * 2, block, x, sum);
    else
      block_q4<kRows, kLeast>(at + kLanes * (kLeast ? 4 : 2), block, x, sum);
    for (uint32_t half = 0; half < 2; ++half) {
      const __m256 scale = eight_halves(at + 16 * half);
      for (uint32_t m = 0; m < kRows; ++m) {
        const __m256 factor = _mm256_mul_ps(scale, _mm256_set1_ps(x[m].scale[block]));
        total[half][m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[half][m]), factor, total[half][m]);
        if constexpr (!kLeast) continue;
        const __m256 row = _mm256_set1_ps(x[m].scale[block] * static_cast<float>(x[m].sum[block]));
        total[half][m] = _mm256_fmadd_ps(eight_halves(at + kLanes * 2 + 16 * half), row, total[half][m]);
      }
    }
  }
  for (uint32_t m = 0; m < kRows; ++m) put_tile({total[0][m], total[1][m]}, y[m], tile, w.rows);
}

#else

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
  constexpr bool kLeast = kPack == Pack::kQ4Least;
  constexpr int32_t kOffset = kPack == Pack::kQ8 ? 128 : kLeast ? 0 : 8;
  const uint8_t *at = w.data + tile * tile_bytes(kPack, w.cols);
  F32x16 total[kRows] = {};
  for (uint64_t block = 0; block < blocks(w.cols); ++block) {
    const F32x16 scale = f16_lanes(at), least = kLeast ? f16_lanes(at + kLanes * 2) : F32x16{};
    at += kLanes * (kLeast ? 4 : 2);
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
    for (uint32_t m = 0; m < kRows; ++m) {
      total[m] += __builtin_convertvector(sum[m], F32x16) * (scale * x[m].scale[block]);
      if constexpr (kLeast) total[m] += least * (x[m].scale[block] * static_cast<float>(x[m].sum[block]));
    }
  }
  for (uint32_t m = 0; m < kRows; ++m) put_tile({total[m]}, y[m], tile, w.rows);
}

#endif

// Calls Tile<rows>::run for groups of at most kRowsAtOnce rows; the tile's weights stay in cache between groups.
template <Pack kPack, uint32_t kRows = kRowsAtOnce>
void float_rows(const Matrix &w, uint64_t tile, const float *const *x, float *const *y, uint32_t n_rows) {
  for (; n_rows >= kRows; n_rows -= kRows, x += kRows, y += kRows) float_tile<kPack, kRows>(w, tile, x, y);
  if constexpr (kRows > 1)
    if (n_rows) float_rows<kPack, kRows - 1>(w, tile, x, y, n_rows);
}

template <Pack kPack, uint32_t kRows = kQuantRowsAtOnce>
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
    else if (w.pack == Pack::kQ4Least)
      quant_rows<Pack::kQ4Least>(w, tile, x, y, n_rows);
    else
      quant_rows<Pack::kQ4>(w, tile, x, y, n_rows);
  }
}

// The bits of a block's largest magnitude: as integers NaN is above infinity, and both are above numbers.
// And a block rounded to nearest, halves away from zero, to `q`; what comes back is the sum.
#if defined(__AVX2__)

inline uint32_t largest_bits(const float *x) {
  __m256i most = _mm256_setzero_si256();
  for (uint32_t i = 0; i < kBlock; i += 8)
    most = _mm256_max_epi32(most, _mm256_and_si256(load<__m256i>(x + i), _mm256_set1_epi32(0x7fffffff)));
  const __m128i four = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  const __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return static_cast<uint32_t>(_mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1))));
}

inline int32_t round_block(const float *x, float inverse, int8_t *q) {
  __m256i whole[4], total = _mm256_setzero_si256();
  for (uint32_t i = 0; i < 4; ++i) {
    const __m256 v = load<__m256>(x + 8 * i);
    const __m256 half = _mm256_or_ps(_mm256_and_ps(v, _mm256_set1_ps(-0.0f)), _mm256_set1_ps(0.5f));
    whole[i] = _mm256_cvttps_epi32(_mm256_fmadd_ps(v, _mm256_set1_ps(inverse), half));
    total = _mm256_add_epi32(total, whole[i]);
  }
  const __m256i words = _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]),
                                           _mm256_packs_epi32(whole[2], whole[3]));  // works on halves of registers
  store(q, _mm256_permutevar8x32_epi32(words, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)));
  const __m128i four = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
  const __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
}

#else

inline uint32_t largest_bits(const float *x) {
  uint32_t bits = 0;
  for (uint32_t i = 0; i < kBlock; ++i) {
    uint32_t magnitude;
    std::memcpy(&magnitude, x + i, 4);
    magnitude &= 0x7fffffffu;
    bits = magnitude > bits ? magnitude : bits;
  }
  return bits;
}

// Loops over a whole block without conditions, which is what compilers turn into vectors.
inline int32_t round_block(const float *x, float inverse, int8_t *q) {
  int32_t rounded[kBlock], total = 0;
  for (uint32_t i = 0; i < kBlock; ++i) {
    const float v = x[i] * inverse;
    rounded[i] = static_cast<int32_t>(v + (v < 0 ? -0.5f : 0.5f));
  }
  for (uint32_t i = 0; i < kBlock; ++i) total += rounded[i];
  for (uint32_t i = 0; i < kBlock; ++i) q[i] = static_cast<int8_t>(rounded[i]);
  return total;
}

#endif

// One scale per block of 32: the largest magnitude becomes 127.
inline void quantise_block(const float *x, int8_t *q, float *scale, int32_t *sum) {
  const uint32_t bits = largest_bits(x);
  if (bits >= 0x7f800000u) {  // what is not finite must reach the result, not turn into a number
    std::memset(q, 0, kBlock);
    *scale = __builtin_nanf("");
    *sum = 0;
    return;
  }
  float largest;
  std::memcpy(&largest, &bits, 4);
  *scale = largest / 127;
  *sum = round_block(x, largest > 0 ? 127 / largest : 0, q);
}

void quantise(const float *x, uint64_t cols, int8_t *q, float *scale, int32_t *sum) {
  const uint64_t whole = cols / kBlock;
  for (uint64_t block = 0; block < whole; ++block)
    quantise_block(x + block * kBlock, q + block * kBlock, scale + block, sum + block);
  if (cols % kBlock == 0) return;
  float padded[kBlock] = {};
  std::memcpy(padded, x + whole * kBlock, cols % kBlock * sizeof(float));
  quantise_block(padded, q + whole * kBlock, scale + whole, sum + whole);
}

inline float lanes_sum(FPart v) {
  float sum = 0;
  for (uint32_t lane = 0; lane < kPart; ++lane) sum += v[lane];
  return sum;
}

template <uint32_t kRows>
inline void dot_rows(const float *a, const float *const *b, uint64_t n, float *sums) {
  constexpr uint32_t kSums = 32 / kPart;
  FPart parts[kRows][kSums] = {};
  uint64_t i = 0;
  for (; i + 32 <= n; i += 32)
    for (uint32_t k = 0; k < kSums; ++k) {
      const FPart shared = load<FPart>(a + i + k * kPart);
      for (uint32_t r = 0; r < kRows; ++r) parts[r][k] += shared * load<FPart>(b[r] + i + k * kPart);
    }
  for (; i + kPart <= n; i += kPart)
    for (uint32_t r = 0; r < kRows; ++r) parts[r][0] += load<FPart>(a + i) * load<FPart>(b[r] + i);
  for (uint32_t r = 0; r < kRows; ++r) {
    for (uint32_t k = 1; k < kSums; ++k) parts[r][0] += parts[r][k];
    sums[r] = lanes_sum(parts[r][0]);
    for (uint64_t j = i; j < n; ++j) sums[r] = fused(a[j], b[r][j], sums[r]);
  }
}

float dot(const float *a, const float *b, uint64_t n) {
  float sum;
  dot_rows<1>(a, &b, n, &sum);
  return sum;
}

void dot2(const float *a, const float *const *b, uint64_t n, float *sums) { dot_rows<2>(a, b, n, sums); }

void axpy(float factor, const float *x, float *y, uint64_t n) {
  uint64_t i = 0;
  for (; i + kPart <= n; i += kPart) store(y + i, load<FPart>(y + i) + load<FPart>(x + i) * factor);
  for (; i < n; ++i) y[i] = fused(factor, x[i], y[i]);
}

void axpy4(const float *factors, const float *const *x, float *y, uint64_t n) {
  uint64_t i = 0;
  for (; i + kPart <= n; i += kPart) {
    FPart sum = load<FPart>(y + i);
    for (uint32_t r = 0; r < 4; ++r) sum += load<FPart>(x[r] + i) * factors[r];
    store(y + i, sum);
  }
  for (; i < n; ++i)
    for (uint32_t r = 0; r < 4; ++r) y[i] = fused(factors[r], x[r][i], y[i]);
}

void scale(float factor, float *y, uint64_t n) {
  for (uint64_t i = 0; i < n; ++i) y[i] *= factor;
}

float sum_squares(const float *x, uint64_t n) { return dot(x, x, n); }

// exp by 2^k * e^r with |r| <= ln2/2 and a polynomial of degree 6: within 2 units in the last place. Arguments are
// clamped to where the result is a normal number.
inline FPart exp_lanes(FPart x) {
  x = x < -87.0f ? part_of(-87.0f) : x;
  x = x > 88.0f ? part_of(88.0f) : x;
  const FPart shifted = x * 1.44269504f + 12582912.0f;  // 1.5 * 2^23: the integer part lands in the mantissa
  const FPart k = shifted - 12582912.0f;
  const FPart r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  FPart p = part_of(1.0f / 720);
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const IPart power = (__builtin_convertvector(k, IPart) + 127) << 23;
  return p * reinterpret_cast<FPart>(power);
}

// Runs f over [0, n) in whole vectors; the tail goes through a padded copy, so that every element sees the same code.
template <typename F>
inline void by_lanes(uint64_t n, F f) {
  for (uint64_t i = 0; i < n; i += kPart) f(i, n - i < kPart ? n - i : kPart);
}
inline FPart load_some(const float *from, uint64_t count) {
  if (count == kPart) return load<FPart>(from);
  FPart v{};
  std::memcpy(&v, from, count * sizeof(float));
  return v;
}
inline void store_some(float *to, FPart v, uint64_t count) {
  if (count == kPart)
    store(to, v);
  else
    std::memcpy(to, &v, count * sizeof(float));
}

void silu_mul(const float *gate, const float *up, float *out, uint64_t n) {
  by_lanes(n, [&](uint64_t i, uint64_t count) {
    const FPart g = load_some(gate + i, count), u = load_some(up + i, count);
    store_some(out + i, g / (1.0f + exp_lanes(-g)) * u, count);
  });
}

float exp_sum(float *x, uint64_t n, float maximum) {
  FPart total{};
  by_lanes(n, [&](uint64_t i, uint64_t count) {
    FPart e = exp_lanes(load_some(x + i, count) - maximum);
    for (uint64_t lane = count; lane < kPart; ++lane) e[lane] = 0;
    store_some(x + i, e, count);
    total += e;
  });
  return lanes_sum(total);
}

// Columns [begin, end) of kRows rows and one panel. Steps that the compiler knows, and four columns a turn: few
// instructions besides the products matter where another thread shares the core.
template <uint32_t kRows, bool kTurned>
void product_rows(const Product &p, const float *a, const float *b, float *out, uint64_t begin, uint64_t end) {
  constexpr uint64_t kStep = kTurned ? kLanes : 1;
  const uint64_t a_row = kTurned ? 1 : p.a_row;
  FPart sum[kRows][kParts] = {};
  if (p.add || begin > 0)
    for (uint32_t m = 0; m < kRows; ++m)
      for (uint32_t part = 0; part < kParts; ++part) sum[m][part] = load<FPart>(out + m * p.out_row + part * kPart);
#pragma GCC unroll 4
  for (uint64_t j = begin; j < end; ++j) {
    FPart lanes[kParts];
    for (uint32_t part = 0; part < kParts; ++part) lanes[part] = load<FPart>(b + j * kLanes + part * kPart);
    for (uint32_t m = 0; m < kRows; ++m) {
      const float x = a[m * a_row + j * kStep];
      for (uint32_t part = 0; part < kParts; ++part) sum[m][part] += lanes[part] * x;
    }
  }
  for (uint32_t m = 0; m < kRows; ++m)
    for (uint32_t part = 0; part < kParts; ++part) store(out + m * p.out_row + part * kPart, sum[m][part]);
}

template <bool kTurned, uint32_t kRows = kProductRows>
void product_panel(const Product &p, const float *a, const float *b, float *out, uint64_t m, uint64_t begin,
                   uint64_t end) {
  for (; m >= kRows; m -= kRows, a += kRows * (kTurned ? 1 : p.a_row), out += kRows * p.out_row)
    product_rows<kRows, kTurned>(p, a, b, out, begin, end);
  if constexpr (kRows > 1)
    if (m) product_panel<kTurned, kRows - 1>(p, a, b, out, m, begin, end);
}

// Panels by pieces of columns that stay in the first cache while all rows pass.
void product(const Product &p) {
  constexpr uint64_t kColumns = 256;
  for (uint64_t tile = 0; tile < p.n_tiles; ++tile)
    for (uint64_t begin = 0; begin < p.k; begin += kColumns) {
      const uint64_t end = begin + kColumns < p.k ? begin + kColumns : p.k;
      const float *b = p.b + tile * p.b_tile;
      float *out = p.out + tile * p.out_tile;
      p.turned ? product_panel<true>(p, p.a, b, out, p.m, begin, end)
               : product_panel<false>(p, p.a, b, out, p.m, begin, end);
    }
}

void softmax(float *scores, uint64_t n, float factor, const int32_t *last, Softmax *state) {
  for (uint32_t lane = 0; lane < kLanes; lane += kPart) {
    const IPart seen = load<IPart>(last + lane);
    const FPart before = load<FPart>(state->maximum + lane);
    FPart top = before, total{};
    for (uint64_t j = 0; j < n; ++j) {
      FPart x = load<FPart>(scores + j * kLanes + lane) * factor;
      x = seen >= static_cast<int32_t>(j) ? x : part_of(-__builtin_inff());
      store(scores + j * kLanes + lane, x);
      top = x > top ? x : top;
    }
    for (uint64_t j = 0; j < n; ++j) {
      FPart e = exp_lanes(load<FPart>(scores + j * kLanes + lane) - top);
      e = seen >= static_cast<int32_t>(j) ? e : FPart{};
      store(scores + j * kLanes + lane, e);
      total += e;
    }
    const FPart rescale = exp_lanes(before - top);
    store(state->maximum + lane, top);
    store(state->sum + lane, load<FPart>(state->sum + lane) * rescale + total);
    store(state->rescale + lane, rescale);
  }
}

}  // namespace

#define DS_TEXT_INNER(name) #name
#define DS_TEXT(name) DS_TEXT_INNER(name)
constexpr Kernels kTable = {DS_TEXT(DS_ISA_NAME), matmul,   matmul_q, quantise, dot,    axpy, dot2, axpy4, scale,
                            sum_squares,          silu_mul, exp_sum,  product,  softmax};

}  // namespace DS_ISA_NAME

#define DS_JOIN_INNER(a, b) a##b
#define DS_JOIN(a, b) DS_JOIN_INNER(a, b)
const Kernels &DS_JOIN(kernels_, DS_ISA_NAME)() { return DS_ISA_NAME::kTable; }

}  // namespace deepseam::onednn
