// memory.h on Windows.
#include <windows.h>

#include "sdk/memory.h"

namespace deepseam::sdk {
namespace {

MEMORYSTATUSEX memory_status() {
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  return GlobalMemoryStatusEx(&status) ? status : MEMORYSTATUSEX{};
}

}  // namespace

uint64_t total_memory() { return memory_status().ullTotalPhys; }

uint64_t free_memory() { return memory_status().ullAvailPhys; }

}  // namespace deepseam::sdk
