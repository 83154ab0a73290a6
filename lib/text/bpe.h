// Byte-pair merging: which neighbours become one token, and the merging of a piece by rank.
//
// The pair with the lowest rank merges first, of equal pairs the leftmost. Short pieces are scanned, long ones go
// through a heap, so that time stays n log n; both give the same result. Nothing here knows bytes or text, only ids.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "text/poll.h"

namespace deepseam::text {

struct Merge {
  uint32_t left = 0, right = 0, result = 0;
};

class MergeTable {
 public:
  struct Entry {
    uint32_t left = 0, right = 0, rank = UINT32_MAX, result = 0;
  };
  MergeTable() = default;
  // Rank is the place in `merges`; of a pair that is listed twice the last place counts.
  explicit MergeTable(std::span<const Merge> merges);
  const Entry *find(uint32_t left, uint32_t right) const {
    if (entries_.empty()) return nullptr;
    for (size_t slot = hash(left, right) & mask_;; slot = (slot + 1) & mask_) {
      const Entry &entry = entries_[slot];
      if (entry.rank == UINT32_MAX) return nullptr;
      if (entry.left == left && entry.right == right) return &entry;
    }
  }
  bool empty() const { return entries_.empty(); }
  std::vector<Merge> ordered() const;  // by rank

 private:
  size_t hash(uint32_t left, uint32_t right) const {
    uint64_t key = ((uint64_t{left} << 32 | right) ^ salt_) * 0x9E3779B97F4A7C15u;
    key = (key ^ (key >> 29)) * 0xBF58476D1CE4E5B9u;
    return static_cast<size_t>(key ^ (key >> 32));
  }
  bool fill(std::span<const Merge> merges, size_t longest_probe);
  std::vector<Entry> entries_;  // open addressing, at most half full; rank UINT32_MAX is an empty slot
  size_t mask_ = 0;
  uint64_t salt_ = 0;
};

// Memory of one call, reused from piece to piece.
struct BpeScratch {
  std::vector<uint32_t> previous, next;
  std::vector<uint64_t> heap;  // rank << 32 | position
};

// Merges ids [begin, end of *ids) in place until no pair is left. With poll->hit the content is unspecified.
void bpe_merge(const MergeTable &table, std::vector<uint32_t> *ids, size_t begin, BpeScratch *scratch, Poll *poll);

}  // namespace deepseam::text
