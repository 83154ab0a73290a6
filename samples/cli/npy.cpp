#include "npy.h"

#include <cstdio>

#include "console.h"
#include "host.h"

namespace ds_cli {

void write_npy(const std::string &path, const float *values, uint64_t rows, uint64_t cols) {
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ", " +
                       std::to_string(cols) + "), }";
  header.append(63 - (10 + header.size()) % 64, ' ');  // data starts at a multiple of 64
  header += '\n';
  const char front[] = {'\x93',
                        'N',
                        'U',
                        'M',
                        'P',
                        'Y',
                        1,
                        0,
                        static_cast<char>(header.size() & 255),
                        static_cast<char>(header.size() >> 8)};
  std::FILE *file = open_file(path, "wb");
  if (!file) throw Failure(path + ": cannot be opened for writing");
  const uint64_t n = rows * cols;
  const bool written = std::fwrite(front, 1, sizeof front, file) == sizeof front &&
                       std::fwrite(header.data(), 1, header.size(), file) == header.size() &&
                       std::fwrite(values, sizeof(float), n, file) == n;
  if (std::fclose(file) != 0 || !written) throw Failure(path + ": cannot be written");
}

}  // namespace ds_cli
