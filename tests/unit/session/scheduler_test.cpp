// The scheduler as a function: who gets how many rows.
#include "session/scheduler.h"

#include <doctest/doctest.h>

using namespace deepseam::session;

namespace {

BranchView decode(double served = 0) {
  BranchView view;
  view.wanted = view.wants_logits = 1;
  view.decoding = true;
  view.served = served;
  return view;
}

BranchView prompt(uint32_t rows, double served = 0) {
  BranchView view;
  view.wanted = rows;
  view.wants_logits = 1;
  view.served = served;
  return view;
}

uint32_t rows_of(const std::vector<Share> &shares, uint32_t branch) {
  uint32_t rows = 0;
  for (const Share &share : shares) rows += share.branch == branch ? share.rows : 0;
  return rows;
}

StepLimits limits(uint32_t rows, uint32_t seqs, uint32_t logits) {
  StepLimits limits;
  limits.max_rows = rows;
  limits.max_seqs = seqs;
  limits.max_logit_rows = logits;
  return limits;
}

}  // namespace

TEST_CASE("nothing wanted, nothing given") {
  CHECK(schedule({}, {}).empty());
  const std::vector<BranchView> idle{prompt(0), decode()};
  auto none = idle;
  none[1].wanted = 0;
  CHECK(schedule(none, {}).empty());
}

TEST_CASE("text and a prompt share a step") {
  const std::vector<BranchView> branches{prompt(1000), decode(), decode()};
  const auto shares = schedule(branches, limits(64, 8, 8));
  CHECK(rows_of(shares, 1) == 1);
  CHECK(rows_of(shares, 2) == 1);
  CHECK(rows_of(shares, 0) == 62);
}

TEST_CASE("a prompt's chunk is cut to the slice while text is generated, and only then") {
  StepLimits slow = limits(512, 8, 8);
  slow.row_us = 1000;
  slow.slice_us = 50'000;
  const std::vector<BranchView> both{prompt(1000), decode()};
  CHECK(rows_of(schedule(both, slow), 0) == 50);
  const std::vector<BranchView> alone{prompt(1000)};
  CHECK(rows_of(schedule(alone, slow), 0) == 512);
  slow.row_us = 1e6;
  CHECK(rows_of(schedule(both, slow), 0) == slow.least_chunk);
  auto sliced = alone;
  sliced[0].slice_us = 20'000;
  slow.row_us = 1000;
  CHECK(rows_of(schedule(sliced, slow), 0) == 20);
}

TEST_CASE("who was served least goes first") {
  const std::vector<BranchView> branches{prompt(100, 5), prompt(100, 1), prompt(100, 3)};
  const auto shares = schedule(branches, limits(150, 8, 8));
  REQUIRE(shares.size() == 2);
  CHECK(shares[0].branch == 1);
  CHECK(shares[0].rows == 100);
  CHECK(shares[1].branch == 2);
  CHECK(shares[1].rows == 50);
}

TEST_CASE("more text than sequences: the least served ones, with a place left for a prompt") {
  std::vector<BranchView> branches;
  for (int i = 0; i < 6; ++i) branches.push_back(decode(6 - i));
  auto shares = schedule(branches, limits(64, 4, 8));
  CHECK(shares.size() == 4);
  CHECK(rows_of(shares, 0) == 0);
  branches.push_back(prompt(10, 100));
  shares = schedule(branches, limits(64, 4, 8));
  CHECK(shares.size() == 4);
  CHECK(rows_of(shares, 6) == 10);
}

TEST_CASE("with room for one sequence prompts and text take turns by what they were served") {
  const std::vector<BranchView> prompt_first{decode(2), prompt(10, 1)};
  CHECK(rows_of(schedule(prompt_first, limits(64, 1, 1)), 1) == 10);
  const std::vector<BranchView> text_first{decode(1), prompt(10, 2)};
  CHECK(rows_of(schedule(text_first, limits(64, 1, 1)), 0) == 1);
  CHECK(rows_of(schedule(prompt_first, limits(1, 8, 8)), 1) == 1);
}

TEST_CASE("rows that want logits are limited apart") {
  BranchView all = prompt(100);
  all.wants_logits = 100;
  const std::vector<BranchView> branches{all};
  CHECK(rows_of(schedule(branches, limits(64, 8, 8)), 0) == 8);
  all.wants_logits = 40;  // the first 60 want none
  const std::vector<BranchView> later{all};
  CHECK(rows_of(schedule(later, limits(64, 8, 8)), 0) == 64);
  CHECK(rows_of(schedule(later, limits(128, 8, 8)), 0) == 68);
}

TEST_CASE("a chunk asked for is kept to") {
  BranchView small = prompt(100);
  small.chunk = 3;
  const std::vector<BranchView> branches{small};
  CHECK(rows_of(schedule(branches, limits(64, 8, 8)), 0) == 3);
}

TEST_CASE("over many steps work is shared by weight, and nobody starves") {
  std::vector<BranchView> branches{prompt(1u << 30), prompt(1u << 30), prompt(1u << 30)};
  const uint32_t weights[] = {16, 4, 1};
  std::vector<uint64_t> rows(3);
  for (int step = 0; step < 4200; ++step)
    for (const Share &share : schedule(branches, limits(8, 8, 8))) {
      rows[share.branch] += share.rows;
      branches[share.branch].served += static_cast<double>(share.rows) / weights[share.branch];
    }
  CHECK(rows[0] + rows[1] + rows[2] == 4200u * 8);
  CHECK(static_cast<double>(rows[0]) / static_cast<double>(rows[1]) == doctest::Approx(4).epsilon(0.02));
  CHECK(static_cast<double>(rows[1]) / static_cast<double>(rows[2]) == doctest::Approx(4).epsilon(0.02));
}

TEST_CASE("a newcomer begins where the least served one is") {
  CHECK(start_level({}) == 0);
  const std::vector<BranchView> branches{prompt(1, 7), prompt(0, 2), decode(9)};
  CHECK(start_level(branches) == 7);
}
