// How large a graph may be, so that everything done with one, whoever sent it, ends soon and in little memory.
// V3 has 742 nodes and 1,825 tensors.
#pragma once

#include <cstddef>
#include <cstdint>

namespace deepseam::graph {

inline constexpr size_t kMaxNodes = 8192;
inline constexpr size_t kMaxTensors = 65536;
inline constexpr size_t kMaxName = 200;           // bytes
inline constexpr size_t kMaxListEntries = 32768;  // of an attribute; inv_freq is the only list
inline constexpr size_t kMaxGraphBytes = size_t{64} << 20;
inline constexpr uint64_t kMaxElements = uint64_t{1} << 48;  // of a tensor, rows left out
inline constexpr int64_t kMaxDim = int64_t{1} << 40;
inline constexpr size_t kMaxWeightDims = 3;

}  // namespace deepseam::graph
