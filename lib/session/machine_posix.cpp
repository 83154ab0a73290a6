// machine.h on POSIX systems: what the kernel says of memory. Elsewhere than on Linux it says nothing.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "session/machine.h"

namespace deepseam::session {
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

}  // namespace deepseam::session
