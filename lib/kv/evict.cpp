// See evict.h.
#include "kv/evict.h"

namespace deepseam::kv {

double block_worth(const BlockFacts &block, uint64_t now, const RowCost &cost) {
  const double middle = static_cast<double>(block.position) + block.rows / 2.0;
  const double compute = block.rows * (cost.fixed + cost.per_position * middle);
  const double age = now > block.last_used ? static_cast<double>(now - block.last_used) : 0.0;
  return compute / (age + 1.0);
}

}  // namespace deepseam::kv
