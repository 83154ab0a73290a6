// The free list. Its room is reserved up front, so that giving a block back cannot fail.
#include "kv/block_pool.h"

namespace deepseam::kv {

BlockPool::BlockPool(uint32_t n_blocks) : size_(n_blocks), used_(n_blocks, false) { free_.reserve(n_blocks); }

uint32_t BlockPool::allocate() {
  uint32_t block = kNoBlock;
  if (!free_.empty()) {
    block = free_.back();
    free_.pop_back();
  } else if (next_ < size_) {
    block = next_++;
  } else {
    return kNoBlock;
  }
  used_[block] = true;
  ++n_used_;
  return block;
}

void BlockPool::release(uint32_t block) {
  if (!is_used(block)) return;
  used_[block] = false;
  --n_used_;
  free_.push_back(block);
}

}  // namespace deepseam::kv
