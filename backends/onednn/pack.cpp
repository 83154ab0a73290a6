#include "pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "sdk/half.h"

namespace deepseam::onednn {
namespace {

using sdk::StoredTensor;

constexpr uint64_t kQ8Bytes = 34, kQ4Bytes = 18, kQ4LeastBytes = 20;

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

Status block_tile(const StoredTensor &s, uint64_t index, Pack pack, uint64_t tile, const char *role, uint8_t *out) {
  const bool q8 = pack == Pack::kQ8;
  const uint64_t halves = pack == Pack::kQ4Least ? 2 : 1;
  const uint64_t stored = q8            ? kQ8Bytes
                          : halves == 2 ? kQ4LeastBytes
                                        : kQ4Bytes,
                 block_bytes = tile_bytes(pack, kBlock), first = tile * kLanes;
  uint8_t zeros[kQ8Bytes] = {};  // a block of zeros in each form
  if (pack == Pack::kQ4) std::memset(zeros + 2, 0x88, kQ4Bytes - 2);
  for (uint64_t lane = 0; lane < kLanes; ++lane) {
    const uint8_t *row = first + lane < s.rows ? s.row_data(index, first + lane) : nullptr;
    for (uint64_t b = 0; b < blocks(s.cols); ++b) {
      const uint8_t *block = row ? row + b * stored : zeros;
      if (!finite(Pack::kF16, block) || (halves == 2 && !finite(Pack::kF16, block + 2)))
        return not_finite(role, first + lane, b * kBlock);
      q8 ? put_q8(block, lane, out + b * block_bytes) : put_q4(block, halves, lane, out + b * block_bytes);
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
  const uint8_t *block = data + col / kBlock * tile_bytes(m.pack, kBlock), *words = block + kLanes * 2;
  const uint32_t e = col % kBlock;
  if (m.pack == Pack::kQ4Least) {
    words += kLanes * 2;
    const int32_t level = words[e / 8 * 64 + lane * 4 + e % 4] >> (e % 8 < 4 ? 0 : 4) & 15;
    return f16_to_f32(load16(block + lane * 2)) * static_cast<float>(level) +
           f16_to_f32(load16(block + (kLanes + lane) * 2));
  }
  const int32_t q = m.pack == Pack::kQ8 ? words[e / 4 * 64 + lane * 4 + e % 4] - 128
                                        : (words[e / 8 * 64 + lane * 4 + e % 4] >> (e % 8 < 4 ? 0 : 4) & 15) - 8;
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
      DS_TRY(block_tile(from, index, pack, tile, role, out));
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
