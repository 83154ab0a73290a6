// See machine.h.
#include "session/machine.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "session/service.h"

#if defined(_WIN32)
#include <windows.h>
#else
#include <fcntl.h>
#include <unistd.h>
#endif

namespace deepseam::session {

#if defined(_WIN32)

uint64_t available_ram() noexcept {
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  return GlobalMemoryStatusEx(&status) ? status.ullAvailPhys : UINT64_MAX;
}

#else

namespace {

// The number behind `key` in a small text file of the system, in its own unit; UINT64_MAX if there is none.
uint64_t read_number(const char *path, const char *key) noexcept {
  char text[8192];
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return UINT64_MAX;
  const ssize_t n = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (n <= 0) return UINT64_MAX;
  text[n] = 0;
  const char *at = std::strstr(text, key);
  if (!at) return UINT64_MAX;
  at += std::strlen(key);
  while (*at == ' ' || *at == '\t') ++at;
  if (*at < '0' || *at > '9') return UINT64_MAX;
  uint64_t value = 0;
  for (; *at >= '0' && *at <= '9'; ++at) value = value * 10 + static_cast<uint64_t>(*at - '0');
  return value;
}

}  // namespace

// The smaller of what the machine and what a memory limit of the process's group leave.
uint64_t available_ram() noexcept {
  uint64_t bytes = read_number("/proc/meminfo", "MemAvailable:");
  if (bytes != UINT64_MAX) bytes *= 1024;
  const uint64_t limit = read_number("/sys/fs/cgroup/memory.max", "");
  const uint64_t used = read_number("/sys/fs/cgroup/memory.current", "");
  if (limit != UINT64_MAX && used != UINT64_MAX) {
    // Page cache counts as used there, and can be taken.
    const uint64_t cache = read_number("/sys/fs/cgroup/memory.stat", "\ninactive_file ");
    const uint64_t fixed = used - std::min(used, cache == UINT64_MAX ? 0 : cache);
    bytes = std::min(bytes, limit - std::min(limit, fixed));
  }
  return bytes;
}

#endif

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
