// GGUF files in memory, byte by byte, also impossible ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace deepseam::test {

template <typename T>
std::string gguf_raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::string gguf_text(std::string_view text) { return gguf_raw<uint64_t>(text.size()) + std::string(text); }

// Collects keys and tensors; file() is what a writer would make of them. Counts and the like can be replaced by lies.
struct GgufBuilder {
  std::string keys, infos, data;
  uint64_t n_keys = 0, n_tensors = 0, alignment = 32;
  uint32_t version = 3;

  GgufBuilder &key(std::string_view name, uint32_t type, const std::string &value) {
    keys += gguf_text(name) + gguf_raw(type) + value;
    ++n_keys;
    return *this;
  }
  GgufBuilder &text(std::string_view name, std::string_view value) { return key(name, 8, gguf_text(value)); }
  GgufBuilder &u32(std::string_view name, uint32_t value) { return key(name, 4, gguf_raw(value)); }
  GgufBuilder &u16(std::string_view name, uint16_t value) { return key(name, 2, gguf_raw(value)); }
  GgufBuilder &f32(std::string_view name, float value) { return key(name, 6, gguf_raw(value)); }
  GgufBuilder &flag(std::string_view name, bool value) { return key(name, 7, gguf_raw<uint8_t>(value)); }
  GgufBuilder &texts(std::string_view name, const std::vector<std::string> &values) {
    std::string all = gguf_raw<uint32_t>(8) + gguf_raw<uint64_t>(values.size());
    for (const std::string &value : values) all += gguf_text(value);
    return key(name, 9, all);
  }
  GgufBuilder &integers(std::string_view name, const std::vector<int32_t> &values) {
    std::string all = gguf_raw<uint32_t>(5) + gguf_raw<uint64_t>(values.size());
    for (int32_t value : values) all += gguf_raw(value);
    return key(name, 9, all);
  }
  // An info that says what it likes.
  GgufBuilder &info(std::string_view name, const std::vector<uint64_t> &ne, uint32_t type, uint64_t offset) {
    infos += gguf_text(name) + gguf_raw(static_cast<uint32_t>(ne.size()));
    for (uint64_t dim : ne) infos += gguf_raw(dim);
    infos += gguf_raw(type) + gguf_raw(offset);
    ++n_tensors;
    return *this;
  }
  // A tensor with its bytes, behind the last.
  GgufBuilder &tensor(std::string_view name, const std::vector<uint64_t> &ne, uint32_t type, const std::string &bytes) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    info(name, ne, type, data.size());
    data += bytes;
    return *this;
  }
  std::string header() const { return "GGUF" + gguf_raw(version) + gguf_raw(n_tensors) + gguf_raw(n_keys); }
  std::string file() const {
    std::string all = header() + keys + infos;
    all.resize((all.size() + alignment - 1) / alignment * alignment);
    return all + data;
  }
};

}  // namespace deepseam::test
