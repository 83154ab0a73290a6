// Writing a float32 matrix as a NumPy .npy file (format version 1.0).
#pragma once

#include <cstdint>
#include <string>

namespace ds_cli {

void write_npy(const std::string &path, const float *values, uint64_t rows, uint64_t cols);

}  // namespace ds_cli
