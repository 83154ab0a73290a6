// The prefix-caching KV store of one model: who may read and write which rows of its device pool.
//
// A Lease is one sequence's hold on the store. Its life: acquire() finds the longest computed prefix and pins it;
// promise() says which ids will be computed, so that others wait instead of computing them too; reserve() gives blocks
// to the next rows and tells the row copies to do first (a row that others may read is never overwritten: the tail
// block is forked); commit() makes computed rows readable; release() lets go. Rows that nobody holds stay until their
// block is needed. A cancelled or failed step calls nothing: rows above the committed length do not exist.
//
// What the store decides is only where rows lie. It never touches the device: copies are returned as data, and its
// caller runs them before the step that needs them, after all earlier steps. All functions take the store's own lock
// and may be called from any thread; one lease is used by one thread at a time.
// The tier behind it is the pool itself. Further tiers fill blocks between acquire() and the first step.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/status.h"
#include "kv/block_pool.h"
#include "kv/evict.h"
#include "kv/prefix_index.h"

namespace deepseam::kv {

struct KvOptions {
  uint32_t block_tokens = 64;
  uint32_t n_blocks = 0;
  uint64_t bytes_per_block = 0;  // for statistics
  RowCost cost;
  bool keep = true;  // false: nothing is looked up or kept (a model opened without cache)
};

// Copy n_rows rows of a block, all layers.
struct RowCopy {
  uint32_t from_block = 0, from_row = 0, n_rows = 0, to_block = 0, to_row = 0;
};

struct LeaseOptions {
  uint32_t max_reuse = UINT32_MAX;  // take at most so many cached rows: rows whose logits are wanted are recomputed
  bool no_store = false;            // what this lease computes is never found by others and goes with it
  bool no_reuse = false;            // take nothing from the cache
};

class KvStore;

// Move-only. Destroying it releases it; the store outlives it.
class Lease {
 public:
  Lease() = default;
  ~Lease() { release(); }
  Lease(Lease &&other) noexcept { swap(other); }
  Lease &operator=(Lease &&other) noexcept {
    swap(other);
    return *this;
  }
  explicit operator bool() const { return store_ != nullptr; }
  uint32_t rows() const { return rows_; }  // committed: the kv_len of the next step
  // Blocks in order. Entries from *changed_from on may differ from what the last call saw.
  std::span<const uint32_t> table() const { return table_; }
  uint32_t changed_from() const { return changed_from_; }
  void table_sent() { changed_from_ = static_cast<uint32_t>(table_.size()); }
  void table_forgotten() { changed_from_ = 0; }  // the reader lost it: everything counts as changed
  void release() noexcept;

 private:
  friend class KvStore;
  void swap(Lease &other) noexcept;
  KvStore *store_ = nullptr;
  Root *root_ = nullptr;
  std::vector<Node *> path_;     // pinned; nodes from own_from_ on are written by this lease and nobody else
  std::vector<uint32_t> table_;  // path_[i]->block, as far as given
  uint32_t rows_ = 0;
  uint32_t own_from_ = 0;
  uint32_t changed_from_ = 0;
  Node *fork_from_ = nullptr;  // pinned: where the first own node's leading rows are copied from, until a commit
  bool no_store_ = false;
};

struct KvStats {
  uint64_t blocks_total = 0, blocks_used = 0;  // used: hold rows, pinned or not
  uint64_t bytes_used = 0;
  uint64_t tokens_held = 0;  // committed rows in used blocks
  uint64_t lookups = 0, hits = 0, hit_tokens = 0, computed_tokens = 0;
  uint64_t evicted_blocks = 0, copied_rows = 0;
};

enum class KvEventKind : uint32_t { kStored = 1, kHit = 2, kEvicted = 3, kErased = 4 };
struct KvEvent {
  KvEventKind kind = KvEventKind::kStored;
  uint64_t tokens = 0, bytes = 0;
  uint64_t dropped = 0;  // events lost before this one
};

class KvStore {
 public:
  explicit KvStore(const KvOptions &options);
  ~KvStore();
  KvStore(const KvStore &) = delete;
  KvStore &operator=(const KvStore &) = delete;

  // How much of `ids` is computed, and how much once what is promised is computed. Takes no hold.
  struct Lookup {
    uint32_t committed = 0, promised = 0;
  };
  Lookup lookup(const Identity &identity, std::span<const uint32_t> ids) const;

  // Holds the longest computed prefix of `ids`, possibly none. bad_alloc passes; nothing is held then.
  Lease acquire(const Identity &identity, std::span<const uint32_t> ids, const LeaseOptions &options);
  // A second hold on the same rows, to go on differently.
  Lease fork(const Lease &from);

  // The ids of rows [rows(), rows() + ids.size()) are going to be computed by this lease. Replaces earlier promises of
  // it from the first difference on.
  void promise(Lease *lease, std::span<const uint32_t> ids);
  // Prepares rows [rows(), rows() + ids.size()) to be written with these ids: blocks for them are in table(). Appends
  // copies that must be done before. DS_E_CACHE_FULL: no block is free and none may be evicted; nothing changed but
  // blocks gained so far.
  Status reserve(Lease *lease, std::span<const uint32_t> ids, std::vector<RowCopy> *copies);
  // The first n reserved rows are computed.
  void commit(Lease *lease, uint32_t n);
  // Takes promises and reservations back: rows from rows() on do not exist. Others no longer wait for them.
  void abandon(Lease *lease);

  // Evicts until at most `bytes` are used by blocks; what leases hold stays. Returns the bytes used afterwards.
  uint64_t trim(uint64_t bytes);
  // Forgets everything under a salt. What leases hold can no longer be found and goes with them.
  void erase(std::string_view salt);
  KvStats stats() const;
  bool read_event(KvEvent *event);  // the oldest one; false if there is none
  uint32_t n_free_or_evictable() const;
  uint32_t block_tokens() const { return options_.block_tokens; }

  // Every invariant of tree, pool and pins; a sentence for the first one that is broken. For tests.
  Status check() const;

 private:
  friend class Lease;
  uint32_t take_block();  // from the pool or by eviction; kNoBlock if impossible
  bool evict_one();
  void drop(Node *node);  // a leaf that nobody holds
  bool is_superfluous(Node *node);
  void release_lease(Lease *lease) noexcept;
  void own_tail(Lease *lease);
  void plan(Lease *lease, std::span<const uint32_t> ids);
  void drop_own(Lease *lease);
  void tell(KvEventKind kind, uint64_t tokens) noexcept;

  KvOptions options_;
  mutable std::mutex mutex_;
  mutable uint64_t clock_ = 0;
  BlockPool pool_;
  PrefixIndex index_;
  mutable KvStats stats_;
  std::deque<KvEvent> events_;
  uint64_t dropped_events_ = 0;
};

// What a host holds as its cache: limits, and the stores of the models opened with it. Several models may share one.
struct CacheOptions {
  uint64_t ram_bytes = uint64_t{1} << 30;  // of all attached pools together, beyond what running sequences need
};
class Cache {
 public:
  explicit Cache(const CacheOptions &options) : options_(options) {}
  const CacheOptions &options() const { return options_; }
  void attach(const std::shared_ptr<KvStore> &store);
  KvStats stats() const;
  uint64_t trim(uint64_t bytes);
  void erase(std::string_view salt);
  bool read_event(KvEvent *event);

 private:
  std::vector<std::shared_ptr<KvStore>> stores() const;
  const CacheOptions options_;
  mutable std::mutex mutex_;
  mutable std::vector<std::weak_ptr<KvStore>> stores_;
};

}  // namespace deepseam::kv
