// See machine.h; how much memory is left is in machine_posix.cpp and machine_win.cpp.
#include "session/machine.h"

#include <algorithm>
#include <memory>
#include <new>
#include <vector>

#include "session/service.h"

namespace deepseam::session {
namespace {

constexpr uint64_t kBytesPerTask = uint64_t{24} << 20;

struct Reading {
  const uint64_t *words;
  std::vector<uint64_t> sums;
};

void read_part(void *user, uint32_t index) {
  auto &reading = *static_cast<Reading *>(user);
  const uint64_t *words = reading.words + index * (kBytesPerTask / 8);
  uint64_t sum[8] = {};
  for (uint64_t i = 0; i < kBytesPerTask / 8; i += 8)
    for (int j = 0; j < 8; ++j) sum[j] += words[i + static_cast<uint64_t>(j)];
  for (uint64_t part : sum) reading.sums[index] += part;
}

}  // namespace

double read_bandwidth(TaskRunner &runner) noexcept {
  try {
    const uint32_t n = std::clamp(runner.width(), 1u, 16u);
    const std::vector<uint64_t> words(n * (kBytesPerTask / 8), 1);
    Reading reading{words.data(), std::vector<uint64_t>(n)};
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 3; ++i) {
      const uint64_t start = now_ns();
      runner.run(n, read_part, &reading);
      best = std::min(best, now_ns() - start);
    }
    // The sums are all multiples of 3: using one keeps the reading from being left out.
    if (best == 0 || reading.sums[0] % 3 != 0) return 0;
    return static_cast<double>(n * kBytesPerTask) / (static_cast<double>(best) * 1e-9);
  } catch (...) {
    return 0;
  }
}

}  // namespace deepseam::session
