// Packed integers in the layouts of hf_join.h, made from plain ones one bit pattern at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace deepseam::test {

template <typename T>
std::string bytes_text(const std::vector<T> &values) {
  return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T)};
}

// A safetensors file, tensor by tensor.
class TensorFile {
 public:
  TensorFile &add(const std::string &name, const char *type, const std::vector<uint64_t> &shape,
                  const std::string &bytes) {
    std::string dims;
    for (const uint64_t dim : shape) dims += (dims.empty() ? "" : ",") + std::to_string(dim);
    header_ += (header_.empty() ? "{\"" : ",\"") + name + "\":{\"dtype\":\"" + type + "\",\"shape\":[" + dims +
               "],\"data_offsets\":[" + std::to_string(data_.size()) + "," +
               std::to_string(data_.size() + bytes.size()) + "]}";
    data_ += bytes;
    return *this;
  }
  std::string file() const {
    const std::string header = header_ + "}";
    return bytes_text(std::vector<uint64_t>{header.size()}) + header + data_;
  }

 private:
  std::string header_, data_;
};

// An [out, in] weight: integers and, for each group of inputs, zeros and binary16 scales ([out][G]).
struct Int4Sample {
  uint64_t out = 0, in = 0, group = 0;
  std::vector<std::vector<uint32_t>> integers, zeros;
  std::vector<std::vector<uint16_t>> scales;
  std::vector<uint32_t> group_of;

  uint64_t groups() const { return (in + group - 1) / group; }

  static Int4Sample random(uint64_t out, uint64_t in, uint64_t group, uint64_t seed) {
    Int4Sample s{out, in, group, {}, {}, {}, {}};
    const auto next = [&] {
      return static_cast<uint32_t>((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 33);
    };
    for (uint64_t r = 0; r < out; ++r) {
      s.integers.emplace_back(), s.zeros.emplace_back(), s.scales.emplace_back();
      for (uint64_t i = 0; i < in; ++i) s.integers[r].push_back(next() % 16);
      for (uint64_t g = 0; g < s.groups(); ++g) {
        s.zeros[r].push_back(next() % 16);
        s.scales[r].push_back(static_cast<uint16_t>(0x2000 + next() % 0x0800));  // 2^-7 to 2^-5
      }
    }
    for (uint64_t i = 0; i < in; ++i) s.group_of.push_back(static_cast<uint32_t>(i / group));
    return s;
  }
};

// Words of eight integers, the k-th at bit 4k; `at(word row, word column, k)` says which.
template <typename At>
std::string words(uint64_t rows, uint64_t cols, At at) {
  std::vector<uint32_t> all;
  for (uint64_t r = 0; r < rows; ++r)
    for (uint64_t c = 0; c < cols; ++c) {
      uint32_t word = 0;
      for (uint64_t k = 0; k < 8; ++k) word |= (at(r, c, k) & 15u) << 4 * k;
      all.push_back(word);
    }
  return bytes_text(all);
}

inline std::string column_scales(const Int4Sample &s) {
  std::vector<uint16_t> all;
  for (uint64_t g = 0; g < s.groups(); ++g)
    for (uint64_t r = 0; r < s.out; ++r) all.push_back(s.scales[r][g]);
  return bytes_text(all);
}

// Both with all that belongs to module "m"; `leave` names what is left out.
inline std::string awq_file(const Int4Sample &s, const std::string &leave = "") {
  constexpr uint64_t kOrder[8] = {0, 2, 4, 6, 1, 3, 5, 7};
  TensorFile file;
  const uint64_t out8 = s.out / 8;
  file.add("m.qweight", "I32", {s.in, out8},
           words(s.in, out8, [&](uint64_t i, uint64_t c, uint64_t k) { return s.integers[8 * c + kOrder[k]][i]; }));
  if (leave != "zeros")
    file.add("m.qzeros", "I32", {s.groups(), out8}, words(s.groups(), out8, [&](uint64_t g, uint64_t c, uint64_t k) {
               return s.zeros[8 * c + kOrder[k]][g];
             }));
  if (leave != "scales") file.add("m.scales", "F16", {s.groups(), s.out}, column_scales(s));
  return file.file();
}

inline std::string gptq_file(const Int4Sample &s, uint32_t zero_less, const std::string &leave = "") {
  TensorFile file;
  const uint64_t out8 = (s.out + 7) / 8;
  file.add("m.qweight", "I32", {s.in / 8, s.out},
           words(s.in / 8, s.out, [&](uint64_t i, uint64_t r, uint64_t k) { return s.integers[r][8 * i + k]; }));
  const auto zero = [&](uint64_t g, uint64_t c, uint64_t k) {
    return 8 * c + k < s.out ? s.zeros[8 * c + k][g] - zero_less : 0u;
  };
  if (leave != "zeros") file.add("m.qzeros", "I32", {s.groups(), out8}, words(s.groups(), out8, zero));
  if (leave != "scales") file.add("m.scales", "F16", {s.groups(), s.out}, column_scales(s));
  if (leave != "groups") file.add("m.g_idx", "I32", {s.in}, bytes_text(s.group_of));
  return file.file();
}

inline std::string rows_file(const Int4Sample &s, bool zeros, bool groups) {
  TensorFile file;
  file.add("m.weight_packed", "I32", {s.out, s.in / 8},
           words(s.out, s.in / 8, [&](uint64_t r, uint64_t i, uint64_t k) { return s.integers[r][8 * i + k]; }));
  std::vector<uint16_t> scales;
  for (const auto &row : s.scales) scales.insert(scales.end(), row.begin(), row.end());
  file.add("m.weight_scale", "F16", {s.out, s.groups()}, bytes_text(scales));
  const uint64_t out8 = (s.out + 7) / 8;
  const auto zero = [&](uint64_t c, uint64_t g, uint64_t k) { return 8 * c + k < s.out ? s.zeros[8 * c + k][g] : 0u; };
  if (zeros) file.add("m.weight_zero_point", "I32", {out8, s.groups()}, words(out8, s.groups(), zero));
  if (groups) file.add("m.weight_g_idx", "I32", {s.in}, bytes_text(s.group_of));
  file.add("m.weight_shape", "I64", {2},
           bytes_text(std::vector<int64_t>{static_cast<int64_t>(s.out), static_cast<int64_t>(s.in)}));
  return file.file();
}

}  // namespace deepseam::test
