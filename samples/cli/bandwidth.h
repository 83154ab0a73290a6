// What this machine can read from memory per second, measured: the limit that decoding is held against.
#pragma once

#include <cstdint>

namespace ds_cli {

// Bytes per second of `threads` threads (0: one per core) that each sum up their share of 512 MiB; best of three.
double read_bandwidth(uint32_t threads);

}  // namespace ds_cli
