// Which blocks of a device pool are free. It knows numbers only: neither what a block holds nor who reads it.
//
// The blocks are [0, size). Freed blocks are given out again last in, first out, so that a short workload touches
// little memory. Not thread-safe: the store that owns it has the lock.
#pragma once

#include <cstdint>
#include <vector>

namespace deepseam::kv {

inline constexpr uint32_t kNoBlock = UINT32_MAX;

class BlockPool {
 public:
  explicit BlockPool(uint32_t n_blocks);
  uint32_t allocate();  // kNoBlock if none is free
  void release(uint32_t block);
  uint32_t size() const { return size_; }
  uint32_t n_free() const { return size_ - n_used_; }
  bool is_used(uint32_t block) const { return block < size_ && used_[block]; }

 private:
  uint32_t size_ = 0, n_used_ = 0, next_ = 0;  // blocks from next_ on were never given out
  std::vector<uint32_t> free_;
  std::vector<bool> used_;
};

}  // namespace deepseam::kv
