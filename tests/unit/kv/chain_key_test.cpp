// Chain keys tell apart what must be told apart.
#include "kv/chain_key.h"

#include <doctest/doctest.h>

#include <vector>

using namespace deepseam;
using namespace deepseam::kv;

TEST_CASE("a root key depends on every part of the identity") {
  const Identity base;
  std::vector<Identity> others(7, base);
  others[0].model_fingerprint[31] = 1;
  others[1].adapter.high = 1;
  others[2].rope_overrides.low = 1;
  others[3].kv_format = 2;
  others[4].numerics_id = 9;
  others[5].salt = "a";
  others[6].salt = std::string("\0", 1);
  for (size_t i = 0; i < others.size(); ++i) {
    CHECK(root_key(others[i]) != root_key(base));
    for (size_t j = 0; j < i; ++j) CHECK(root_key(others[i]) != root_key(others[j]));
  }
  CHECK(root_key(base) == root_key(Identity{}));
}

TEST_CASE("a chain key depends on parent, ids and their order") {
  const std::vector<uint32_t> ids{1, 2, 3, 4}, swapped{2, 1, 3, 4};
  const Hash128 parent{5, 6};
  CHECK(chain_key(parent, ids) == chain_key(parent, ids));
  CHECK(chain_key(parent, ids) != chain_key(parent, swapped));
  CHECK(chain_key(parent, ids) != chain_key(Hash128{6, 5}, ids));
}
