#include "pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"

namespace deepseam::onednn {
namespace {

constexpr uint64_t kQ8Bytes = 34, kQ4Bytes = 18;

uint16_t load16(const uint8_t *from) {
  uint16_t bits;
  std::memcpy(&bits, from, 2);
  return bits;
}

uint64_t stored_row_bytes(const Stored &s) {
  const uint64_t blocks = (s.cols + kBlock - 1) / kBlock;
  switch (s.dtype) {
    case DSB_F32:
      return s.cols * 4;
    case DSB_F16:
    case DSB_BF16:
      return s.cols * 2;
    case DSB_Q8_0:
      return blocks * kQ8Bytes;
    case DSB_Q4_0:
      return blocks * kQ4Bytes;
    default:
      return s.cols;
  }
}

uint32_t element_bytes(Pack pack) { return pack == Pack::kF32 ? 4 : pack == Pack::kF8 ? 1 : 2; }

// The stored bits of one plain number are finite.
bool finite_bits(uint32_t dtype, const uint8_t *at) {
  switch (dtype) {
    case DSB_F32: {
      uint32_t bits;
      std::memcpy(&bits, at, 4);
      return (bits & 0x7f800000u) != 0x7f800000u;
    }
    case DSB_F16:
      return (load16(at) & 0x7c00u) != 0x7c00u;
    case DSB_BF16:
      return (load16(at) & 0x7f80u) != 0x7f80u;
    default:
      return (*at & 0x7f) != 0x7f;
  }
}

// A tile of a plain format kept as it is: [cols][kLanes] elements, lanes beyond the matrix zero.
BadNumber copy_tile(const Stored &s, uint64_t tile, uint32_t size, uint8_t *out) {
  const uint64_t first = tile * kLanes, lanes = std::min<uint64_t>(kLanes, s.rows - first);
  const uint64_t row_bytes = s.cols * size;
  if (lanes < kLanes) std::memset(out, 0, s.cols * kLanes * size);
  for (uint64_t lane = 0; lane < lanes; ++lane) {
    const uint8_t *row = s.data + (first + lane) * row_bytes;
    for (uint64_t col = 0; col < s.cols; ++col) {
      if (!finite_bits(s.dtype, row + col * size)) return {true, first + lane, col};
      std::memcpy(out + (col * kLanes + lane) * size, row + col * size, size);
    }
  }
  return {};
}

// One block of 32 columns of one lane. `at` is the tile's block: scales, then words of kLanes x 4 bytes.
void put_q8(const uint8_t *block, uint64_t lane, uint8_t *at) {
  std::memcpy(at + lane * 2, block, 2);
  uint8_t *words = at + kLanes * 2;
  for (uint32_t e = 0; e < kBlock; ++e) words[(e / 4) * 64 + lane * 4 + e % 4] = block[2 + e] ^ 0x80;
}

void put_q4(const uint8_t *block, uint64_t lane, uint8_t *at) {
  std::memcpy(at + lane * 2, block, 2);
  uint8_t *words = at + kLanes * 2;
  const auto nibble = [&](uint32_t e) -> uint8_t { return e < 16 ? block[2 + e] & 15 : block[2 + e - 16] >> 4; };
  for (uint32_t group = 0; group < 4; ++group)
    for (uint32_t i = 0; i < 4; ++i)
      words[group * 64 + lane * 4 + i] = static_cast<uint8_t>(nibble(8 * group + i) | nibble(8 * group + 4 + i) << 4);
}

BadNumber block_tile(const Stored &s, Pack pack, uint64_t tile, uint8_t *out) {
  const bool q8 = pack == Pack::kQ8;
  const uint64_t blocks = (s.cols + kBlock - 1) / kBlock, stored = q8 ? kQ8Bytes : kQ4Bytes;
  const uint64_t block_bytes = tile_bytes(pack, kBlock), first = tile * kLanes;
  const uint8_t zero_q8[kQ8Bytes] = {};
  uint8_t zero_q4[kQ4Bytes];
  std::memset(zero_q4, 0x88, sizeof zero_q4);
  zero_q4[0] = zero_q4[1] = 0;
  for (uint64_t lane = 0; lane < kLanes; ++lane) {
    const bool inside = first + lane < s.rows;
    const uint8_t *row = inside ? s.data + (first + lane) * blocks * stored : nullptr;
    for (uint64_t b = 0; b < blocks; ++b) {
      const uint8_t *block = inside ? row + b * stored : q8 ? zero_q8 : zero_q4;
      if (!finite_bits(DSB_F16, block)) return {true, first + lane, b * kBlock};
      q8 ? put_q8(block, lane, out + b * block_bytes) : put_q4(block, lane, out + b * block_bytes);
    }
  }
  return {};
}

float scale_at(const Stored &s, uint64_t row, uint64_t col) {
  if (!s.scales) return 1.0f;
  const uint64_t across = (s.cols + s.block_cols - 1) / s.block_cols;
  return s.scales[row / s.block_rows * across + col / s.block_cols];
}

void put_float(Pack pack, float value, uint8_t *at) {
  if (pack == Pack::kF32) {
    std::memcpy(at, &value, 4);
    return;
  }
  const uint16_t bits = pack == Pack::kBF16 ? f32_to_bf16(value) : f32_to_f16(value);
  std::memcpy(at, &bits, 2);
}

float get_float(Pack pack, const uint8_t *at) {
  if (pack == Pack::kBF16) return bf16_to_f32(load16(at));
  if (pack == Pack::kF16) return f16_to_f32(load16(at));
  if (pack == Pack::kF8) return e4m3_to_f32(*at);
  float value;
  std::memcpy(&value, at, 4);
  return value;
}

}  // namespace

Pack float_pack_of(uint32_t dtype) {
  return dtype == DSB_BF16 ? Pack::kBF16 : dtype == DSB_F16 ? Pack::kF16 : Pack::kF32;
}

Pack pack_of(uint32_t dtype, uint32_t block_rows) {
  if (dtype == DSB_Q8_0) return Pack::kQ8;
  if (dtype == DSB_Q4_0) return Pack::kQ4;
  if (dtype == DSB_F8_E4M3) return block_rows % kLanes == 0 ? Pack::kF8 : Pack::kF32;
  return float_pack_of(dtype);
}

uint64_t packed_bytes(Pack pack, uint64_t rows, uint64_t cols, uint32_t scale_cols) {
  uint64_t bytes = tiles(rows) * tile_bytes(pack, cols);
  if (pack == Pack::kF8) bytes += tiles(rows) * ((cols + scale_cols - 1) / scale_cols) * sizeof(float);
  return (bytes + 63) / 64 * 64;
}

Matrix matrix_at(Pack pack, uint64_t rows, uint64_t cols, uint32_t scale_cols, const uint8_t *memory) {
  Matrix m{pack, scale_cols, rows, cols, memory, nullptr};
  if (pack == Pack::kF8) m.scales = reinterpret_cast<const float *>(memory + tiles(rows) * tile_bytes(pack, cols));
  return m;
}

void stored_row(const Stored &s, uint64_t row, uint64_t begin, uint64_t n, float *out) {
  const uint8_t *at = s.data + row * stored_row_bytes(s);
  switch (s.dtype) {
    case DSB_F32:
      std::memcpy(out, at + begin * 4, n * 4);
      return;
    case DSB_F16:
      for (uint64_t i = 0; i < n; ++i) out[i] = f16_to_f32(load16(at + (begin + i) * 2));
      return;
    case DSB_BF16:
      for (uint64_t i = 0; i < n; ++i) out[i] = bf16_to_f32(load16(at + (begin + i) * 2));
      return;
    case DSB_Q8_0:
      for (uint64_t i = 0; i < n; ++i) {
        const uint8_t *block = at + (begin + i) / kBlock * kQ8Bytes;
        out[i] = f16_to_f32(load16(block)) * static_cast<int8_t>(block[2 + (begin + i) % kBlock]);
      }
      return;
    case DSB_Q4_0:
      for (uint64_t i = 0; i < n; ++i) {
        const uint8_t *block = at + (begin + i) / kBlock * kQ4Bytes;
        const uint32_t e = (begin + i) % kBlock, byte = block[2 + e % 16];
        out[i] = f16_to_f32(load16(block)) * (static_cast<int32_t>(e < 16 ? byte & 15 : byte >> 4) - 8);
      }
      return;
    default:
      for (uint64_t i = 0; i < n; ++i) out[i] = e4m3_to_f32(at[begin + i]) * scale_at(s, row, begin + i);
  }
}

BadNumber pack_tiles(const Stored &s, Pack pack, uint8_t *memory, uint64_t first, uint64_t count) {
  const uint64_t bytes = tile_bytes(pack, s.cols);
  for (uint64_t tile = first; tile < first + count; ++tile) {
    BadNumber bad;
    uint8_t *out = memory + tile * bytes;
    if (quantised(pack)) {
      bad = block_tile(s, pack, tile, out);
    } else if (s.dtype == DSB_F8_E4M3 && pack == Pack::kF32) {
      const uint64_t row = tile * kLanes, n = std::min<uint64_t>(kLanes, s.rows - row);
      std::memset(out, 0, bytes);
      std::vector<float> values(s.cols);
      for (uint64_t lane = 0; lane < n && !bad.found; ++lane) {
        stored_row(s, row + lane, 0, s.cols, values.data());
        for (uint64_t col = 0; col < s.cols; ++col) {
          if (!std::isfinite(values[col])) bad = {true, row + lane, col};
          put_float(pack, values[col], out + (col * kLanes + lane) * 4);
        }
      }
    } else {
      bad = copy_tile(s, tile, element_bytes(pack), out);
      if (pack == Pack::kF8) {
        const uint64_t groups = (s.cols + s.block_cols - 1) / s.block_cols;
        uint8_t *scales = memory + tiles(s.rows) * bytes + tile * groups * sizeof(float);
        for (uint64_t g = 0; g < groups; ++g) {
          const float scale = scale_at(s, tile * kLanes, g * s.block_cols);
          if (!std::isfinite(scale)) bad = {true, tile * kLanes, g * s.block_cols};
          std::memcpy(scales + g * sizeof(float), &scale, sizeof scale);
        }
      }
    }
    if (bad.found) return bad;
  }
  return {};
}

BadNumber pack_region(const Stored &s, const Region &r, Pack pack, uint8_t *memory) {
  const uint64_t out_rows = r.transpose ? r.n_cols : r.n_rows, out_cols = r.transpose ? r.n_rows : r.n_cols;
  const uint64_t bytes = tile_bytes(pack, out_cols), size = element_bytes(pack);
  std::memset(memory, 0, tiles(out_rows) * bytes);
  std::vector<float> values(s.cols);
  for (uint64_t row = 0; row < r.n_rows; ++row) {
    stored_row(s, r.first_row + row, 0, s.cols, values.data());
    for (uint64_t col = 0; col < r.n_cols; ++col) {
      const float value = values[r.first_col + col];
      if (!std::isfinite(value)) return {true, r.first_row + row, r.first_col + col};
      const uint64_t to_row = r.transpose ? col : row, to_col = r.transpose ? row : col;
      put_float(pack, value, memory + to_row / kLanes * bytes + (to_col * kLanes + to_row % kLanes) * size);
    }
  }
  return {};
}

void unpack_rows(const Matrix &m, uint64_t first_tile, uint64_t n_tiles, float *out) {
  const uint64_t bytes = tile_bytes(m.pack, m.cols), size = element_bytes(m.pack);
  for (uint64_t t = 0; t < n_tiles; ++t) {
    const uint8_t *tile = m.data + (first_tile + t) * bytes;
    const uint64_t lanes = std::min<uint64_t>(kLanes, m.rows - (first_tile + t) * kLanes);
    for (uint64_t lane = 0; lane < lanes; ++lane, out += m.cols) {
      if (m.pack == Pack::kQ8 || m.pack == Pack::kQ4) {
        for (uint64_t col = 0; col < m.cols; ++col) {
          const uint8_t *block = tile + col / kBlock * tile_bytes(m.pack, kBlock);
          const uint8_t *words = block + kLanes * 2;
          const uint32_t e = col % kBlock;
          const int32_t q = m.pack == Pack::kQ8
                                ? words[e / 4 * 64 + lane * 4 + e % 4] - 128
                                : (words[e / 8 * 64 + lane * 4 + e % 4] >> (e % 8 < 4 ? 0 : 4) & 15) - 8;
          out[col] = f16_to_f32(load16(block + lane * 2)) * static_cast<float>(q);
        }
        continue;
      }
      for (uint64_t col = 0; col < m.cols; ++col) out[col] = get_float(m.pack, tile + (col * kLanes + lane) * size);
      if (m.pack != Pack::kF8) continue;
      const float *scales = m.scales + (first_tile + t) * ((m.cols + m.scale_cols - 1) / m.scale_cols);
      for (uint64_t col = 0; col < m.cols; ++col) out[col] *= scales[col / m.scale_cols];
    }
  }
}

}  // namespace deepseam::onednn
