// The tree: longest common prefixes, keys that lie, promised rows.
#include "kv/prefix_index.h"

#include <doctest/doctest.h>

using namespace deepseam::kv;

namespace {

Node *add(PrefixIndex *index, Root *root, Node *parent, std::vector<uint32_t> ids, uint32_t committed) {
  Node *node = index->add_child(root, parent, false);
  node->ids = std::move(ids);
  node->committed = committed;
  if (committed == index->block_tokens()) index->sealed(node);
  return node;
}

}  // namespace

TEST_CASE("the match goes through whole blocks into part of the next") {
  PrefixIndex index(4);
  Root *root = index.root({});
  Node *first = add(&index, root, nullptr, {1, 2, 3, 4}, 4);
  Node *second = add(&index, root, first, {5, 6, 7}, 3);
  const std::vector<uint32_t> ids{1, 2, 3, 4, 5, 6, 9, 9};
  const Match match = index.match(*root, ids);
  CHECK(match.committed == 6);
  CHECK(match.promised == 6);
  CHECK(match.path == std::vector<Node *>{first, second});
}

TEST_CASE("of several children the one with the longest common prefix is taken") {
  PrefixIndex index(4);
  Root *root = index.root({});
  add(&index, root, nullptr, {1, 2, 9, 9}, 4);
  Node *best = add(&index, root, nullptr, {1, 2, 3, 9}, 4);
  add(&index, root, nullptr, {1, 2, 3}, 2);
  const Match match = index.match(*root, std::vector<uint32_t>{1, 2, 3, 4});
  CHECK(match.committed == 3);
  CHECK(match.path == std::vector<Node *>{best});
}

TEST_CASE("promised rows are counted apart, also behind a promised block") {
  PrefixIndex index(2);
  Root *root = index.root({});
  Node *first = add(&index, root, nullptr, {1, 2}, 1);
  add(&index, root, first, {3, 4}, 0);
  const Match match = index.match(*root, std::vector<uint32_t>{1, 2, 3, 5});
  CHECK(match.committed == 1);
  CHECK(match.promised == 3);
  CHECK(match.path == std::vector<Node *>{first});
}

TEST_CASE("what is hidden is not found") {
  PrefixIndex index(2);
  Root *root = index.root({});
  Node *node = add(&index, root, nullptr, {1, 2}, 2);
  node->hidden = true;
  CHECK(index.match(*root, std::vector<uint32_t>{1, 2}).promised == 0);
}

TEST_CASE("a key only finds: equal keys with other ids or another parent are not used") {
  PrefixIndex index(2);
  Root *root = index.root({});
  Node *first = add(&index, root, nullptr, {1, 2}, 2);
  Node *liar = add(&index, root, first, {3, 4}, 4);
  liar->committed = 2;
  liar->ids = {3, 4};
  index.sealed(liar);
  liar->ids = {3, 5};  // the key still says {3, 4}
  const Match match = index.match(*root, std::vector<uint32_t>{1, 2, 3, 4});
  CHECK(match.committed == 3);  // found by value as a common prefix, not as a whole block
}

TEST_CASE("roots are told apart by value") {
  PrefixIndex index(2);
  Identity other;
  other.salt = "tenant";
  Root *mine = index.root({});
  CHECK(index.root(other) != mine);
  CHECK(index.root({}) == mine);
  CHECK(index.find_root(other) != nullptr);
  index.remove_root_if_empty(index.root(other));
  CHECK(index.find_root(other) == nullptr);
}

TEST_CASE("removing a leaf forgets its key") {
  PrefixIndex index(2);
  Root *root = index.root({});
  Node *node = add(&index, root, nullptr, {1, 2}, 2);
  CHECK(index.n_nodes() == 1);
  index.remove(node);
  CHECK(index.n_nodes() == 0);
  CHECK(index.match(*root, std::vector<uint32_t>{1, 2}).committed == 0);
}
