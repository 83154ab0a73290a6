// The fixed part of a .dsm file: its 128-byte header, read and written in one place. Private to dsm_read and dsm_write.
//
//   0 magic[8] · 8 version u32 · 12 header bytes u32 · 16 incompat u64 · 24 compat u64 · 32 directory offset u64
//   40 directory bytes u64 · 48 directory hash 16 · 64 file bytes u64 · 72 zeros · 120 hash u64 of bytes 0 … 119
//
// All numbers are little-endian. A reader refuses incompat bits that it does not know and ignores such compat bits.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/hash.h"
#include "format/dsm.h"

namespace deepseam {

inline constexpr uint64_t kDsmHeaderBytes = 128;
inline constexpr uint64_t kDsmKnownIncompat = 0;
inline constexpr uint64_t kDsmMaxDirectory = uint64_t{256} << 20;
inline constexpr uint64_t kDsmMaxTensors = 1u << 20;
inline constexpr uint64_t kDsmMaxHints = 4096;
inline constexpr uint64_t kDsmMaxName = 1024;
inline constexpr uint64_t kDsmMaxDim = uint64_t{1} << 40;

struct DsmHeader {
  uint32_t version = kDsmVersion;
  uint32_t header_bytes = kDsmHeaderBytes;
  uint64_t incompat = 0, compat = 0;
  uint64_t directory_offset = 0, directory_bytes = 0;
  Hash128 directory_hash;
  uint64_t file_bytes = 0;
};

// The library is for little-endian targets only, so fields are copied as they are.
inline void store_dsm_header(const DsmHeader &header, uint8_t (&out)[kDsmHeaderBytes]) {
  std::memset(out, 0, sizeof out);
  std::memcpy(out, kDsmMagic, 8);
  std::memcpy(out + 8, &header.version, 4);
  std::memcpy(out + 12, &header.header_bytes, 4);
  const uint64_t words[] = {header.incompat,           header.compat,
                            header.directory_offset,   header.directory_bytes,
                            header.directory_hash.low, header.directory_hash.high,
                            header.file_bytes};
  std::memcpy(out + 16, words, sizeof words);
  const uint64_t check = hash64({out, 120});
  std::memcpy(out + 120, &check, 8);
}

inline DsmHeader load_dsm_header(const uint8_t (&in)[kDsmHeaderBytes]) {
  DsmHeader header;
  std::memcpy(&header.version, in + 8, 4);
  std::memcpy(&header.header_bytes, in + 12, 4);
  uint64_t words[7];
  std::memcpy(words, in + 16, sizeof words);
  header.incompat = words[0];
  header.compat = words[1];
  header.directory_offset = words[2];
  header.directory_bytes = words[3];
  header.directory_hash.low = words[4];
  header.directory_hash.high = words[5];
  header.file_bytes = words[6];
  return header;
}

// Scales of an F8_E4M3 tensor of `shape`; the caller has bounded dims and checked that there are at least two.
inline uint64_t dsm_scale_count(std::span<const uint64_t> shape, uint32_t block_rows, uint32_t block_cols) {
  uint64_t count = 1;
  for (size_t i = 0; i + 2 < shape.size(); ++i) count *= shape[i];
  const uint64_t rows = shape[shape.size() - 2], cols = shape[shape.size() - 1];
  return count * (rows / block_rows + (rows % block_rows != 0)) * (cols / block_cols + (cols % block_cols != 0));
}

}  // namespace deepseam
