// Small files for the tests of format/: built in memory, so that every byte of them is known.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"

namespace deepseam::test {

inline std::span<const uint8_t> bytes_of(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

template <typename T>
std::string raw(const std::vector<T> &values) {
  return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T)};
}

// A source that keeps its own bytes.
inline std::shared_ptr<Source> memory_source(const std::string &name, const std::string &content) {
  struct Kept {
    std::string content;
    std::shared_ptr<Source> source;
  };
  auto kept = std::make_shared<Kept>(Kept{content, {}});
  kept->source = open_memory(name, bytes_of(kept->content)).value();
  return {kept, kept->source.get()};
}

// A folder in memory; `listable` false is a host that only answers to names.
class MemoryFolder final : public Folder {
 public:
  std::map<std::string, std::string> files;
  bool listable = true;

  Result<std::shared_ptr<Source>> open(const std::string &name) const override {
    auto found = files.find(name);
    if (found == files.end()) return fail(DS_E_NOT_FOUND, "test", "no %s", name.c_str());
    return memory_source("mem/" + name, found->second);
  }
  Result<std::vector<std::string>> list() const override {
    std::vector<std::string> names;
    if (listable)
      for (const auto &file : files) names.push_back(file.first);
    return names;
  }
  const std::string &path() const override { return path_; }

 private:
  std::string path_ = "mem";
};

// Length, header, data: a safetensors file whatever the header says.
inline std::string safetensors_file(const std::string &header, const std::string &data) {
  const uint64_t length = header.size();
  std::string file(reinterpret_cast<const char *>(&length), 8);
  return file + header + data;
}

inline Status status_of(const Status &status) { return status; }
template <typename T>
Status status_of(const Result<T> &result) {
  return result.status();
}

inline bool contains(const char *text, const char *part) { return std::strstr(text, part) != nullptr; }

}  // namespace deepseam::test

// The Status or Result failed with this code, and its sentence has this in it.
#define CHECK_FAILS(result, expected_code, part)                                 \
  do {                                                                           \
    const ::deepseam::Status check_status = ::deepseam::test::status_of(result); \
    CHECK_EQ(check_status.code(), expected_code);                                \
    INFO(check_status.message());                                                \
    CHECK(::deepseam::test::contains(check_status.message(), part));             \
  } while (0)
