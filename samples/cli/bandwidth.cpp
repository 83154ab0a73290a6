#include "bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

namespace ds_cli {
namespace {

constexpr uint64_t kWords = uint64_t{512} << 17;  // 512 MiB of 8-byte words

uint64_t sum(const uint64_t *from, uint64_t n) {
  uint64_t sums[8] = {};
  for (uint64_t i = 0; i + 8 <= n; i += 8)
    for (uint64_t k = 0; k < 8; ++k) sums[k] += from[i + k];
  uint64_t total = 0;
  for (uint64_t s : sums) total += s;
  return total;
}

}  // namespace

double read_bandwidth(uint32_t threads) {
  if (threads == 0) threads = std::max(1u, std::thread::hardware_concurrency());
  std::vector<uint64_t> words(kWords, 1);
  std::atomic<uint64_t> kept{0};  // keeps the sums from being optimised away
  double best = 0;
  for (int run = 0; run < 3; ++run) {
    std::vector<std::thread> pool;
    const auto start = std::chrono::steady_clock::now();
    for (uint32_t t = 0; t < threads; ++t)
      pool.emplace_back([&, t] {
        const uint64_t begin = kWords * t / threads, end = kWords * (t + 1) / threads;
        kept += sum(words.data() + begin, end - begin);
      });
    for (std::thread &thread : pool) thread.join();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, static_cast<double>(kWords * 8) / seconds);
  }
  return kept ? best : 0;
}

}  // namespace ds_cli
