#include "pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "sdk/half.h"
#include "sdk/k_blocks.h"

namespace deepseam::onednn {
namespace {

using sdk::StoredTensor;

constexpr uint64_t kQ8Bytes = 34, kQ4Bytes = 18;

uint16_t load16(const uint8_t *from) {
  uint16_t bits;
  std::memcpy(&bits, from, 2);
  return bits;
}

uint32_t element_bytes(Pack pack) { return pack == Pack::kF32 ? 4 : pack == Pack::kF8 ? 1 : 2; }

Status not_finite(const char *role, uint64_t row, uint64_t col) {
  return fail(DS_E_MODEL, "onednn", "weight %s holds a number that is not finite at row %llu, column %llu", role,
              static_cast<unsigned long long>(row), static_cast<unsigned long long>(col));
}

bool finite(Pack pack, const uint8_t *at) {
  switch (pack) {
    case Pack::kF32: {
      uint32_t bits;
      std::memcpy(&bits, at, 4);
      return (bits & 0x7f800000u) != 0x7f800000u;
    }
    case Pack::kBF16:
      return (load16(at) & 0x7f80u) != 0x7f80u;
    case Pack::kF8:
      return (*at & 0x7f) != 0x7f;
    default:
      return (load16(at) & 0x7c00u) != 0x7c00u;
  }
}

// A tile of plain numbers as they are: [cols][kLanes], lanes beyond the matrix zero.
Status plain_tile(const StoredTensor &s, uint64_t index, Pack pack, uint64_t tile, const char *role, uint8_t *out) {
  const uint64_t first = tile * kLanes, lanes = std::min<uint64_t>(kLanes, s.rows - first);
  const uint32_t size = element_bytes(pack);
  if (lanes < kLanes) std::memset(out, 0, s.cols * kLanes * size);
  for (uint64_t lane = 0; lane < lanes; ++lane) {
    const uint8_t *row = s.row_data(index, first + lane);
    for (uint64_t col = 0; col < s.cols; ++col) {
      if (!finite(pack, row + col * size)) return not_finite(role, first + lane, col);
      std::memcpy(out + (col * kLanes + lane) * size, row + col * size, size);
    }
  }
  return {};
}

// One scale per block of 32 columns. The source's blocks must not cut through tiles or those columns.
Status f8_scales(const StoredTensor &s, uint64_t index, uint64_t tile, const char *role, float *out) {
  const bool rows_fit = s.scale_block_rows % kLanes == 0 || s.scale_block_rows >= s.rows;
  const bool cols_fit = s.scale_block_cols % kBlock == 0 || s.scale_block_cols >= s.cols;
  const float *scales = s.row_scales(index, tile * kLanes);
  if (scales && !(rows_fit && cols_fit))
    return fail(DS_E_UNSUPPORTED, "onednn",
                "weight %s has scales per block of %u x %u; this backend takes rows in multiples of %u and columns in "
                "multiples of %u",
                role, s.scale_block_rows, s.scale_block_cols, kLanes, kBlock);
  for (uint64_t group = 0; group < blocks(s.cols); ++group) {
    out[group] = scales ? scales[group * kBlock / s.scale_block_cols] : 1.0f;
    if (!std::isfinite(out[group])) return not_finite(role, tile * kLanes, group * kBlock);
  }
  return {};
}

// One block of 32 columns of one lane. `at` is the tile's block: scales, then words of kLanes x 4 bytes.
void put_q8(const uint8_t *block, uint64_t lane, uint8_t *at) {
  std::memcpy(at + lane * 2, block, 2);
  uint8_t *words = at + kLanes * 2;
  for (uint32_t e = 0; e < kBlock; ++e) words[(e / 4) * 64 + lane * 4 + e % 4] = block[2 + e] ^ 0x80;
}

// `halves`: binary16 numbers in front of the nibbles, 1 or 2.
void put_q4(const uint8_t *block, uint64_t halves, uint64_t lane, uint8_t *at) {
  for (uint64_t i = 0; i < halves; ++i) std::memcpy(at + (i * kLanes + lane) * 2, block + 2 * i, 2);
  uint8_t *words = at + kLanes * 2 * halves;
  block += 2 * halves;
  const auto nibble = [&](uint32_t e) { return e < 16 ? block[e] & 15 : block[e - 16] >> 4; };
  for (uint32_t group = 0; group < 4; ++group)
    for (uint32_t i = 0; i < 4; ++i)
      words[group * 64 + lane * 4 + i] = static_cast<uint8_t>(nibble(8 * group + i) | nibble(8 * group + 4 + i) << 4);
}

// Eight columns of a lane to one word of nibbles: the first four below, the others above. `up`: their nibbles are the
// upper ones of the bytes.
void put_nibbles(const uint8_t *numbers, bool up, uint64_t lane, uint64_t group, uint8_t *words) {
  uint32_t first, second;
  std::memcpy(&first, numbers, 4);
  std::memcpy(&second, numbers + 4, 4);
  const uint32_t word =
      up ? (first >> 4 & 0x0f0f0f0fu) | (second & 0xf0f0f0f0u) : (first & 0x0f0f0f0fu) | (second & 0x0f0f0f0fu) << 4;
  std::memcpy(words + group * 64 + lane * 4, &word, 4);
}

// Bits [shift, shift + width) of bytes 8g+i, for the four groups g of a block's columns: to bits width*g of byte i.
uint32_t gather_bits(const uint8_t *bytes, int shift, int width) {
  const uint32_t mask = width == 1 ? 0x01010101u : 0x03030303u;
  uint32_t bits = 0;
  for (int group = 0; group < 4; ++group) {
    uint32_t four;
    std::memcpy(&four, bytes + 8 * group, 4);
    bits |= (four >> shift & mask) << (width * group);
  }
  return bits;
}

void put_q5(const uint8_t *block, uint64_t lane, uint8_t *at) {
  std::memcpy(at + lane * 2, block, 2);
  at += kLanes * 2;
  for (uint64_t group = 0; group < 4; ++group) put_nibbles(block + 6 + group % 2 * 8, group >= 2, lane, group, at);
  uint32_t high, swapped;  // bit 8g+4h+i goes to 8i+4h+g: two fields of two bits of its number change places
  std::memcpy(&high, block + 2, 4);
  swapped = (high >> 7 ^ high) & 0x00aa00aau;
  high ^= swapped ^ swapped << 7;
  swapped = (high >> 14 ^ high) & 0x0000ccccu;
  high ^= swapped ^ swapped << 14;
  std::memcpy(at + 256 + lane * 4, &high, 4);
}

// Up to 256 columns of one lane, `n` blocks. `at`: the head of the tile's blocks.
void put_k(Pack pack, const uint8_t *block, uint64_t n, uint64_t lane, uint8_t *at) {
  const BlockForm form = block_form(pack);
  const bool six = pack == Pack::kQ6K;
  std::memcpy(at + lane * 2, block + (six ? 208 : 0), 2);
  if (!six) std::memcpy(at + kLanes * 2 + lane * 2, block + 2, 2);
  at += kLanes * form.head;
  for (uint64_t b = 0; b < n; ++b, at += kLanes * form.block) {
    const GroupScale by =
        six ? GroupScale{block[192 + 2 * b], block[193 + 2 * b]} : q4_k_group(block + 4, static_cast<int>(b));
    at[lane] = by.scale;
    at[kLanes + lane] = by.minimum;
    uint8_t *words = at + kLanes * 2;
    const uint8_t *numbers =
        six ? block + b / 4 * 64 + b % 2 * 32 : block + (pack == Pack::kQ5K ? 48 : 16) + b / 2 * 32;
    const bool up = six ? b % 4 >= 2 : b % 2 == 1;
    for (uint64_t group = 0; group < 4; ++group) put_nibbles(numbers + 8 * group, up, lane, group, words);
    if (pack == Pack::kQ4K) continue;
    const uint8_t *high = six ? block + 128 + b / 4 * 32 : block + 16;
    const int shift = static_cast<int>(six ? b % 4 * 2 : b), width = six ? 2 : 1;
    const uint32_t first = gather_bits(high, shift, width), second = gather_bits(high + 4, shift, width);
    const uint32_t low = six ? first : first | second << 4;
    std::memcpy(words + 256 + lane * 4, &low, 4);
    if (six) std::memcpy(words + 320 + lane * 4, &second, 4);
  }
}

Status k_tile(const StoredTensor &s, uint64_t index, Pack pack, uint64_t tile, const char *role, uint8_t *out) {
  const uint64_t stored = dtype_info(s.dtype).block_bytes, first = tile * kLanes;
  const BlockForm form = block_form(pack);
  const uint64_t step = kLanes * (form.head + kHeadBlocks * form.block);
  const uint64_t d = pack == Pack::kQ6K ? 208 : 0, dmin = pack == Pack::kQ6K ? 208 : 2;
  const uint8_t zeros[256] = {};
  for (uint64_t lane = 0; lane < kLanes; ++lane) {
    const uint8_t *row = first + lane < s.rows ? s.row_data(index, first + lane) : nullptr;
    for (uint64_t b = 0; b < blocks(s.cols); b += kHeadBlocks) {
      const uint8_t *block = row ? row + b / kHeadBlocks * stored : zeros;
      if (!finite(Pack::kF16, block + d) || !finite(Pack::kF16, block + dmin))
        return not_finite(role, first + lane, b * kBlock);
      put_k(pack, block, std::min(kHeadBlocks, blocks(s.cols) - b), lane, out + b / kHeadBlocks * step);
    }
  }
  return {};
}

Status block_tile(const StoredTensor &s, uint64_t index, Pack pack, uint64_t tile, const char *role, uint8_t *out) {
  const bool q8 = pack == Pack::kQ8;
  const uint64_t halves = pack == Pack::kQ4Least ? 2 : 1;
  const uint64_t stored = dtype_info(s.dtype).block_bytes, block_bytes = tile_bytes(pack, kBlock),
                 first = tile * kLanes;
  uint8_t zeros[kQ8Bytes] = {};  // a block of zeros in each form
  if (pack == Pack::kQ4) std::memset(zeros + 2, 0x88, kQ4Bytes - 2);
  for (uint64_t lane = 0; lane < kLanes; ++lane) {
    const uint8_t *row = first + lane < s.rows ? s.row_data(index, first + lane) : nullptr;
    for (uint64_t b = 0; b < blocks(s.cols); ++b) {
      const uint8_t *block = row ? row + b * stored : zeros;
      if (!finite(Pack::kF16, block) || (halves == 2 && !finite(Pack::kF16, block + 2)))
        return not_finite(role, first + lane, b * kBlock);
      uint8_t *at = out + b * block_bytes;
      if (q8)
        put_q8(block, lane, at);
      else if (pack == Pack::kQ5)
        put_q5(block, lane, at);
      else
        put_q4(block, halves, lane, at);
    }
  }
  return {};
}

void put_float(Pack pack, float value, uint8_t *at) {
  if (pack == Pack::kF32) {
    std::memcpy(at, &value, 4);
    return;
  }
  const uint16_t bits = pack == Pack::kBF16 ? f32_to_bf16(value) : f32_to_f16(value);
  std::memcpy(at, &bits, 2);
}

// Column `col` of lane `lane` of a tile.
float tile_value(const Matrix &m, uint64_t tile, uint64_t lane, uint64_t col) {
  const uint8_t *data = m.data + tile * tile_bytes(m.pack, m.cols);
  if (!quantised(m.pack)) {
    const uint8_t *at = data + (col * kLanes + lane) * element_bytes(m.pack);
    if (m.pack == Pack::kBF16) return bf16_to_f32(load16(at));
    if (m.pack == Pack::kF16) return f16_to_f32(load16(at));
    if (m.pack == Pack::kF8) return e4m3_to_f32(*at) * m.scales[tile * blocks(m.cols) + col / kBlock];
    float value;
    std::memcpy(&value, at, 4);
    return value;
  }
  const BlockForm form = block_form(m.pack);
  const uint64_t b = col / kBlock;
  const uint8_t *head = data + b / kHeadBlocks * kLanes * (form.head + kHeadBlocks * form.block);
  const uint8_t *block = data + kLanes * (b * form.block + (form.head ? b / kHeadBlocks + 1 : 0) * form.head),
                *words = block + kLanes * 2;
  const uint32_t e = col % kBlock;
  const auto four = [&] { return words[e / 8 * 64 + lane * 4 + e % 4] >> (e % 8 < 4 ? 0 : 4) & 15; };
  const auto five = [&] { return four() | (words[256 + lane * 4 + e % 4] >> (e / 8 + (e % 8 < 4 ? 0 : 4)) & 1) << 4; };
  if (m.pack == Pack::kQ5) return f16_to_f32(load16(block + lane * 2)) * static_cast<float>(five() - 16);
  if (m.pack == Pack::kQ6K) {
    const uint8_t high = words[(e % 8 < 4 ? 256 : 320) + lane * 4 + e % 4];
    const float scale =
        f16_to_f32(load16(head + lane * 2)) * static_cast<float>(static_cast<int8_t>(block[e / 16 * kLanes + lane]));
    return scale * static_cast<float>((four() | (high >> 2 * (e / 8) & 3) << 4) - 32);
  }
  if (form.head) {
    const float scale = f16_to_f32(load16(head + lane * 2)) * static_cast<float>(block[lane]);
    const float minimum = f16_to_f32(load16(head + (kLanes + lane) * 2)) * static_cast<float>(block[kLanes + lane]);
    return scale * static_cast<float>(m.pack == Pack::kQ5K ? five() : four()) - minimum;
  }
  if (m.pack == Pack::kQ4Least) {
    words += kLanes * 2;
    return f16_to_f32(load16(block + lane * 2)) * static_cast<float>(four()) +
           f16_to_f32(load16(block + (kLanes + lane) * 2));
  }
  const int32_t q = m.pack == Pack::kQ8 ? words[e / 4 * 64 + lane * 4 + e % 4] - 128 : four() - 8;
  return f16_to_f32(load16(block + lane * 2)) * static_cast<float>(q);
}

}  // namespace

Pack float_pack_of(DType dtype) {
  return dtype == DType::kBF16 ? Pack::kBF16 : dtype == DType::kF16 ? Pack::kF16 : Pack::kF32;
}

Pack pack_of(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
      return Pack::kQ8;
    case DType::kQ4_0:
      return Pack::kQ4;
    case DType::kQ4_1:
      return Pack::kQ4Least;
    case DType::kQ5_0:
      return Pack::kQ5;
    case DType::kQ4_K:
      return Pack::kQ4K;
    case DType::kQ5_K:
      return Pack::kQ5K;
    case DType::kQ6_K:
      return Pack::kQ6K;
    case DType::kF8E4M3:
      return Pack::kF8;
    default:
      return float_pack_of(dtype);
  }
}

uint64_t packed_bytes(Pack pack, uint64_t rows, uint64_t cols) {
  uint64_t bytes = tiles(rows) * tile_bytes(pack, cols);
  if (pack == Pack::kF8) bytes += tiles(rows) * blocks(cols) * sizeof(float);
  return (bytes + 63) / 64 * 64;
}

Matrix matrix_at(Pack pack, uint64_t rows, uint64_t cols, const uint8_t *memory) {
  Matrix m{pack, rows, cols, memory, nullptr};
  if (pack == Pack::kF8) m.scales = reinterpret_cast<const float *>(memory + tiles(rows) * tile_bytes(pack, cols));
  return m;
}

Status pack_tiles(const StoredTensor &from, uint64_t index, Pack pack, uint64_t first, uint64_t count, const char *role,
                  uint8_t *memory) {
  const uint64_t bytes = tile_bytes(pack, from.cols);
  float *scales = reinterpret_cast<float *>(memory + tiles(from.rows) * bytes);
  for (uint64_t tile = first; tile < first + count; ++tile) {
    uint8_t *out = memory + tile * bytes;
    if (quantised(pack)) {
      DS_TRY((block_form(pack).head ? k_tile : block_tile)(from, index, pack, tile, role, out));
      continue;
    }
    DS_TRY(plain_tile(from, index, pack, tile, role, out));
    if (pack == Pack::kF8) DS_TRY(f8_scales(from, index, tile, role, scales + tile * blocks(from.cols)));
  }
  return {};
}

Status pack_rows(const StoredTensor &from, uint64_t first, uint64_t n_rows, bool transpose, Pack pack, const char *role,
                 uint8_t *memory) {
  const uint64_t out_rows = transpose ? from.cols : n_rows, out_cols = transpose ? n_rows : from.cols;
  const uint64_t bytes = tile_bytes(pack, out_cols), size = element_bytes(pack);
  std::memset(memory, 0, tiles(out_rows) * bytes);
  std::vector<float> values(from.cols);
  for (uint64_t row = 0; row < n_rows; ++row) {
    from.decode(0, first + row, values.data());
    for (uint64_t col = 0; col < from.cols; ++col) {
      if (!std::isfinite(values[col])) return not_finite(role, first + row, col);
      const uint64_t to_row = transpose ? col : row, to_col = transpose ? row : col;
      put_float(pack, values[col], memory + to_row / kLanes * bytes + (to_col * kLanes + to_row % kLanes) * size);
    }
  }
  return {};
}

void unpack_tiles(const Matrix &from, uint64_t first_tile, uint64_t n_tiles, float *out) {
  for (uint64_t tile = first_tile; tile < first_tile + n_tiles; ++tile) {
    const uint64_t lanes = std::min<uint64_t>(kLanes, from.rows - tile * kLanes);
    for (uint64_t lane = 0; lane < lanes; ++lane, out += from.cols)
      for (uint64_t col = 0; col < from.cols; ++col) out[col] = tile_value(from, tile, lane, col);
  }
}

void unpack_panels(const Matrix &from, bool transpose, float *out) {
  if (transpose) std::memset(out, 0, tiles(from.cols) * from.rows * kLanes * sizeof(float));
  for (uint64_t tile = 0; tile < tiles(from.rows); ++tile) {
    const uint64_t lanes = std::min<uint64_t>(kLanes, from.rows - tile * kLanes);
    for (uint64_t col = 0; col < from.cols; ++col) {
      float column[kLanes] = {};
      if (from.pack == Pack::kF32)
        std::memcpy(column, from.data + (tile * from.cols + col) * sizeof column, sizeof column);
      else
        for (uint64_t lane = 0; lane < lanes; ++lane) column[lane] = tile_value(from, tile, lane, col);
      if (!transpose) {
        std::memcpy(out + (tile * from.cols + col) * kLanes, column, sizeof column);
        continue;
      }
      float *to = out + (col / kLanes * from.rows + tile * kLanes) * kLanes + col % kLanes;
      for (uint64_t lane = 0; lane < lanes; ++lane) to[lane * kLanes] = column[lane];
    }
  }
}

}  // namespace deepseam::onednn
