// The memory of this machine, as its system tells it.
#pragma once

#include <cstdint>

namespace deepseam::sdk {

// In bytes; 0 if the system does not tell.
uint64_t total_memory();
uint64_t free_memory();

}  // namespace deepseam::sdk
