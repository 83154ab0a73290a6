// Reads the header of one GGUF file. Private to gguf.cpp and gguf_split.cpp.
#pragma once

#include "format/gguf.h"

namespace deepseam {

class GgufReader {
 public:
  explicit GgufReader(std::shared_ptr<Source> source) : source_(std::move(source)) {}
  // A file, or one part of a split model as if it were a file of its own.
  Result<GgufFile> read();

 private:
  Status wrong(uint64_t offset, const std::string &what) const;
  Status need(uint64_t n, const char *what);
  template <typename T>
  Status take(const char *what, T *value);
  Status take_text(const char *what, uint64_t limit, std::string_view *text);  // a view until more is read
  Status read_start();
  Status read_key();
  Status read_array(const std::string &what, GgufMetadata::Value *value);
  Status read_alignment();
  Status read_info();
  Status check_ranges();

  std::shared_ptr<Source> source_;
  GgufFile file_;
  std::vector<uint8_t> bytes_;  // the file from its beginning, as far as it was needed
  uint64_t at_ = 0, n_tensors_ = 0, n_keys_ = 0, alignment_ = 32;
};

}  // namespace deepseam
