// What a checkpoint file tells about its tensors, whatever container it is: the common answer of all readers.
//
// Reading a directory reads headers only. Every entry has been checked against its file: the byte range lies inside,
// the shape product does not overflow and matches the bytes. The numbers themselves are not looked at.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/dtype.h"
#include "base/file.h"
#include "base/status.h"

namespace deepseam {

inline constexpr uint32_t kMaxDims = 4;

// A range of bytes in one of a directory's sources.
struct ByteRange {
  uint32_t source = 0;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

// Scales of an F8_E4M3 tensor: one F32 per block of block_rows x block_cols, rows of ceil(cols / block_cols) scales.
// A tensor of more than two dims is a row of matrices; each brings its own ceil(rows / block_rows) rows of scales.
struct BlockScales {
  ByteRange range;
  uint32_t block_rows = 0;
  uint32_t block_cols = 0;
};

struct TensorInfo {
  std::string name;
  DType dtype = DType::kNone;   // kNone: present, but of a type this library does not read
  std::string stored_type;      // the file's own name of the type ("F64"), for messages
  std::vector<uint64_t> shape;  // row-major, outermost first; empty for a scalar
  ByteRange range;
  bool has_scales = false;
  BlockScales scales;

  uint64_t elements() const {
    uint64_t n = 1;
    for (uint64_t dim : shape) n *= dim;
    return n;
  }
  uint64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  uint64_t rows() const { return cols() ? elements() / cols() : 0; }  // all leading dims together
};

struct TensorDirectory {
  std::vector<std::shared_ptr<Source>> sources;
  std::vector<TensorInfo> tensors;
  std::unordered_map<std::string, uint32_t> by_name;  // index into tensors

  const TensorInfo *find(const std::string &name) const {
    auto found = by_name.find(name);
    return found == by_name.end() ? nullptr : &tensors[found->second];
  }
};

}  // namespace deepseam
