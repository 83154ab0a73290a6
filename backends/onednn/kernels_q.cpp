// Products with the block formats, and the int8 form of activations: compiled once per instruction set like
// kernels.cpp.
//
// Only the int8 products are spelled per set: VNNI where there is one, and products of bytes into 16 bits for AVX2. All
// give the same integers, and the same float products join the blocks in column order.
#include "lanes.h"

namespace deepseam::onednn {
namespace DS_ISA_NAME {
namespace {

#if defined(__AVX512F__)
constexpr uint32_t kQuantRowsAtOnce = 8;
#elif defined(__AVX2__)
constexpr uint32_t kQuantRowsAtOnce = 4;
#else
constexpr uint32_t kQuantRowsAtOnce = 2;
#endif

constexpr bool has_groups(Pack pack) { return pack == Pack::kQ4K || pack == Pack::kQ5K; }  // 6-bit scales and minima
constexpr bool has_least(Pack pack) { return pack == Pack::kQ4Least || has_groups(pack); }

// 16-bit floats by moving exponent and mantissa into place and rescaling: exact, subnormals included.
inline F32x16 f16_lanes(const uint8_t *from) {
  const U32x16 bits = __builtin_convertvector(load<U16x16>(from), U32x16);
  const U32x16 placed = (bits & 0x8000u) << 16 | (bits & 0x7fffu) << 13;
  return reinterpret_cast<F32x16>(placed) * 0x1p112f;
}

#if defined(__AVX2__) && !defined(__AVX512F__)

inline __m256i bytes_at(const void *from) { return _mm256_loadu_si256(static_cast<const __m256i *>(from)); }
inline __m256 eight_halves(const void *from) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i *>(from)));
}
inline __m256 eight_bytes(const void *from) {
  return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i *>(from))));
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

// The bits above the nibbles of word `word` go where they belong, fifth ones alone or fifth and sixth. (kernels.h)
inline __m256i fifth(__m256i nibbles, __m256i high) {
  return _mm256_or_si256(nibbles, _mm256_and_si256(high, _mm256_set1_epi8(16)));
}
inline __m256i fifth_sixth(__m256i nibbles, __m256i high) {
  return _mm256_or_si256(nibbles, _mm256_and_si256(high, _mm256_set1_epi8(48)));
}

// 5 bits, eight lanes: 8 products of a 16-bit sum, 8 * 31 * 127 < 2^15, so it is widened twice a block.
template <uint32_t kRows, int32_t kOffset>
inline void block_q5(const uint8_t *at, uint64_t block, const QuantRow *x, __m256i (&sum)[kRows]) {
  const __m256i nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1), high = bytes_at(at + 256);
  for (uint32_t m = 0; m < kRows; ++m) sum[m] = _mm256_set1_epi32(kOffset ? -kOffset * x[m].sum[block] : 0);
#pragma GCC unroll 2
  for (int part = 0; part < 2; ++part) {
    __m256i some[kRows];
    for (uint32_t m = 0; m < kRows; ++m) some[m] = _mm256_setzero_si256();
#pragma GCC unroll 2
    for (int word = 2 * part; word < 2 * part + 2; ++word) {
      const __m256i bytes = bytes_at(at + 64 * word);
      const __m256i low = fifth(_mm256_and_si256(bytes, nibble), _mm256_slli_epi16(high, 4 - word));
      const __m256i up = fifth(_mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble), _mm256_srli_epi16(high, word));
      for (uint32_t m = 0; m < kRows; ++m) {
        const int8_t *q = x[m].q + block * kBlock + 8 * word;
        some[m] = _mm256_add_epi16(some[m], _mm256_maddubs_epi16(low, four_columns(q)));
        keep(some[m]);
        some[m] = _mm256_add_epi16(some[m], _mm256_maddubs_epi16(up, four_columns(q + 4)));
        keep(some[m]);
      }
    }
    for (uint32_t m = 0; m < kRows; ++m) sum[m] = _mm256_add_epi32(sum[m], _mm256_madd_epi16(some[m], ones));
  }
}

// Sums of the first 16 activations of a block, in the lower half of each word, and of the others.
inline __m256i two_sums(const int8_t *q) {
  const __m256i pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes_at(q));
  __m256i sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0x4e));
  sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, 0xb1));
  const __m128i others = _mm_slli_epi32(_mm256_extracti128_si256(sums, 1), 16);
  return _mm256_broadcastsi128_si256(_mm_blend_epi16(_mm256_castsi256_si128(sums), others, 0xaa));
}

// Words of two 16-bit numbers, given as 32-bit ones.
inline __m256i two_words(__m256i lower, __m256i upper) {
  return _mm256_blend_epi16(lower, _mm256_slli_epi32(upper, 16), 0xaa);
}

// 6 bits, eight lanes: four products fit a 16-bit sum, 4 * 63 * 127 < 2^15, which is multiplied by the scale where it
// is widened. What levels are above the stored numbers, 32 a column, is taken off with the activations' own sums, of
// the 16 columns that share a scale (two_sums). `scales`: those of the first 16 columns, 16 bytes on those of the
// others.
template <uint32_t kRows>
inline void block_q6(const uint8_t *scales, const uint8_t *at, uint64_t block, const QuantRow *x,
                     const __m256i (&own)[kRows], __m256i (&sum)[kRows]) {
  const __m256i nibble = _mm256_set1_epi8(15), high_low = bytes_at(at + 256), high_up = bytes_at(at + 320);
  __m256i scale[2];
  for (uint32_t part = 0; part < 2; ++part)
    scale[part] = _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(scales + 16 * part)));
  const __m256i both = two_words(scale[0], scale[1]);
  for (uint32_t m = 0; m < kRows; ++m)
    sum[m] = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(_mm256_madd_epi16(both, own[m]), 5));
#pragma GCC unroll 4
  for (int word = 0; word < 4; ++word) {
    const auto placed = [&](__m256i high) {
      return word == 3 ? _mm256_srli_epi16(high, 2) : _mm256_slli_epi16(high, 4 - 2 * word);
    };
    const __m256i bytes = bytes_at(at + 64 * word), twice = two_words(scale[word / 2], scale[word / 2]);
    const __m256i low = fifth_sixth(_mm256_and_si256(bytes, nibble), placed(high_low));
    const __m256i up = fifth_sixth(_mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble), placed(high_up));
    for (uint32_t m = 0; m < kRows; ++m) {
      const int8_t *q = x[m].q + block * kBlock + 8 * word;
      const __m256i four =
          _mm256_add_epi16(_mm256_maddubs_epi16(low, four_columns(q)), _mm256_maddubs_epi16(up, four_columns(q + 4)));
      sum[m] = _mm256_add_epi32(sum[m], _mm256_madd_epi16(four, twice));
      keep(sum[m]);
    }
  }
}

// Integer sums of one block, in both halves of the lanes.
template <Pack kPack, uint32_t kRows>
inline void block_sums(const uint8_t *at, uint64_t block, const QuantRow *x, __m256i (&sum)[2][kRows]) {
  if constexpr (kPack == Pack::kQ8) {
    block_q8<kRows>(at + kLanes * 2, block, x, sum);
  } else if constexpr (kPack == Pack::kQ4 || kPack == Pack::kQ4Least || kPack == Pack::kQ4K) {
    block_q4<kRows, has_least(kPack)>(at + kLanes * (kPack == Pack::kQ4Least ? 4 : 2), block, x, sum);
  } else if constexpr (kPack == Pack::kQ6K) {
    __m256i own[kRows];
    for (uint32_t m = 0; m < kRows; ++m) own[m] = two_sums(x[m].q + block * kBlock);
    for (uint32_t half = 0; half < 2; ++half)
      block_q6<kRows>(at + 8 * half, at + kLanes * 2 + 32 * half, block, x, own, sum[half]);
  } else {
    for (uint32_t half = 0; half < 2; ++half)
      block_q5<kRows, kPack == Pack::kQ5 ? 16 : 0>(at + kLanes * 2 + 32 * half, block, x, sum[half]);
  }
}

// Integer sums per block of 32 columns, then one float product per block, in column order.
template <Pack kPack, uint32_t kRows>
void quant_tile(const Matrix &w, uint64_t tile, const QuantRow *x, float *const *y) {
  constexpr BlockForm kForm = block_form(kPack);
  const uint8_t *at = w.data + tile * tile_bytes(kPack, w.cols);
  __m256 total[2][kRows], d[2] = {}, dmin[2] = {};  // the last two: of kHeadBlocks blocks, where there are such
  for (uint32_t m = 0; m < kRows; ++m) total[0][m] = total[1][m] = _mm256_setzero_ps();
  for (uint64_t block = 0; block < blocks(w.cols); ++block, at += kLanes * kForm.block) {
    if (kForm.head && block % kHeadBlocks == 0) {
      for (uint32_t half = 0; half < 2; ++half) {
        d[half] = eight_halves(at + 16 * half);
        if constexpr (has_groups(kPack)) dmin[half] = eight_halves(at + kLanes * 2 + 16 * half);
      }
      at += kLanes * kForm.head;
    }
    __m256i sum[2][kRows];
    block_sums<kPack, kRows>(at, block, x, sum);
    for (uint32_t half = 0; half < 2; ++half) {
      __m256 scale, least;
      if constexpr (has_groups(kPack)) {
        scale = _mm256_mul_ps(d[half], eight_bytes(at + 8 * half));
        least = _mm256_mul_ps(dmin[half], eight_bytes(at + kLanes + 8 * half));
      } else if constexpr (kForm.head) {
        scale = d[half];
      } else {
        scale = eight_halves(at + 16 * half);
        if constexpr (kPack == Pack::kQ4Least) least = eight_halves(at + kLanes * 2 + 16 * half);
      }
      for (uint32_t m = 0; m < kRows; ++m) {
        const __m256 factor = _mm256_mul_ps(scale, _mm256_set1_ps(x[m].scale[block]));
        total[half][m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[half][m]), factor, total[half][m]);
        if constexpr (!has_least(kPack)) continue;
        const __m256 row = _mm256_set1_ps(x[m].scale[block] * static_cast<float>(x[m].sum[block]));
        if constexpr (has_groups(kPack))
          total[half][m] = _mm256_fnmadd_ps(least, row, total[half][m]);
        else
          total[half][m] = _mm256_fmadd_ps(least, row, total[half][m]);
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

inline F32x16 byte_lanes(const uint8_t *from) { return __builtin_convertvector(load<U8x16>(from), F32x16); }

// Integer sums of one block of 32 columns; `at`: where its scales begin.
template <Pack kPack, uint32_t kRows>
inline void block_sums(const uint8_t *at, uint64_t block, const QuantRow *x, I32x16 (&sum)[kRows]) {
  constexpr int32_t kOffset = kPack == Pack::kQ8 ? 128 : kPack == Pack::kQ4 ? 8 : kPack == Pack::kQ5 ? 16 : 0;
  const uint8_t *scales = at;
  at += kLanes * (kPack == Pack::kQ4Least ? 4 : 2);
  for (uint32_t m = 0; m < kRows; ++m) sum[m] = I32x16{} - kOffset * x[m].sum[block];
  if constexpr (kPack == Pack::kQ8) {
    for (uint32_t word = 0; word < 8; ++word, at += 64)
      for (uint32_t m = 0; m < kRows; ++m) sum[m] = dot4(sum[m], load<U32x16>(at), x[m].q + block * kBlock + 4 * word);
    return;
  }
  I32x16 some[kRows] = {}, whole[kRows] = {};  // kQ6K: of 16 columns, and of their activations 32 times
  for (uint32_t word = 0; word < 4; ++word) {
    const U32x16 bits = load<U32x16>(at + 64 * word);
    U32x16 low = bits & 0x0f0f0f0fu, high = bits >> 4 & 0x0f0f0f0fu;
    if constexpr (kPack == Pack::kQ5 || kPack == Pack::kQ5K) {
      const U32x16 fifth = load<U32x16>(at + 256);
      low |= fifth << (4 - word) & 0x10101010u;
      high |= fifth >> word & 0x10101010u;
    }
    if constexpr (kPack == Pack::kQ6K) {
      low |= (load<U32x16>(at + 256) >> 2 * word & 0x03030303u) << 4;
      high |= (load<U32x16>(at + 320) >> 2 * word & 0x03030303u) << 4;
    }
    for (uint32_t m = 0; m < kRows; ++m) {
      const int8_t *q = x[m].q + block * kBlock + 8 * word;
      if constexpr (kPack == Pack::kQ6K) {
        const U32x16 middle = U32x16{} + 0x20202020u;
        some[m] = dot4(dot4(some[m], low, q), high, q + 4);
        whole[m] = dot4(dot4(whole[m], middle, q), middle, q + 4);
        if (word % 2 == 0) continue;
        sum[m] += (some[m] - whole[m]) * __builtin_convertvector(load<I8x16>(scales + word / 2 * kLanes), I32x16);
        some[m] = whole[m] = I32x16{};
      } else {
        sum[m] = dot4(dot4(sum[m], low, q), high, q + 4);
      }
    }
  }
}

// Integer sums per block of 32 columns, then one float product per block, in column order.
template <Pack kPack, uint32_t kRows>
void quant_tile(const Matrix &w, uint64_t tile, const QuantRow *x, float *const *y) {
  constexpr BlockForm kForm = block_form(kPack);
  const uint8_t *at = w.data + tile * tile_bytes(kPack, w.cols);
  F32x16 total[kRows] = {}, d{}, dmin{};  // the last two: of kHeadBlocks blocks, where there are such
  for (uint64_t block = 0; block < blocks(w.cols); ++block, at += kLanes * kForm.block) {
    if (kForm.head && block % kHeadBlocks == 0) {
      d = f16_lanes(at);
      if constexpr (has_groups(kPack)) dmin = f16_lanes(at + kLanes * 2);
      at += kLanes * kForm.head;
    }
    F32x16 scale = d, least{};
    if constexpr (has_groups(kPack)) {
      scale = d * byte_lanes(at);
      least = -(dmin * byte_lanes(at + kLanes));
    } else if constexpr (!kForm.head) {
      scale = f16_lanes(at);
      if constexpr (kPack == Pack::kQ4Least) least = f16_lanes(at + kLanes * 2);
    }
    I32x16 sum[kRows];
    block_sums<kPack, kRows>(at, block, x, sum);
    for (uint32_t m = 0; m < kRows; ++m) {
      total[m] += __builtin_convertvector(sum[m], F32x16) * (scale * x[m].scale[block]);
      if constexpr (has_least(kPack)) total[m] += least * (x[m].scale[block] * static_cast<float>(x[m].sum[block]));
    }
  }
  for (uint32_t m = 0; m < kRows; ++m) put_tile({total[m]}, y[m], tile, w.rows);
}

#endif

template <Pack kPack, uint32_t kRows = kQuantRowsAtOnce>
void quant_rows(const Matrix &w, uint64_t tile, const QuantRow *x, float *const *y, uint32_t n_rows) {
  for (; n_rows >= kRows; n_rows -= kRows, x += kRows, y += kRows) quant_tile<kPack, kRows>(w, tile, x, y);
  if constexpr (kRows > 1)
    if (n_rows) quant_rows<kPack, kRows - 1>(w, tile, x, y, n_rows);
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

}  // namespace

void matmul_q(const Matrix &w, uint64_t first, uint64_t count, const QuantRow *x, float *const *y, uint32_t n_rows) {
  const auto each_tile = [&](auto rows) {
    for (uint64_t tile = first; tile < first + count; ++tile) rows(w, tile, x, y, n_rows);
  };
  switch (w.pack) {
    case Pack::kQ8:
      return each_tile(quant_rows<Pack::kQ8>);
    case Pack::kQ4Least:
      return each_tile(quant_rows<Pack::kQ4Least>);
    case Pack::kQ5:
      return each_tile(quant_rows<Pack::kQ5>);
    case Pack::kQ4K:
      return each_tile(quant_rows<Pack::kQ4K>);
    case Pack::kQ5K:
      return each_tile(quant_rows<Pack::kQ5K>);
    case Pack::kQ6K:
      return each_tile(quant_rows<Pack::kQ6K>);
    default:
      return each_tile(quant_rows<Pack::kQ4>);
  }
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

}  // namespace DS_ISA_NAME
}  // namespace deepseam::onednn
