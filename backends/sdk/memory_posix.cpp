// memory.h on POSIX systems.
#include <unistd.h>

#include "sdk/memory.h"

namespace deepseam::sdk {
namespace {

uint64_t bytes_of(int pages_name) {
  const long pages = ::sysconf(pages_name), size = ::sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(size) : 0;
}

}  // namespace

uint64_t total_memory() { return bytes_of(_SC_PHYS_PAGES); }

uint64_t free_memory() { return bytes_of(_SC_AVPHYS_PAGES); }

}  // namespace deepseam::sdk
