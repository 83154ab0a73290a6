// What fault tests share: how much to do, and which moments to pick. Sampled by a seed that is printed; everything with
// DS_TEST_FULL in the environment.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace deepseam::fault {

inline bool full() { return std::getenv("DS_TEST_FULL") != nullptr; }

// A seed from DS_SEED, else drawn; printed either way.
inline uint32_t seed(const char *what) {
  const char *given = std::getenv("DS_SEED");
  const uint32_t seed = given ? static_cast<uint32_t>(std::stoul(given)) : std::random_device{}();
  std::cout << what << ": DS_SEED=" << seed << "\n";
  return seed;
}

// Of the moments 1 … n: all if full, else the first and last few and some between.
inline std::vector<uint64_t> moments(uint64_t n, size_t most, const char *what) {
  std::set<uint64_t> picked;
  if (full() || n <= most) {
    for (uint64_t i = 1; i <= n; ++i) picked.insert(i);
  } else {
    std::mt19937_64 random(seed(what));
    for (uint64_t i = 1; i <= 3; ++i) picked.insert({i, n + 1 - i});
    while (picked.size() < most) picked.insert(1 + random() % n);
  }
  return {picked.begin(), picked.end()};
}

}  // namespace deepseam::fault
