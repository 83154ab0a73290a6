#include "tensors.h"

#include <cmath>
#include <cstring>

#include "base/half.h"

namespace conformance {
namespace {

// e4m3 by its definition: bias 7, steps of 2^-9 below 2^-6.
double e4m3(uint8_t code) {
  const int exponent = code >> 3 & 15, mantissa = code & 7;
  const double size = exponent ? std::ldexp(1 + mantissa / 8.0, exponent - 7) : mantissa * std::ldexp(1.0, -9);
  return code & 128 ? -size : size;
}

void put16(std::vector<uint8_t> *bytes, uint16_t value) {
  bytes->push_back(static_cast<uint8_t>(value));
  bytes->push_back(static_cast<uint8_t>(value >> 8));
}

// One row of 32-element blocks, with rubbish in the padding of the last one.
void block_row(Random &random, DType dtype, uint64_t cols, double size, std::vector<uint8_t> *bytes,
               std::vector<double> *values) {
  for (uint64_t begin = 0; begin < cols; begin += 32) {
    const double step = size / (dtype == DType::kQ8_0 ? 127 : dtype == DType::kQ5_0 ? 16 : 8);
    const uint16_t scale = deepseam::f32_to_f16(static_cast<float>(step * (0.5 + random.uniform())));
    const double d = deepseam::f16_to_f32(scale);
    put16(bytes, scale);
    double least = dtype == DType::kQ4_0 ? -8 * d : dtype == DType::kQ5_0 ? -16 * d : 0;  // what level 0 stands for
    if (dtype == DType::kQ4_1) {
      const uint16_t bits = deepseam::f32_to_f16(static_cast<float>(-step * (4 + 8 * random.uniform())));
      put16(bytes, bits);
      least = deepseam::f16_to_f32(bits);
    }
    const uint32_t fifth = dtype == DType::kQ5_0 ? static_cast<uint32_t>(random.next()) : 0;  // bit i: of element i
    if (dtype == DType::kQ5_0) {
      put16(bytes, static_cast<uint16_t>(fifth));
      put16(bytes, static_cast<uint16_t>(fifth >> 16));
    }
    const size_t codes = bytes->size();
    const size_t n_bytes = dtype == DType::kQ8_0 ? 32 : 16;
    for (size_t i = 0; i < n_bytes; ++i) bytes->push_back(static_cast<uint8_t>(random.next()));
    for (uint64_t i = 0; i < 32 && begin + i < cols; ++i) {
      const uint8_t code = (*bytes)[codes + (dtype == DType::kQ8_0 ? i : i % 16)];
      if (dtype == DType::kQ8_0)
        values->push_back(d * static_cast<int8_t>(code));
      else
        values->push_back(d * ((i < 16 ? code % 16 : code / 16) + (fifth >> i) % 2 * 16) + least);
    }
  }
}

bool is_large_block(DType dtype) { return deepseam::dtype_info(dtype).block_elements == 256; }

// The 6-bit scale (or minimum: `from` 4) of group `g` of eight: of the first four in bits 0-5 of a byte of its own, of
// the others four bits behind those and two above the first ones'.
int six_bits(const uint8_t *packed, uint64_t g, int from) {
  if (g < 4) return packed[g + static_cast<uint64_t>(from)] % 64;
  const uint8_t both = packed[g + 4];
  return (from ? both / 16 : both % 16) + packed[g - 4 + static_cast<uint64_t>(from)] / 64 * 16;
}

// Element `e` of a block of Q4_K, Q5_K or Q6_K.
double large_block_value(DType dtype, const uint8_t *block, uint64_t e) {
  const auto half = [&](uint64_t at) {
    return double{deepseam::f16_to_f32(static_cast<uint16_t>(block[at] | block[at + 1] << 8))};
  };
  if (dtype == DType::kQ6_K) {
    const uint64_t part = e / 128, quarter = e % 128 / 32,
                   i = e % 32;  // a byte has an element of quarter 0 or 1, and 2 or 3
    const uint8_t low = block[part * 64 + quarter % 2 * 32 + i], high = block[128 + part * 32 + i];
    const int number = (quarter < 2 ? low % 16 : low / 16) + (high >> 2 * quarter) % 4 * 16;
    return half(208) * static_cast<int8_t>(block[192 + e / 16]) * (number - 32);
  }
  const bool five = dtype == DType::kQ5_K;
  const uint64_t g = e / 32, i = e % 32;
  const uint8_t both = block[(five ? 48 : 16) + g / 2 * 32 + i];
  const int number = (g % 2 ? both / 16 : both % 16) + (five ? (block[16 + i] >> g) % 2 * 16 : 0);
  return half(0) * six_bits(block + 4, g, 0) * number - half(2) * six_bits(block + 4, g, 4);
}

// One row of 256-element blocks of random bits under scales that make their numbers `size` large.
void large_block_row(Random &random, DType dtype, uint64_t cols, double size, std::vector<uint8_t> *bytes,
                     std::vector<double> *values) {
  for (uint64_t begin = 0; begin < cols; begin += 256) {
    std::vector<uint8_t> block(deepseam::dtype_info(dtype).block_bytes);
    for (uint8_t &byte : block) byte = static_cast<uint8_t>(random.next());
    const auto put = [&](uint64_t at, double value) {
      const uint16_t bits = deepseam::f32_to_f16(static_cast<float>(value));
      block[at] = static_cast<uint8_t>(bits);
      block[at + 1] = static_cast<uint8_t>(bits >> 8);
    };
    const double levels = dtype == DType::kQ4_K ? 15 : 31, step = 0.5 + random.uniform();
    if (dtype == DType::kQ6_K) {
      put(208, step * size / 2048);
    } else {
      put(0, step * size / (32 * levels));
      put(2, step * size / 64);  // half of the numbers are below zero
    }
    bytes->insert(bytes->end(), block.begin(), block.end());
    for (uint64_t i = 0; i < 256 && begin + i < cols; ++i) values->push_back(large_block_value(dtype, block.data(), i));
  }
}

void plain_row(Random &random, DType dtype, uint64_t cols, double size, std::vector<uint8_t> *bytes,
               std::vector<double> *values) {
  for (uint64_t i = 0; i < cols; ++i) {
    const float value = static_cast<float>(size * random.signed_unit());
    if (dtype == DType::kF32) {
      uint32_t bits;
      std::memcpy(&bits, &value, 4);
      put16(bytes, static_cast<uint16_t>(bits));
      put16(bytes, static_cast<uint16_t>(bits >> 16));
      values->push_back(value);
    } else if (dtype == DType::kF16) {
      put16(bytes, deepseam::f32_to_f16(value));
      values->push_back(deepseam::f16_to_f32(deepseam::f32_to_f16(value)));
    } else if (dtype == DType::kBF16) {
      put16(bytes, deepseam::f32_to_bf16(value));
      values->push_back(deepseam::bf16_to_f32(deepseam::f32_to_bf16(value)));
    } else {
      uint8_t code = static_cast<uint8_t>(random.next());
      if ((code & 127) == 127) code ^= 1;  // NaN
      bytes->push_back(code);
      values->push_back(e4m3(code));
    }
  }
}

// Scales of one part of `rows` rows per matrix, applied to its values.
std::vector<float> scale(Random &random, const Tensor &tensor, uint64_t matrices, uint64_t rows, double size,
                         double *values) {
  const uint64_t cols = tensor.cols();
  const uint64_t scale_rows = (rows + tensor.block_rows - 1) / tensor.block_rows;
  const uint64_t scale_cols = (cols + tensor.block_cols - 1) / tensor.block_cols;
  std::vector<float> scales(matrices * scale_rows * scale_cols);
  for (float &value : scales) value = static_cast<float>(size / 240 * (0.5 + random.uniform()));
  for (uint64_t m = 0; m < matrices; ++m)
    for (uint64_t i = 0; i < rows; ++i)
      for (uint64_t j = 0; j < cols; ++j)
        values[(m * rows + i) * cols + j] *=
            scales[(m * scale_rows + i / tensor.block_rows) * scale_cols + j / tensor.block_cols];
  return scales;
}

}  // namespace

uint64_t Random::next() {
  uint64_t z = state_ += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

Tensor make_tensor(Random &random, const Storage &storage, std::vector<uint64_t> dims, double size) {
  Tensor tensor;
  tensor.dtype = storage.dtype;
  tensor.dims = dims;
  tensor.block_rows = storage.block_rows;
  tensor.block_cols = storage.block_cols;
  uint64_t rows = 1;
  for (size_t i = 0; i + 1 < dims.size(); ++i) rows *= dims[i];
  const uint64_t n_parts = storage.stacked ? dims[0] : 1;
  const uint64_t matrices = dims.size() > 2 && !storage.stacked ? dims[0] : 1;
  for (uint64_t part = 0; part < n_parts; ++part) {
    const size_t first = tensor.values.size();
    tensor.parts.emplace_back();
    for (uint64_t i = 0; i < rows / n_parts; ++i) {
      if (is_large_block(storage.dtype))
        large_block_row(random, storage.dtype, tensor.cols(), size, &tensor.parts.back(), &tensor.values);
      else if (deepseam::dtype_info(storage.dtype).block_elements > 1)
        block_row(random, storage.dtype, tensor.cols(), size, &tensor.parts.back(), &tensor.values);
      else
        plain_row(random, storage.dtype, tensor.cols(), size, &tensor.parts.back(), &tensor.values);
    }
    if (storage.block_rows)
      tensor.scales.push_back(
          scale(random, tensor, matrices, rows / n_parts / matrices, size, tensor.values.data() + first));
  }
  return tensor;
}

Tensor exact_tensor(std::vector<uint64_t> dims, const std::vector<float> &values) {
  Tensor tensor;
  tensor.dims = std::move(dims);
  tensor.values.assign(values.begin(), values.end());
  tensor.parts.emplace_back(values.size() * sizeof(float));
  std::memcpy(tensor.parts[0].data(), values.data(), tensor.parts[0].size());
  return tensor;
}

std::vector<float> random_floats(Random &random, size_t n, double size) {
  std::vector<float> values(n);
  for (float &value : values) value = static_cast<float>(size * random.signed_unit());
  return values;
}

}  // namespace conformance
