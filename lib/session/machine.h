// What this machine has: memory that can still be used, and how fast it is read. Measured, never guessed.
#pragma once

#include <cstdint>

#include "base/task_runner.h"

namespace deepseam::session {

// Bytes that can be taken without swapping; UINT64_MAX if the system does not tell.
uint64_t available_ram() noexcept;

// Read bandwidth over all of the runner's threads, in bytes per second, from a few milliseconds of reading; 0 if there
// is no memory for it.
double read_bandwidth(TaskRunner &runner) noexcept;

}  // namespace deepseam::session
