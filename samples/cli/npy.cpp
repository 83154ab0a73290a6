#include "npy.h"

#include <fstream>

#include "host.h"

namespace ds_cli {

void write_npy(const std::string &path, const float *values, uint64_t rows, uint64_t cols) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ", " +
                       std::to_string(cols) + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ');  // data starts at a multiple of 64
  header += '\n';
  std::ofstream file(path, std::ios::binary);
  file.write("\x93NUMPY\x01\x00", 8);
  file.put(static_cast<char>(header.size() & 255)).put(static_cast<char>(header.size() >> 8));
  file.write(header.data(), static_cast<std::streamsize>(header.size()));
  file.write(reinterpret_cast<const char *>(values), static_cast<std::streamsize>(rows * cols * sizeof(float)));
  file.close();
  if (!file) throw Failure(path + ": cannot be written");
}

}  // namespace ds_cli
