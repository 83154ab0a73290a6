// GGUF files, versions 2 and 3, little-endian: metadata, tensor list, and split files as one.
//
//   "GGUF" · version u32 · tensors u64 · keys u64 · key values · tensor infos · padding · data
//   key value: text key, type u32, value; text: length u64, bytes; array: type u32, count u64, elements
//   tensor info: text name, dims u32, dims u64 (contiguous first), type u32, offset u64 from where the data begins
//
// Reads the header only. Every length, count and offset is checked against the file before it is used; what a file says
// of itself twice (keys, names, overlapping ranges) is refused. What keys mean is gguf_config's work, what tensors are
// called model/weights'. Shapes come out row-major like everywhere else in this library.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/status.h"
#include "format/tensors.h"

namespace deepseam {

enum class GgufType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kText,
  kArray,
  kU64,
  kI64,
  kF64,
  kCount
};

// Keys and values of one file. Texts are views into it.
class GgufMetadata {
 public:
  // Nothing where the key is missing or has another kind of value. Integers of any width and sign that fit; numbers
  // take integers too; flags only bools.
  std::optional<int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> flag(std::string_view key) const;
  std::optional<std::string_view> text(std::string_view key) const;
  // Arrays of texts, of integers, of numbers; empty where there is none of that kind.
  std::vector<std::string_view> texts(std::string_view key) const;
  std::vector<int32_t> integers(std::string_view key) const;
  bool has(std::string_view key) const;
  size_t size() const { return values_.size(); }
  std::span<const uint8_t> bytes() const { return *bytes_; }  // the header as it is in the file

 private:
  friend class GgufReader;
  struct Value {
    GgufType type = GgufType::kCount, element = GgufType::kCount;
    uint64_t count = 0;  // elements of an array
    uint64_t at = 0;     // the value, a text without its length, or the first element, in bytes_
    uint64_t bytes = 0;
  };
  const Value *find(std::string_view key) const;
  std::optional<int64_t> integer_at(GgufType type, uint64_t at) const;

  std::shared_ptr<const std::vector<uint8_t>> bytes_;
  std::unordered_map<std::string, Value> values_;
};

struct GgufFile {
  TensorDirectory tensors;  // a source for each part
  GgufMetadata metadata;    // of the part that is first
  uint32_t version = 0;
};

bool is_gguf(std::span<const uint8_t> first_bytes);

// One whole file. DS_E_FORMAT: not GGUF, or damaged; DS_E_UNSUPPORTED: version 1, a newer one, or big-endian;
// A part of a split model is put together with the others, which `beside` has as "-00001-of-00003.gguf" and so on, this
// one among them; without `beside` it is DS_E_NOT_FOUND.
Result<GgufFile> open_gguf(std::shared_ptr<Source> source, const Folder *beside = nullptr);

// `name` in `folder`, and if it is a part of a split model (NAME-00002-of-00003.gguf) all others, in whatever order
// their numbers on disk and in the files are. DS_E_NOT_FOUND names the part that is missing.
Result<GgufFile> open_gguf(const Folder &folder, const std::string &name);

// The file to open where a folder holds one GGUF model; empty if it holds none. DS_E_ARGUMENT: it holds several.
Result<std::string> find_gguf(const Folder &folder);

}  // namespace deepseam
