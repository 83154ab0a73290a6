// The tree of computed and promised prefixes: which token ids lie in which block, after which other block.
//
// A node is one block's worth of ids behind its parent's. Rows [0, committed) hold numbers and never change while
// anyone may read them; ids beyond are promised: a writer is about to compute them. A node has at most one writer, full
// nodes have none. Children of a node may share leading ids (forks, edits); the match is the longest common prefix over
// all of them, so reuse is token-granular. Full nodes are also found by chain key, and then compared by value.
// The tree knows block numbers but neither allocates nor frees them, and it takes no lock: KvStore does both.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "kv/block_pool.h"
#include "kv/chain_key.h"

namespace deepseam::kv {

struct Root;

struct Node {
  Node *parent = nullptr;  // nullptr: first block of its root
  Root *root = nullptr;
  std::vector<std::unique_ptr<Node>> children;
  std::vector<uint32_t> ids;  // at most block_tokens; committed ones first, then promised
  uint32_t committed = 0;
  uint32_t block = kNoBlock;  // given when the first row is about to be written
  uint32_t depth = 0;         // blocks before it
  uint32_t pins = 0;          // leases whose path goes through it
  bool has_writer = false;
  bool hidden = false;  // not to be found: a request that stores nothing, or erased
  bool keyed = false;   // full, and in the by-key table under `key`
  Hash128 key;          // of the prefix up to the end of this node; valid if full
  uint64_t last_used = 0;
};

// All prefixes under one identity.
struct Root {
  Identity identity;
  Hash128 key;
  std::vector<std::unique_ptr<Node>> children;
  uint32_t pins = 0;  // leases and lookups that hold it
};

// Where a prefix leads: whole nodes, then rows of one more node.
struct Match {
  std::vector<Node *> path;  // path[i] covers ids [i * block_tokens, …); all are fully used but perhaps the last
  uint32_t committed = 0;    // ids matched by rows that exist
  uint32_t promised = 0;     // ids matched counting promised rows; >= committed
};

class PrefixIndex {
 public:
  explicit PrefixIndex(uint32_t block_tokens);
  Root *root(const Identity &identity);             // found by value, made if there is none
  Root *find_root(const Identity &identity) const;  // nullptr if there is none
  Match match(const Root &root, std::span<const uint32_t> ids) const;

  Node *add_child(Root *root, Node *parent, bool hidden);  // parent nullptr: of the root
  void sealed(Node *node);                                 // it became full and committed: gives it its key
  void remove(Node *node);                                 // a leaf; its block has been taken away
  void remove_root_if_empty(Root *root);

  std::vector<std::unique_ptr<Node>> &siblings(Node *node);
  // Every node, parents before children.
  void for_each_node(const std::function<void(Node *)> &visit);
  void for_each_node(const std::function<void(const Node *)> &visit) const;
  // Removes leaves, and what thereby becomes one, as long as `wanted` says so; `gone` sees each before it goes.
  void remove_leaves(const std::function<bool(const Node *)> &wanted, const std::function<void(Node *)> &gone);
  uint32_t block_tokens() const { return block_tokens_; }
  uint64_t n_nodes() const { return n_nodes_; }

 private:
  const Node *find_full(const Root &root, const Node *parent, std::span<const uint32_t> ids, const Hash128 &key) const;
  struct KeyHash {
    size_t operator()(const Hash128 &key) const { return static_cast<size_t>(key.low); }
  };
  uint32_t block_tokens_ = 0;
  uint64_t n_nodes_ = 0;
  std::vector<std::unique_ptr<Root>> roots_;
  std::unordered_multimap<Hash128, Node *, KeyHash> by_key_;
};

}  // namespace deepseam::kv
