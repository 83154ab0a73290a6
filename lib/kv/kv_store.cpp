// Leases over tree and pool. Functions that allocate do so before they change anything that others see.
#include "kv/kv_store.h"

#include <algorithm>
#include <new>
#include <utility>

namespace deepseam::kv {
namespace {

constexpr size_t kMostEvents = 1024;

}  // namespace

KvStore::KvStore(const KvOptions &options) : options_(options), pool_(options.n_blocks), index_(options.block_tokens) {
  stats_.blocks_total = options.n_blocks;
}

KvStore::~KvStore() = default;

// ---- Finding

KvStore::Lookup KvStore::lookup(const Identity &identity, std::span<const uint32_t> ids) const {
  std::lock_guard lock(mutex_);
  const Root *root = options_.keep ? index_.find_root(identity) : nullptr;
  if (!root) return {};
  const Match match = index_.match(*root, ids);
  return {match.committed, match.promised};
}

Lease KvStore::acquire(const Identity &identity, std::span<const uint32_t> ids, const LeaseOptions &options) {
  std::lock_guard lock(mutex_);
  Lease lease;
  Root *root = index_.root(identity);
  Match match;
  if (options_.keep && !options.no_reuse) {
    match = index_.match(*root, ids.first(std::min<size_t>(ids.size(), options.max_reuse)));
    ++stats_.lookups;
    stats_.hits += match.committed > 0;
    stats_.hit_tokens += match.committed;
  }
  lease.table_.reserve(match.path.size() + 1);
  lease.path_ = std::move(match.path);
  ++clock_;
  for (Node *node : lease.path_) {
    ++node->pins;
    node->last_used = clock_;
    lease.table_.push_back(node->block);
  }
  ++root->pins;
  lease.store_ = this;
  lease.root_ = root;
  lease.rows_ = match.committed;
  lease.own_from_ = static_cast<uint32_t>(lease.path_.size());
  lease.no_store_ = options.no_store || !options_.keep;
  if (match.committed) tell(KvEventKind::kHit, match.committed);
  return lease;
}

Lease KvStore::fork(const Lease &from) {
  std::lock_guard lock(mutex_);
  Lease lease;
  const size_t n = (from.rows_ + options_.block_tokens - 1) / options_.block_tokens;
  lease.path_.assign(from.path_.begin(), from.path_.begin() + static_cast<ptrdiff_t>(n));
  if (from.fork_from_ && from.own_from_ < n) lease.path_[from.own_from_] = from.fork_from_;
  lease.table_.reserve(n + 1);
  for (Node *node : lease.path_) {
    ++node->pins;
    lease.table_.push_back(node->block);
  }
  ++from.root_->pins;
  lease.store_ = this;
  lease.root_ = from.root_;
  lease.rows_ = from.rows_;
  lease.own_from_ = static_cast<uint32_t>(n);
  lease.no_store_ = from.no_store_;
  return lease;
}

// ---- Growing

// Makes the tail node, if rows_ lies inside one, a node of this lease: by taking over one that ends exactly there and
// has no writer, else by a sibling that gets copies of its rows.
void KvStore::own_tail(Lease *lease) {
  const uint32_t rows = lease->rows_ % options_.block_tokens;
  if (rows == 0 || lease->own_from_ < lease->path_.size()) return;
  Node *tail = lease->path_.back();
  if (!tail->has_writer && tail->committed == rows && tail->ids.size() == rows && tail->hidden == lease->no_store_) {
    tail->has_writer = true;
    --lease->own_from_;
    return;
  }
  Node *own = index_.add_child(lease->root_, tail->parent, lease->no_store_);
  own->ids.assign(tail->ids.begin(), tail->ids.begin() + rows);
  own->has_writer = true;
  own->pins = 1;
  own->last_used = clock_;
  lease->fork_from_ = tail;  // its pin goes on to count for this
  lease->path_.back() = own;
  lease->table_.pop_back();
  --lease->own_from_;
  lease->changed_from_ = std::min(lease->changed_from_, lease->own_from_);
}

// Makes the planned ids from rows_ on exactly `ids`, keeping what agrees.
void KvStore::plan(Lease *lease, std::span<const uint32_t> ids) {
  const uint32_t block = options_.block_tokens;
  if (ids.empty()) return;
  own_tail(lease);
  const size_t last = lease->rows_ + ids.size();
  const size_t n_nodes = (last + block - 1) / block;
  lease->path_.reserve(n_nodes);
  lease->table_.reserve(n_nodes);
  for (size_t at = 0; at < ids.size();) {
    const size_t row = lease->rows_ + at, index = row / block, offset = row % block;
    if (index == lease->path_.size()) {
      Node *parent = index ? lease->path_[index - 1] : nullptr;
      Node *node = index_.add_child(lease->root_, parent, lease->no_store_);
      node->has_writer = true;
      node->pins = 1;
      node->last_used = clock_;
      lease->path_.push_back(node);
    }
    Node *node = lease->path_[index];
    const size_t n = std::min<size_t>(block - offset, ids.size() - at);
    const auto part = ids.subspan(at, n);
    const bool same = node->ids.size() >= offset + n &&
                      std::equal(part.begin(), part.end(), node->ids.begin() + static_cast<ptrdiff_t>(offset));
    if (!same) {
      while (lease->path_.size() > index + 1) {  // what was planned behind the difference
        Node *gone = lease->path_.back();
        lease->path_.pop_back();
        if (lease->table_.size() > lease->path_.size()) lease->table_.pop_back();
        gone->pins = 0;
        drop(gone);
      }
      node->ids.resize(offset);
      node->ids.insert(node->ids.end(), part.begin(), part.end());
    }
    at += n;
  }
}

void KvStore::promise(Lease *lease, std::span<const uint32_t> ids) {
  std::lock_guard lock(mutex_);
  plan(lease, ids);
}

Status KvStore::reserve(Lease *lease, std::span<const uint32_t> ids, std::vector<RowCopy> *copies) {
  std::lock_guard lock(mutex_);
  plan(lease, ids);
  const size_t block = options_.block_tokens;
  const size_t n_nodes = (lease->rows_ + ids.size() + block - 1) / block;
  copies->reserve(copies->size() + 1);
  while (lease->table_.size() < n_nodes) {
    Node *node = lease->path_[lease->table_.size()];
    if (node->block == kNoBlock) node->block = take_block();
    if (node->block == kNoBlock)
      return fail(
          DS_E_CACHE_FULL, "kv",
          "no block of %zu tokens is free for row %zu: the pool has %u blocks and running sequences hold all of "
          "them; give the model a larger context or budget, or run fewer sequences",
          block, lease->table_.size() * block, pool_.size());
    lease->changed_from_ = std::min(lease->changed_from_, static_cast<uint32_t>(lease->table_.size()));
    lease->table_.push_back(node->block);
  }
  if (lease->fork_from_) {
    const uint32_t rows = lease->rows_ % options_.block_tokens;
    copies->push_back({lease->fork_from_->block, 0, rows, lease->path_[lease->own_from_]->block, 0});
    stats_.copied_rows += rows;
  }
  return {};
}

void KvStore::commit(Lease *lease, uint32_t n) {
  std::lock_guard lock(mutex_);
  if (Node *source = std::exchange(lease->fork_from_, nullptr)) {
    if (--source->pins == 0 && source->hidden && source->children.empty()) drop(source);
  }
  lease->rows_ += n;
  ++clock_;
  stats_.computed_tokens += n;
  const uint32_t block = options_.block_tokens;
  while (lease->own_from_ < lease->path_.size()) {
    Node *node = lease->path_[lease->own_from_];
    const uint32_t begin = lease->own_from_ * block;
    if (lease->rows_ <= begin) break;
    node->committed = std::min(block, lease->rows_ - begin);
    node->last_used = clock_;
    if (node->committed < block) break;
    node->has_writer = false;
    ++lease->own_from_;
    if (node->hidden) continue;
    index_.sealed(node);
    tell(KvEventKind::kStored, block);
  }
}

// ---- Letting go

// Takes back everything that was planned but not committed.
void KvStore::drop_own(Lease *lease) {
  const uint32_t block = options_.block_tokens;
  while (lease->path_.size() > lease->own_from_) {
    const size_t index = lease->path_.size() - 1;
    Node *node = lease->path_[index];
    if (index * block < lease->rows_ && !lease->fork_from_) {  // the tail, with rows of its own
      node->ids.resize(node->committed);
      node->has_writer = false;
      ++lease->own_from_;
      break;
    }
    lease->path_.pop_back();
    if (lease->table_.size() > index) lease->table_.pop_back();
    lease->changed_from_ = std::min(lease->changed_from_, static_cast<uint32_t>(index));
    node->pins = 0;
    drop(node);
  }
  if (!lease->fork_from_) return;
  lease->path_.push_back(lease->fork_from_);  // room is there: the fork stood in this place
  lease->table_.push_back(lease->fork_from_->block);
  lease->fork_from_ = nullptr;
  lease->own_from_ = static_cast<uint32_t>(lease->path_.size());
}

void KvStore::abandon(Lease *lease) {
  std::lock_guard lock(mutex_);
  drop_own(lease);
}

void KvStore::release_lease(Lease *lease) noexcept {
  std::lock_guard lock(mutex_);
  drop_own(lease);
  for (Node *node : lease->path_) --node->pins;
  while (!lease->path_.empty()) {
    Node *node = lease->path_.back();
    lease->path_.pop_back();
    if (node->pins || !node->children.empty() || !(node->hidden || is_superfluous(node))) break;
    drop(node);
  }
  --lease->root_->pins;
  index_.remove_root_if_empty(lease->root_);
  lease->path_.clear();
  lease->table_.clear();
  lease->rows_ = lease->own_from_ = lease->changed_from_ = 0;
  lease->root_ = nullptr;
  lease->store_ = nullptr;
}

// Whether a sibling holds all of a node's rows and perhaps more: an edit that was typed over, a row computed twice.
bool KvStore::is_superfluous(Node *node) {
  if (node->has_writer) return false;
  if (node->committed == 0) return true;
  for (const auto &other : index_.siblings(node)) {
    if (other.get() == node || other->hidden || other->committed < node->committed) continue;
    if (std::equal(node->ids.begin(), node->ids.begin() + node->committed, other->ids.begin())) return true;
  }
  return false;
}

void KvStore::drop(Node *node) {
  if (node->block != kNoBlock) pool_.release(node->block);
  index_.remove(node);
}

// ---- Making room

uint32_t KvStore::take_block() {
  uint32_t block = pool_.allocate();
  if (block == kNoBlock && evict_one()) block = pool_.allocate();
  return block;
}

// The leaf of least worth that nobody holds.
bool KvStore::evict_one() {
  Node *least = nullptr;
  double least_worth = 0;
  Root *empty_root = nullptr;
  auto weigh = [&](Node *node) {
    if (node->pins || node->has_writer || !node->children.empty() || node->block == kNoBlock) return;
    const BlockFacts facts{node->committed, uint64_t{node->depth} * options_.block_tokens, node->last_used};
    const double worth = block_worth(facts, clock_, options_.cost);
    if (!least || worth < least_worth) least = node, least_worth = worth;
  };
  index_.for_each_node(weigh);
  if (!least) return false;
  empty_root = least->root;
  ++stats_.evicted_blocks;
  tell(KvEventKind::kEvicted, least->committed);
  drop(least);
  index_.remove_root_if_empty(empty_root);
  return true;
}

uint64_t KvStore::trim(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  auto used = [&] { return uint64_t{pool_.size() - pool_.n_free()} * options_.bytes_per_block; };
  while (used() > bytes && evict_one()) {
  }
  return used();
}

void KvStore::erase(std::string_view salt) {
  std::lock_guard lock(mutex_);
  uint64_t tokens = 0;
  index_.for_each_node([&](Node *node) {
    if (node->root->identity.salt != salt || node->hidden) return;
    node->hidden = true;
    tokens += node->committed;
  });
  index_.remove_leaves([](const Node *node) { return node->hidden && !node->pins && !node->has_writer; },
                       [&](Node *node) {
                         if (node->block != kNoBlock) pool_.release(node->block);
                       });
  if (tokens) tell(KvEventKind::kErased, tokens);
}

// ---- Telling

void KvStore::tell(KvEventKind kind, uint64_t tokens) noexcept {
  if (events_.size() >= kMostEvents) {
    events_.pop_front();
    ++dropped_events_;
  }
  try {
    events_.push_back({kind, tokens, options_.bytes_per_block / std::max(options_.block_tokens, 1u) * tokens, 0});
  } catch (const std::bad_alloc &) {
    ++dropped_events_;
  }
}

bool KvStore::read_event(KvEvent *event) {
  std::lock_guard lock(mutex_);
  if (events_.empty()) return false;
  *event = events_.front();
  events_.pop_front();
  event->dropped = dropped_events_;
  dropped_events_ = 0;
  return true;
}

KvStats KvStore::stats() const {
  std::lock_guard lock(mutex_);
  KvStats stats = stats_;
  stats.blocks_used = pool_.size() - pool_.n_free();
  stats.bytes_used = stats.blocks_used * options_.bytes_per_block;
  index_.for_each_node([&](const Node *node) { stats.tokens_held += node->committed; });
  return stats;
}

uint32_t KvStore::n_free_or_evictable() const {
  std::lock_guard lock(mutex_);
  uint32_t n = pool_.n_free();
  index_.for_each_node([&](const Node *node) { n += node->pins == 0 && node->block != kNoBlock; });
  return n;
}

// ---- Proof

Status KvStore::check() const {
  std::lock_guard lock(mutex_);
  Status broken;
  uint32_t used = 0;
  auto complain = [&](const Node *node, const char *what) {
    if (broken.ok())
      broken = fail(DS_E_INTERNAL, "kv", "node at depth %u with %zu ids: %s", node->depth, node->ids.size(), what);
  };
  index_.for_each_node([&](const Node *node) {
    if (node->ids.size() > options_.block_tokens) complain(node, "more ids than a block has rows");
    if (node->committed > node->ids.size()) complain(node, "more rows than ids");
    if (node->committed && node->block == kNoBlock) complain(node, "rows without a block");
    if (node->block != kNoBlock && !pool_.is_used(node->block)) complain(node, "a block that the pool calls free");
    if (node->has_writer && !node->pins) complain(node, "a writer without a lease");
    if (!node->has_writer && node->committed < node->ids.size()) complain(node, "promised rows without a writer");
    if (!node->has_writer && !node->pins && !node->committed) complain(node, "empty and held by nobody");
    if (!node->children.empty() && node->ids.size() < options_.block_tokens) complain(node, "children behind a gap");
    if (node->parent && node->pins && !node->parent->pins) complain(node, "held without its parent");
    if (node->hidden && !node->pins && node->children.empty()) complain(node, "hidden and held by nobody");
    used += node->block != kNoBlock;
  });
  if (broken.ok() && used != pool_.size() - pool_.n_free())
    return fail(DS_E_INTERNAL, "kv", "the tree holds %u blocks, the pool gave out %u", used,
                pool_.size() - pool_.n_free());
  return broken;
}

}  // namespace deepseam::kv
