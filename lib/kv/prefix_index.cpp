// Walking, growing and pruning the tree of prefixes.
#include "kv/prefix_index.h"

#include <algorithm>
#include <new>

namespace deepseam::kv {
namespace {

uint32_t common(std::span<const uint32_t> a, std::span<const uint32_t> b) {
  const size_t most = std::min(a.size(), b.size());
  return static_cast<uint32_t>(std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(most), b.begin()).first -
                               a.begin());
}

}  // namespace

PrefixIndex::PrefixIndex(uint32_t block_tokens) : block_tokens_(block_tokens) {}

Root *PrefixIndex::find_root(const Identity &identity) const {
  for (const auto &root : roots_)
    if (root->identity == identity) return root.get();
  return nullptr;
}

Root *PrefixIndex::root(const Identity &identity) {
  if (Root *found = find_root(identity)) return found;
  auto made = std::make_unique<Root>();
  made->identity = identity;
  made->key = root_key(identity);
  roots_.push_back(std::move(made));
  return roots_.back().get();
}

const Node *PrefixIndex::find_full(const Root &root, const Node *parent, std::span<const uint32_t> ids,
                                   const Hash128 &key) const {
  auto [begin, end] = by_key_.equal_range(key);
  for (auto entry = begin; entry != end; ++entry) {
    const Node *node = entry->second;
    if (node->root == &root && node->parent == parent && !node->hidden && std::ranges::equal(node->ids, ids))
      return node;
  }
  return nullptr;
}

// Whole blocks by key, then the child with the longest common prefix. The promised length is followed apart, because
// the child with the most promised rows need not be the one with the most computed ones.
Match PrefixIndex::match(const Root &root, std::span<const uint32_t> ids) const {
  Match match;
  const std::vector<std::unique_ptr<Node>> *children = &root.children;
  const Node *parent = nullptr;
  Hash128 key = root.key;
  bool computed = true;  // everything so far is committed
  for (size_t at = 0; at < ids.size();) {
    const auto rest = ids.subspan(at, std::min<size_t>(ids.size() - at, block_tokens_));
    if (computed && rest.size() == block_tokens_) {
      const Hash128 next = chain_key(key, rest);
      if (const Node *full = find_full(root, parent, rest, next)) {
        match.path.push_back(const_cast<Node *>(full));
        at += block_tokens_;
        match.committed = match.promised = static_cast<uint32_t>(at);
        parent = full;
        children = &full->children;
        key = next;
        continue;
      }
      key = next;
    }
    Node *best = nullptr, *most = nullptr;
    uint32_t best_rows = 0, most_rows = 0;
    for (const auto &child : *children) {
      if (child->hidden || child->ids.empty() || child->ids[0] != rest[0]) continue;
      const uint32_t rows = common(child->ids, rest);
      const uint32_t there = std::min(rows, child->committed);
      if (there > best_rows) best = child.get(), best_rows = there;
      if (rows > most_rows) most = child.get(), most_rows = rows;
    }
    if (computed && best) {
      match.path.push_back(best);
      match.committed += best_rows;
    }
    match.promised = static_cast<uint32_t>(at) + most_rows;
    if (!most || most_rows < block_tokens_) break;
    if (best_rows < block_tokens_) computed = false;
    parent = computed ? best : most;
    children = &parent->children;
    at += block_tokens_;
  }
  return match;
}

Node *PrefixIndex::add_child(Root *root, Node *parent, bool hidden) {
  auto made = std::make_unique<Node>();
  made->parent = parent;
  made->root = root;
  made->depth = parent ? parent->depth + 1 : 0;
  made->hidden = hidden || (parent && parent->hidden);
  made->ids.reserve(block_tokens_);
  auto &children = parent ? parent->children : root->children;
  children.push_back(std::move(made));
  ++n_nodes_;
  return children.back().get();
}

void PrefixIndex::sealed(Node *node) {
  // A parent that found no memory for its entry has its key all the same.
  node->key = chain_key(node->parent ? node->parent->key : node->root->key, node->ids);
  try {
    by_key_.emplace(node->key, node);
    node->keyed = true;
  } catch (const std::bad_alloc &) {  // found by walking the children instead
  }
}

void PrefixIndex::remove(Node *node) {
  if (node->keyed) {
    auto [begin, end] = by_key_.equal_range(node->key);
    for (auto entry = begin; entry != end; ++entry)
      if (entry->second == node) {
        by_key_.erase(entry);
        break;
      }
  }
  auto &family = siblings(node);
  auto self = std::find_if(family.begin(), family.end(), [&](const auto &child) { return child.get() == node; });
  if (self == family.end()) return;
  std::swap(*self, family.back());
  family.pop_back();
  --n_nodes_;
}

void PrefixIndex::remove_root_if_empty(Root *root) {
  if (root->pins || !root->children.empty()) return;
  std::erase_if(roots_, [&](const auto &entry) { return entry.get() == root; });
}

std::vector<std::unique_ptr<Node>> &PrefixIndex::siblings(Node *node) {
  return node->parent ? node->parent->children : node->root->children;
}

namespace {

// All nodes of a list of roots, parents before children.
std::vector<Node *> all_nodes(const std::vector<std::unique_ptr<Root>> &roots) {
  std::vector<Node *> nodes;
  for (const auto &root : roots)
    for (const auto &child : root->children) nodes.push_back(child.get());
  for (size_t i = 0; i < nodes.size(); ++i)
    for (const auto &child : nodes[i]->children) nodes.push_back(child.get());
  return nodes;
}

}  // namespace

void PrefixIndex::for_each_node(const std::function<void(Node *)> &visit) {
  for (Node *node : all_nodes(roots_)) visit(node);
}

void PrefixIndex::for_each_node(const std::function<void(const Node *)> &visit) const {
  for (const Node *node : all_nodes(roots_)) visit(node);
}

void PrefixIndex::remove_leaves(const std::function<bool(const Node *)> &wanted,
                                const std::function<void(Node *)> &gone) {
  const auto nodes = all_nodes(roots_);
  for (auto entry = nodes.rbegin(); entry != nodes.rend(); ++entry) {
    Node *node = *entry;
    if (!node->children.empty() || !wanted(node)) continue;
    gone(node);
    remove(node);
  }
  std::erase_if(roots_, [](const auto &root) { return !root->pins && root->children.empty(); });
}

}  // namespace deepseam::kv
