// What a cached block is worth: the rule that decides which one goes first. Pure.
//
// Worth = cost to compute its rows again / time since it was last used. A row costs a fixed part (weights) and a part
// that grows with its position (attention). Only leaves are ever compared, so a prefix outlives what builds on it.
#pragma once

#include <cstdint>

namespace deepseam::kv {

struct BlockFacts {
  uint32_t rows = 0;       // committed
  uint64_t position = 0;   // of the first row
  uint64_t last_used = 0;  // in ticks of the store's clock: one per lookup or commit
};

struct RowCost {
  double fixed = 1;
  double per_position = 1.0 / 8192;  // a row at position 8192 costs twice a first row
};

double block_worth(const BlockFacts &block, uint64_t now, const RowCost &cost);

}  // namespace deepseam::kv
