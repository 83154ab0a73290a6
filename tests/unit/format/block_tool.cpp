// Blocks on stdin to numbers on stdout, for the comparison with another implementation (block_parity_test.py):
//   block_tool list                  names, elements and bytes of the block formats
//   block_tool decode TYPE COLS      rows of COLS numbers as float32
//   block_tool repack TYPE COLS      the rows in the format that backends get; the first line on stderr names it
//   block_tool encode TYPE COLS      float32 rows on stdin, stored rows on stdout
//   block_tool plain TYPE COLS       the same without a search for scales
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "format/blocks.h"
#include "format/repack.h"

using namespace deepseam;

namespace {

std::vector<uint8_t> standard_input() {
  std::vector<uint8_t> bytes;
  uint8_t buffer[65536];
  for (size_t n; (n = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;) bytes.insert(bytes.end(), buffer, buffer + n);
  return bytes;
}

int list() {
#define DS_DTYPE(name, id, text, elements, bytes) std::printf("%s %d %d\n", text, elements, bytes);
#include "base/dtype.def"
#undef DS_DTYPE
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  const std::string action = argc > 1 ? argv[1] : "";
  if (action == "list") return list();
  const DType dtype = argc == 4 ? dtype_from_name(argv[2]) : DType::kNone;
  if (dtype == DType::kNone) return std::fprintf(stderr, "usage: block_tool decode|repack|encode|plain TYPE COLS\n"), 2;
  const uint64_t cols = std::strtoull(argv[3], nullptr, 10);
  const std::vector<uint8_t> in = standard_input();
  std::vector<uint8_t> out;
  Status status;
  if (action == "encode" || action == "plain") {
    const uint64_t rows = in.size() / sizeof(float) / cols;
    out.resize(rows * row_bytes(dtype, cols));
    status = encode_rows(dtype, reinterpret_cast<const float *>(in.data()), rows, cols, out.data(), {"stdin", 0},
                         {nullptr, action == "plain"});
  } else {
    const uint64_t rows = in.size() / row_bytes(dtype, cols);
    const bool repack = action == "repack";
    const DType to = basic_dtype(dtype);
    out.resize(rows * (repack ? row_bytes(to, cols) : cols * sizeof(float)));
    if (repack)
      status = repack_rows(dtype, to, in.data(), rows, cols, out.data(), {"stdin", 0});
    else
      decode_rows(dtype, in.data(), rows, cols, reinterpret_cast<float *>(out.data()));
    if (repack) std::fprintf(stderr, "%s\n", dtype_info(to).name);
  }
  if (!status.ok()) return std::fprintf(stderr, "%s\n", status.message()), 1;
  return std::fwrite(out.data(), 1, out.size(), stdout) == out.size() ? 0 : 1;
}
