// The worth of a block: recency, rows, position.
#include "kv/evict.h"

#include <doctest/doctest.h>

using namespace deepseam::kv;

TEST_CASE("older, emptier and earlier blocks are worth less") {
  const RowCost cost;
  const BlockFacts block{64, 1024, 90};
  const double worth = block_worth(block, 100, cost);
  CHECK(block_worth({64, 1024, 50}, 100, cost) < worth);
  CHECK(block_worth({8, 1024, 90}, 100, cost) < worth);
  CHECK(block_worth({64, 0, 90}, 100, cost) < worth);
  CHECK(worth > 0);
}

TEST_CASE("a row at the position where attention costs as much as weights is worth two first rows") {
  const RowCost cost{1, 1.0 / 8192};
  CHECK(block_worth({1, 8192, 0}, 0, cost) == doctest::Approx(2.0).epsilon(1e-3));
}

TEST_CASE("a clock that stands still or runs backwards divides by nothing") {
  CHECK(block_worth({64, 0, 100}, 100, RowCost{}) == doctest::Approx(64 * (1 + 32.0 / 8192)));
  CHECK(block_worth({64, 0, 101}, 100, RowCost{}) == doctest::Approx(64 * (1 + 32.0 / 8192)));
}
