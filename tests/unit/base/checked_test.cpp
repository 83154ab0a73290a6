#include "base/checked.h"

#include <doctest/doctest.h>

#include <vector>

using namespace deepseam;

constexpr uint64_t kMost = UINT64_MAX;

TEST_CASE("sums and products that fit come back, others do not") {
  CHECK(checked_add(kMost - 1, 1) == kMost);
  CHECK_FALSE(checked_add(kMost, 1));
  CHECK(checked_mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1) == kMost - ((uint64_t{1} << 32) - 1));
  CHECK_FALSE(checked_mul(uint64_t{1} << 32, uint64_t{1} << 32));
}

TEST_CASE("a product over dims notices an overflow even if a zero follows") {
  CHECK(checked_product(std::vector<uint64_t>{}) == 1);
  CHECK(checked_product(std::vector<uint64_t>{3, 5, 7}) == 105);
  CHECK(checked_product(std::vector<uint64_t>{0, kMost, kMost}) == 0);
  CHECK_FALSE(checked_product(std::vector<uint64_t>{kMost, 2, 0}));
}

TEST_CASE("within does not wrap around") {
  CHECK(within(0, 0, 0));
  CHECK(within(4, 6, 10));
  CHECK_FALSE(within(4, 7, 10));
  CHECK_FALSE(within(11, 0, 10));
  CHECK_FALSE(within(kMost, 2, 10));
  CHECK_FALSE(within(2, kMost, 10));
}

TEST_CASE("alignment rounds up or says that it cannot") {
  CHECK(checked_align(0, 64) == 0);
  CHECK(checked_align(1, 64) == 64);
  CHECK(checked_align(64, 64) == 64);
  CHECK_FALSE(checked_align(kMost - 3, 64));
}
