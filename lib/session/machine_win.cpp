// machine.h on Windows: what the system says of memory.
#include "base/utf16_win.h"
#include "session/machine.h"

namespace deepseam::session {

// The smaller of what is free and what the system would still commit to.
uint64_t available_ram() noexcept {
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  if (!GlobalMemoryStatusEx(&status)) return UINT64_MAX;
  return status.ullAvailPhys < status.ullAvailPageFile ? status.ullAvailPhys : status.ullAvailPageFile;
}

}  // namespace deepseam::session
