// Byte-pair merging: see bpe.h.
#include "text/bpe.h"

#include <algorithm>
#include <functional>

namespace deepseam::text {
namespace {

constexpr size_t kScanLimit = 48;  // symbols of a piece that is merged by scanning
constexpr size_t kLongestProbe = 512;
constexpr uint64_t kSalts = 16;
constexpr uint32_t kPollSteps = 8192;
constexpr uint32_t kNone = UINT32_MAX;
constexpr uint32_t kGone = UINT32_MAX;  // id of a symbol that became part of its left neighbour

uint32_t rank_of(const MergeTable &table, uint32_t left, uint32_t right) {
  const MergeTable::Entry *entry = table.find(left, right);
  return entry ? entry->rank : kNone;
}

// n is at most kScanLimit: the lowest of n ranks is found by looking at them all.
size_t merge_by_scan(const MergeTable &table, uint32_t *ids, size_t n) {
  uint32_t ranks[kScanLimit];  // of the pair (i, i + 1)
  for (size_t i = 0; i + 1 < n; ++i) ranks[i] = rank_of(table, ids[i], ids[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i)
      if (ranks[i] < ranks[best]) best = i;
    if (ranks[best] == kNone) break;
    ids[best] = table.find(ids[best], ids[best + 1])->result;
    --n;
    std::copy(ids + best + 2, ids + n + 1, ids + best + 1);
    if (best + 1 < n) std::copy(ranks + best + 2, ranks + n, ranks + best + 1);
    if (best + 1 < n) ranks[best] = rank_of(table, ids[best], ids[best + 1]);
    if (best > 0) ranks[best - 1] = rank_of(table, ids[best - 1], ids[best]);
  }
  return n;
}

// Symbols are a linked list in the id array; the heap holds (rank, position) of pairs, some of them gone since.
class HeapMerge {
 public:
  HeapMerge(const MergeTable &table, uint32_t *ids, uint32_t n, BpeScratch *scratch, Poll *poll)
      : table_(table), ids_(ids), n_(n), scratch_(*scratch), poll_(poll) {}

  size_t run() {
    start();
    if (poll_->hit) return n_;
    uint32_t steps = 0;
    auto &heap = scratch_.heap;
    while (!heap.empty()) {
      if (++steps % kPollSteps == 0 && poll_->check()) return n_;
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      uint64_t top = heap.back();
      heap.pop_back();
      merge_at(static_cast<uint32_t>(top), static_cast<uint32_t>(top >> 32));
    }
    size_t kept = 0;
    for (uint32_t at = 0; at != kNone; at = scratch_.next[at]) ids_[kept++] = ids_[at];
    return kept;
  }

 private:
  void start() {
    scratch_.previous.clear();
    scratch_.next.clear();
    scratch_.heap.clear();
    scratch_.previous.reserve(n_);
    scratch_.next.reserve(n_);
    scratch_.heap.reserve(size_t{2} * n_);  // growing it would copy for longer than a cancel may wait
    for (uint32_t at = 0; at < n_; ++at) {
      if (at % kPollSteps == 0 && poll_->check()) return;
      scratch_.previous.push_back(at == 0 ? kNone : at - 1);
      scratch_.next.push_back(at + 1 < n_ ? at + 1 : kNone);
      push(at);
    }
  }

  void push(uint32_t at) {
    uint32_t after = scratch_.next[at];
    if (after == kNone) return;
    uint32_t rank = rank_of(table_, ids_[at], ids_[after]);
    if (rank == kNone) return;
    scratch_.heap.push_back(uint64_t{rank} << 32 | at);
    std::push_heap(scratch_.heap.begin(), scratch_.heap.end(), std::greater<>());
  }

  void merge_at(uint32_t at, uint32_t rank) {
    auto &next = scratch_.next;
    auto &previous = scratch_.previous;
    if (ids_[at] == kGone || next[at] == kNone) return;
    uint32_t right = next[at];
    const MergeTable::Entry *entry = table_.find(ids_[at], ids_[right]);
    if (!entry || entry->rank != rank) return;
    ids_[at] = entry->result;
    ids_[right] = kGone;
    next[at] = next[right];
    if (next[right] != kNone) previous[next[right]] = at;
    if (previous[at] != kNone) push(previous[at]);
    push(at);
  }

  const MergeTable &table_;
  uint32_t *ids_;
  uint32_t n_;
  BpeScratch &scratch_;
  Poll *poll_;
};

}  // namespace

MergeTable::MergeTable(std::span<const Merge> merges) {
  if (merges.empty()) return;
  size_t slots = 16;
  while (slots < merges.size() * 2) slots *= 2;
  mask_ = slots - 1;
  // Pairs chosen to collide would make probes long: then another salt, for which they were not chosen.
  while (!fill(merges, salt_ < kSalts ? kLongestProbe : slots)) ++salt_;
}

bool MergeTable::fill(std::span<const Merge> merges, size_t longest_probe) {
  entries_.assign(mask_ + 1, Entry());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge &merge = merges[rank];
    size_t slot = hash(merge.left, merge.right) & mask_;
    size_t probe = 0;
    for (; entries_[slot].rank != UINT32_MAX; slot = (slot + 1) & mask_) {
      if (entries_[slot].left == merge.left && entries_[slot].right == merge.right) break;
      if (++probe > longest_probe) return false;
    }
    entries_[slot] = {merge.left, merge.right, static_cast<uint32_t>(rank), merge.result};
  }
  return true;
}

std::vector<Merge> MergeTable::ordered() const {
  std::vector<Entry> used;
  for (const Entry &entry : entries_)
    if (entry.rank != UINT32_MAX) used.push_back(entry);
  std::sort(used.begin(), used.end(), [](const Entry &a, const Entry &b) { return a.rank < b.rank; });
  std::vector<Merge> merges;
  merges.reserve(used.size());
  for (const Entry &entry : used) merges.push_back({entry.left, entry.right, entry.result});
  return merges;
}

void bpe_merge(const MergeTable &table, std::vector<uint32_t> *ids, size_t begin, BpeScratch *scratch, Poll *poll) {
  size_t n = ids->size() - begin;
  if (n < 2 || table.empty()) return;
  uint32_t *first = ids->data() + begin;
  size_t kept = n <= kScanLimit ? merge_by_scan(table, first, n)
                                : HeapMerge(table, first, static_cast<uint32_t>(n), scratch, poll).run();
  ids->resize(begin + kept);
}

}  // namespace deepseam::text
