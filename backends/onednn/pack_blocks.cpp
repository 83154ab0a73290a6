// See pack_blocks.h.
//
// Four rows are packed together: what a word holds of each becomes one vector, so that a store fills a quarter of a
// tile's 16 lanes. Vectors are of 16 bytes, which every x86-64 has.
#include "pack_blocks.h"

#include <algorithm>
#include <cstring>

#include "sdk/k_blocks.h"

namespace deepseam::onednn {
namespace {

using sdk::StoredTensor;

constexpr uint64_t kRows = 4;
using Blocks = const uint8_t *[kRows];  // the same block of four rows

typedef uint32_t U32x4 __attribute__((vector_size(16)));
typedef uint64_t U64x2 __attribute__((vector_size(16)));
typedef uint8_t U8x16 __attribute__((vector_size(16)));

template <typename T>
T load(const uint8_t *from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <typename T>
void store(uint8_t *to, T value) {
  std::memcpy(to, &value, sizeof value);
}

U64x2 bytes_of(uint8_t byte) { return U64x2{1, 1} * (0x0101010101010101u * byte); }

// Word g of row l becomes word l of vector g.
void transpose(U32x4 (&w)[kRows]) {
  const U64x2 a = (U64x2)__builtin_shufflevector(w[0], w[1], 0, 4, 1, 5),
              b = (U64x2)__builtin_shufflevector(w[0], w[1], 2, 6, 3, 7),
              c = (U64x2)__builtin_shufflevector(w[2], w[3], 0, 4, 1, 5),
              d = (U64x2)__builtin_shufflevector(w[2], w[3], 2, 6, 3, 7);
  w[0] = (U32x4)__builtin_shufflevector(a, c, 0, 2);
  w[1] = (U32x4)__builtin_shufflevector(a, c, 1, 3);
  w[2] = (U32x4)__builtin_shufflevector(b, d, 0, 2);
  w[3] = (U32x4)__builtin_shufflevector(b, d, 1, 3);
}

// Four words of each row to the words of their lanes; `at` is the first row's lane.
void put_words(U32x4 (&rows)[kRows], uint8_t *at) {
  transpose(rows);
  for (uint64_t g = 0; g < 4; ++g) store(at + g * 4 * kLanes, rows[g]);
}

// The lower and the upper half of each 64-bit number, those of `first` in front.
U32x4 lower(U64x2 first, U64x2 second) { return __builtin_shufflevector((U32x4)first, (U32x4)second, 0, 2, 4, 6); }
U32x4 upper(U64x2 first, U64x2 second) { return __builtin_shufflevector((U32x4)first, (U32x4)second, 1, 3, 5, 7); }

// 32 numbers below 16, a byte each, as words of eight: of a byte the lower half is a number, the upper the fourth
// after.
U32x4 nibble_words(U64x2 first, U64x2 second) { return lower(first | first >> 28, second | second >> 28); }

void put_halves(const Blocks &blocks, uint64_t offset, uint8_t *at) {
  for (uint64_t l = 0; l < kRows; ++l) std::memcpy(at + l * 2, blocks[l] + offset, 2);
}

void put_q8(const Blocks &blocks, uint64_t lane, uint8_t *at) {
  put_halves(blocks, 0, at + lane * 2);
  at += kLanes * 2 + lane * 4;
  for (uint64_t half = 0; half < 2; ++half) {
    U32x4 rows[kRows];
    for (uint64_t l = 0; l < kRows; ++l) rows[l] = (U32x4)(load<U8x16>(blocks[l] + 2 + 16 * half) ^ 0x80);
    put_words(rows, at + half * 16 * kLanes);
  }
}

// 16 bytes at `offset` of each block: the lower nibbles are its first 16 columns.
void put_nibbles(const Blocks &blocks, uint64_t offset, uint8_t *at) {
  U32x4 rows[kRows];
  for (uint64_t l = 0; l < kRows; ++l) {
    const U64x2 bytes = load<U64x2>(blocks[l] + offset);
    rows[l] = nibble_words(bytes & bytes_of(15), bytes >> 4 & bytes_of(15));
  }
  put_words(rows, at);
}

// `halves`: binary16 numbers in front of the nibbles, 1 or 2.
void put_q4(const Blocks &blocks, uint64_t halves, uint64_t lane, uint8_t *at) {
  for (uint64_t i = 0; i < halves; ++i) put_halves(blocks, 2 * i, at + (i * kLanes + lane) * 2);
  put_nibbles(blocks, 2 * halves, at + kLanes * 2 * halves + lane * 4);
}

void put_q5(const Blocks &blocks, uint64_t lane, uint8_t *at) {
  put_halves(blocks, 0, at + lane * 2);
  at += kLanes * 2 + lane * 4;
  put_nibbles(blocks, 6, at);
  U32x4 high = {load<uint32_t>(blocks[0] + 2), load<uint32_t>(blocks[1] + 2), load<uint32_t>(blocks[2] + 2),
                load<uint32_t>(blocks[3] + 2)};
  // Bit 8g+4h+i goes to 8i+4h+g: two fields of two bits of its number change places.
  U32x4 swapped = (high >> 7 ^ high) & 0x00aa00aau;
  high ^= swapped ^ swapped << 7;
  swapped = (high >> 14 ^ high) & 0x0000ccccu;
  high ^= swapped ^ swapped << 14;
  store(at + 256, high);
}

// Block b's scales and minimums, a byte each.
void put_group_scales(Pack pack, const Blocks &blocks, uint64_t b, uint64_t lane, uint8_t *at) {
  for (uint64_t l = 0; l < kRows; ++l) {
    const uint8_t *block = blocks[l];
    const GroupScale by = pack == Pack::kQ6K ? GroupScale{block[192 + 2 * b], block[193 + 2 * b]}
                                             : q4_k_group(block + 4, static_cast<int>(b));
    at[lane + l] = by.scale;
    at[kLanes + lane + l] = by.minimum;
  }
}

// Bits of `width` at `shift` of 32 bytes, a column each, to bits width*g of byte i for column 8g+i.
struct HighBits {
  U32x4 first, second;  // columns 8g … 8g+3, and those after them
};
HighBits high_bits(const Blocks &blocks, uint64_t offset, int shift, int width) {
  const U64x2 mask = bytes_of(width == 1 ? 1 : 3);
  U32x4 firsts[kRows], seconds[kRows];
  for (uint64_t l = 0; l < kRows; ++l) {
    const U64x2 a = load<U64x2>(blocks[l] + offset) >> shift & mask,
                b = load<U64x2>(blocks[l] + offset + 16) >> shift & mask;
    firsts[l] = lower(a, b);
    seconds[l] = upper(a, b);
  }
  transpose(firsts);
  transpose(seconds);
  HighBits bits{firsts[0], seconds[0]};
  for (int g = 1; g < 4; ++g) {
    bits.first |= firsts[g] << (width * g);
    bits.second |= seconds[g] << (width * g);
  }
  return bits;
}

// Block b of up to 8 in 256 columns: its numbers are one nibble of 32 bytes each.
void put_k_block(Pack pack, const Blocks &blocks, uint64_t b, uint64_t lane, uint8_t *at) {
  const bool six = pack == Pack::kQ6K;
  put_group_scales(pack, blocks, b, lane, at);
  at += kLanes * 2 + lane * 4;
  const uint64_t numbers = six ? b / 4 * 64 + b % 2 * 32 : (pack == Pack::kQ5K ? 48 : 16) + b / 2 * 32;
  const int shift = (six ? b % 4 >= 2 : b % 2 == 1) ? 4 : 0;
  U32x4 rows[kRows];
  for (uint64_t l = 0; l < kRows; ++l)
    rows[l] = nibble_words(load<U64x2>(blocks[l] + numbers) >> shift & bytes_of(15),
                           load<U64x2>(blocks[l] + numbers + 16) >> shift & bytes_of(15));
  put_words(rows, at);
  if (pack == Pack::kQ4K) return;
  const HighBits high = six ? high_bits(blocks, 128 + b / 4 * 32, static_cast<int>(b % 4 * 2), 2)
                            : high_bits(blocks, 16, static_cast<int>(b), 1);
  store(at + 256, six ? high.first : high.first | high.second << 4);
  if (six) store(at + 320, high.second);
}

// Up to 256 columns, `n` blocks. `at`: the head of the tile's blocks.
void put_k(Pack pack, const Blocks &blocks, uint64_t n, uint64_t lane, uint8_t *at) {
  const BlockForm form = block_form(pack);
  put_halves(blocks, pack == Pack::kQ6K ? 208 : 0, at + lane * 2);
  if (pack != Pack::kQ6K) put_halves(blocks, 2, at + (kLanes + lane) * 2);
  at += kLanes * form.head;
  for (uint64_t b = 0; b < n; ++b, at += kLanes * form.block) put_k_block(pack, blocks, b, lane, at);
}

// How a form's blocks lie in a file: columns of one, and where its binary16 numbers are.
struct StoredForm {
  uint64_t columns, scale, other;
};
StoredForm stored_form(Pack pack) {
  switch (pack) {
    case Pack::kQ4Least:
      return {kBlock, 0, 2};
    case Pack::kQ4K:
    case Pack::kQ5K:
      return {kHeadBlocks * kBlock, 0, 2};
    case Pack::kQ6K:
      return {kHeadBlocks * kBlock, 208, 208};
    default:
      return {kBlock, 0, 0};
  }
}

bool finite(const uint8_t *half) { return (load<uint16_t>(half) & 0x7c00u) != 0x7c00u; }

// What rows beyond the matrix are packed from: blocks of zeros in each form.
void fill_zeros(Pack pack, uint8_t (&block)[256]) {
  std::memset(block, 0, sizeof block);
  if (pack == Pack::kQ4) std::memset(block + 2, 0x88, 16);
}

}  // namespace

Status not_finite(const char *role, uint64_t row, uint64_t col) {
  return fail(DS_E_MODEL, "onednn", "weight %s holds a number that is not finite at row %llu, column %llu", role,
              static_cast<unsigned long long>(row), static_cast<unsigned long long>(col));
}

Status pack_block_tile(const StoredTensor &from, uint64_t index, Pack pack, uint64_t tile, const char *role,
                       uint8_t *out) {
  const StoredForm stored = stored_form(pack);
  const BlockForm form = block_form(pack);
  const uint64_t bytes = dtype_info(from.dtype).block_bytes, first = tile * kLanes;
  const uint64_t step = kLanes * (form.head + stored.columns / kBlock * form.block);
  uint8_t zeros[256];
  fill_zeros(pack, zeros);
  for (uint64_t lane = 0; lane < kLanes; lane += kRows) {
    Blocks block;
    uint64_t step_in[kRows];
    for (uint64_t l = 0; l < kRows; ++l) {
      const uint64_t row = first + lane + l;
      block[l] = row < from.rows ? from.row_data(index, row) : zeros;
      step_in[l] = row < from.rows ? bytes : 0;
    }
    uint8_t *at = out;
    for (uint64_t col = 0; col < from.cols; col += stored.columns, at += step) {
      for (uint64_t l = 0; l < kRows; ++l) {
        for (uint64_t i = 0; i < bytes; i += 64) __builtin_prefetch(block[l] + kRows * from.row_bytes + i);
        if (!finite(block[l] + stored.scale) || !finite(block[l] + stored.other))
          return not_finite(role, first + lane + l, col);
      }
      if (form.head)
        put_k(pack, block, std::min(kHeadBlocks, blocks(from.cols - col)), lane, at);
      else if (pack == Pack::kQ8)
        put_q8(block, lane, at);
      else if (pack == Pack::kQ5)
        put_q5(block, lane, at);
      else
        put_q4(block, pack == Pack::kQ4Least ? 2 : 1, lane, at);
      for (uint64_t l = 0; l < kRows; ++l) block[l] += step_in[l];
    }
  }
  return {};
}

}  // namespace deepseam::onednn
