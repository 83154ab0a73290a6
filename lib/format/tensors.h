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

// Scales of an F8_E4M3 tensor: one per block of block_rows x block_cols, rows of ceil(cols / block_cols) scales.
// A tensor of more than two dims is a row of matrices; each brings its own ceil(rows / block_rows) rows of scales.
struct BlockScales {
  ByteRange range;
  uint32_t block_rows = 0;
  uint32_t block_cols = 0;
  DType dtype = DType::kF32;  // or F16, BF16
};

// Integers of 4 bits with a scale and a zero for each group of inputs, as Hugging Face models are quantised to. The
// tensor is [out, in] with G = ceil(in / group) groups; its number is scale * (integer - zero), exactly.
struct Int4Groups {
  // Eight integers a 32-bit word, the first in its lowest bits. kAwq: words [in, out / 8], whose eight are outputs
  // 0 2 4 6 1 3 5 7 of eight. kGptq: words [in / 8, out], eight inputs each. kRows: words [out, in / 8].
  enum class Order : uint8_t { kAwq, kGptq, kRows };
  Order order = Order::kRows;
  uint64_t group = 0;
  DType scale_type = DType::kF16;  // or BF16, F32
  ByteRange scales;                // [G, out]; kRows: [out, G]
  // Words [G, out / 8] packed as the integers are (kGptq: eight outputs in order); kRows: words [out / 8, G], eight
  // outputs each. Without bytes every zero is 8.
  ByteRange zeros;
  uint32_t zero_added = 0;  // added to what the file says, modulo 16
  ByteRange group_of;       // I32 [in]: the group of each input; without bytes input / group
  bool scattered = false;   // group_of may say otherwise than input / group
  std::string name;         // of the module, for messages: "model.layers.0.self_attn.q_proj"
};

struct TensorInfo {
  std::string name;
  DType dtype = DType::kNone;   // kNone: present, but of a type this library does not read
  std::string stored_type;      // the file's own name of the type ("F64"), for messages
  std::vector<uint64_t> shape;  // row-major, outermost first; empty for a scalar
  ByteRange range;
  bool has_scales = false;
  BlockScales scales;
  // Set: `range` holds packed integers, which are read through format/int4.h. `dtype` is the format that backends get.
  std::shared_ptr<const Int4Groups> int4;

  uint64_t elements() const {
    uint64_t n = 1;
    for (uint64_t dim : shape) n *= dim;
    return n;
  }
  uint64_t cols() const { return shape.empty() ? 1 : shape.back(); }
  uint64_t rows() const { return cols() ? elements() / cols() : 0; }  // all leading dims together
  // All that the file holds for it.
  uint64_t stored_bytes() const {
    const uint64_t packed = int4 ? int4->scales.bytes + int4->zeros.bytes + int4->group_of.bytes : 0;
    return range.bytes + scales.range.bytes + packed;
  }
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
