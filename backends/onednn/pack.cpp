#include "pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "pack_blocks.h"
#include "sdk/half.h"

namespace deepseam::onednn {
namespace {

using sdk::StoredTensor;

uint16_t load16(const uint8_t *from) {
  uint16_t bits;
  std::memcpy(&bits, from, 2);
  return bits;
}

uint32_t element_bytes(Pack pack) { return pack == Pack::kF32 ? 4 : pack == Pack::kF8 ? 1 : 2; }

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

// Tiles, and kF8's scales behind them.
uint64_t used_bytes(Pack pack, uint64_t rows, uint64_t cols) {
  return tiles(rows) * (tile_bytes(pack, cols) + (pack == Pack::kF8 ? blocks(cols) * sizeof(float) : 0));
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

uint64_t packed_bytes(Pack pack, uint64_t rows, uint64_t cols) { return (used_bytes(pack, rows, cols) + 63) / 64 * 64; }

void clear_padding(Pack pack, uint64_t rows, uint64_t cols, uint8_t *memory) {
  const uint64_t used = used_bytes(pack, rows, cols);
  std::memset(memory + used, 0, packed_bytes(pack, rows, cols) - used);
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
      DS_TRY(pack_block_tile(from, index, pack, tile, role, out));
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
  clear_padding(pack, out_rows, out_cols, memory);
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
