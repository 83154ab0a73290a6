// Merging: both ways of doing it agree with the definition, whatever the merges.
#include "text/bpe.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <random>

using namespace deepseam;
using namespace deepseam::text;

namespace {

// The definition: again and again the lowest rank, leftmost.
std::vector<uint32_t> by_definition(const std::vector<Merge> &merges, std::vector<uint32_t> ids) {
  for (;;) {
    size_t best_rank = merges.size(), best = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i)
      for (size_t rank = 0; rank < best_rank; ++rank)
        if (merges[rank].left == ids[i] && merges[rank].right == ids[i + 1]) best_rank = rank, best = i;
    if (best_rank == merges.size()) return ids;
    ids[best] = merges[best_rank].result;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
}

}  // namespace

TEST_CASE("bpe: random merges, short and long pieces") {
  std::mt19937_64 rng(3);
  for (int round = 0; round < 300; ++round) {
    std::vector<Merge> merges;
    std::vector<std::pair<uint32_t, uint32_t>> seen;
    uint32_t symbols = 3;
    for (size_t n = rng() % 12; n > 0; --n) {
      Merge merge;
      merge.left = static_cast<uint32_t>(rng() % symbols);
      merge.right = static_cast<uint32_t>(rng() % symbols);
      if (std::find(seen.begin(), seen.end(), std::pair(merge.left, merge.right)) != seen.end()) continue;
      seen.emplace_back(merge.left, merge.right);
      merge.result = symbols++;
      merges.insert(merges.begin() + static_cast<std::ptrdiff_t>(rng() % (merges.size() + 1)), merge);
    }
    MergeTable table(merges);
    std::vector<uint32_t> ids = {7};
    for (size_t n = rng() % 120; n > 0; --n) ids.push_back(static_cast<uint32_t>(rng() % 3));
    std::vector<uint32_t> expected = by_definition(merges, {ids.begin() + 1, ids.end()});
    BpeScratch scratch;
    Poll poll;
    bpe_merge(table, &ids, 1, &scratch, &poll);
    REQUIRE(ids.front() == 7);
    REQUIRE(std::vector<uint32_t>(ids.begin() + 1, ids.end()) == expected);
  }
}

TEST_CASE("bpe: merges come back in rank order, the last of equal pairs counting") {
  std::vector<Merge> merges = {{0, 1, 5}, {1, 2, 6}, {0, 1, 7}};
  std::vector<Merge> ordered = MergeTable(merges).ordered();
  REQUIRE(ordered.size() == 2);
  CHECK(ordered[0].result == 6);
  CHECK(ordered[1].result == 7);
  CHECK(MergeTable().find(0, 1) == nullptr);
}

TEST_CASE("bpe: merges chosen to collide in the table load as quickly as others") {
  // The table's hash without salt, undone: pairs for any wanted hash value.
  constexpr uint64_t kFirst = 0x9E3779B97F4A7C15u, kSecond = 0xBF58476D1CE4E5B9u;
  auto inverse = [](uint64_t odd) {
    uint64_t x = odd;
    for (int i = 0; i < 6; ++i) x *= 2 - odd * x;
    return x;
  };
  std::vector<Merge> merges;
  for (uint64_t i = 0; i < 100'000; ++i) {
    uint64_t hash = i << 24;  // the same low bits for all
    uint64_t key = (hash ^ (hash >> 32)) * inverse(kSecond);
    key = (key ^ (key >> 29) ^ (key >> 58)) * inverse(kFirst);
    Merge merge;
    merge.left = static_cast<uint32_t>(key >> 32);
    merge.right = static_cast<uint32_t>(key);
    merge.result = static_cast<uint32_t>(i);
    merges.push_back(merge);
  }
  auto start = std::chrono::steady_clock::now();
  MergeTable table(merges);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(10));  // all in one chain: minutes
  for (uint32_t i = 0; i < merges.size(); i += 997) {
    const MergeTable::Entry *entry = table.find(merges[i].left, merges[i].right);
    REQUIRE(entry);
    CHECK(entry->result == i);
  }
}
