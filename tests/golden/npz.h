// Reads the oracle's records: uncompressed zip archives of .npy arrays. Anything else is a failed test.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace deepseam::golden {

struct Array {
  std::string type;  // "<f4", "<i4", "<i2"
  std::vector<size_t> shape;
  std::string bytes;

  size_t size() const {
    size_t n = 1;
    for (size_t dim : shape) n *= dim;
    return n;
  }
  std::vector<float> floats() const {
    REQUIRE(type == "<f4");
    std::vector<float> out(size());
    std::memcpy(out.data(), bytes.data(), out.size() * 4);
    return out;
  }
  std::vector<int32_t> ints() const {
    std::vector<int32_t> out;
    if (type == "<i4") {
      out.resize(size());
      std::memcpy(out.data(), bytes.data(), out.size() * 4);
      return out;
    }
    REQUIRE(type == "<i2");
    std::vector<int16_t> narrow(size());
    std::memcpy(narrow.data(), bytes.data(), narrow.size() * 2);
    out.assign(narrow.begin(), narrow.end());
    return out;
  }
};

using Record = std::map<std::string, Array>;

inline Array parse_npy(const std::string &npy) {
  REQUIRE(npy.size() > 10);
  REQUIRE(npy.compare(0, 6, "\x93NUMPY") == 0);
  const size_t header = 10 + static_cast<unsigned char>(npy[8]) + 256u * static_cast<unsigned char>(npy[9]);
  const std::string text = npy.substr(10, header - 10);
  Array array;
  const size_t type = text.find("'descr': '") + 10;
  array.type = text.substr(type, text.find('\'', type) - type);
  REQUIRE(text.find("'fortran_order': False") != text.npos);
  for (size_t at = text.find("'shape': (") + 10; text[at] != ')';) {
    size_t dim = 0;
    while (text[at] >= '0' && text[at] <= '9') dim = dim * 10 + static_cast<size_t>(text[at++] - '0');
    array.shape.push_back(dim);
    while (text[at] == ',' || text[at] == ' ') ++at;
  }
  array.bytes = npy.substr(header);
  return array;
}

inline Record read_npz(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  const std::string zip((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  REQUIRE_MESSAGE(!zip.empty(), path);
  auto number = [&](size_t at, size_t n) {
    uint64_t value = 0;
    for (size_t i = 0; i < n; ++i) value |= uint64_t{static_cast<unsigned char>(zip[at + i])} << (8 * i);
    return value;
  };
  // The end record leads to the central directory, which has the sizes.
  const size_t end = zip.rfind("PK\x05\x06");
  REQUIRE(end != zip.npos);
  Record record;
  size_t at = number(end + 16, 4);
  for (uint64_t n = number(end + 10, 2); n; --n) {
    REQUIRE(number(at + 10, 2) == 0);  // stored
    const size_t size = number(at + 20, 4), name_size = number(at + 28, 2), local = number(at + 42, 4);
    const std::string name = zip.substr(at + 46, name_size);
    const size_t data = local + 30 + number(local + 26, 2) + number(local + 28, 2);
    record[name.substr(0, name.size() - 4)] = parse_npy(zip.substr(data, size));
    at += 46 + name_size + number(at + 30, 2) + number(at + 32, 2);
  }
  return record;
}

}  // namespace deepseam::golden
