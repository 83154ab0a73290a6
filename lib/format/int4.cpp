// See int4.h. A few rows at a time: integers are spread to a byte each, in the order of the inputs.
#include "format/int4.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/half.h"
#include "format/repack.h"
#include "format/tensor_read.h"

namespace deepseam {
namespace {

// Rows at once: 16 words of eight outputs are a cache line of the orders that run along the outputs.
constexpr uint64_t kRows = 128, kEight = 8, kBlock = 32, kWord = 4;
constexpr uint8_t kAwqOrder[kEight] = {0, 2, 4, 6, 1, 3, 5, 7};

uint64_t eighths(uint64_t n) { return n / kEight + (n % kEight != 0); }

uint32_t word_at(const uint8_t *bytes) {
  uint32_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

float scale_at(DType type, const uint8_t *bytes) {
  if (type == DType::kF32) {
    float value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
  }
  uint16_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return type == DType::kF16 ? f16_to_f32(bits) : bf16_to_f32(bits);
}

// Columns [offset, offset + width) in bytes of every row of a stored matrix, one row after the other.
Status read_strip(const TensorDirectory &directory, const ByteRange &range, uint64_t rows, uint64_t row_bytes,
                  uint64_t offset, uint64_t width, std::vector<uint8_t> *into) {
  into->resize(rows * width);
  if (width == row_bytes) return read_range(directory, range, 0, *into);
  const auto view = view_range(directory, range);
  for (uint64_t row = 0; row < rows; ++row) {
    uint8_t *at = into->data() + row * width;
    if (view.empty())
      DS_TRY(read_range(directory, range, row * row_bytes + offset, {at, width}));
    else
      std::memcpy(at, view.data() + row * row_bytes + offset, width);
  }
  return {};
}

}  // namespace

Int4Rows::Int4Rows(const TensorDirectory &directory, const TensorInfo &tensor)
    : directory_(&directory), tensor_(&tensor), int4_(tensor.int4.get()), inputs_(tensor.cols()) {
  groups_ = inputs_ / int4_->group + (inputs_ % int4_->group != 0);
  // An odd number of cache lines, so that the rows of a column do not meet in the same few sets.
  stride_ = (eighths(inputs_) * kEight / 64 + 1) * 64;
  if (stride_ / 64 % 2 == 0) stride_ += 64;
}

Result<Int4Rows> Int4Rows::open(const TensorDirectory &directory, const TensorInfo &tensor) {
  Int4Rows rows(directory, tensor);
  if (tensor.int4->group_of.bytes) DS_TRY(rows.read_groups());
  return rows;
}

Status Int4Rows::read_groups() {
  group_of_.resize(inputs_);
  DS_TRY(read_range(*directory_, int4_->group_of, 0,
                    {reinterpret_cast<uint8_t *>(group_of_.data()), inputs_ * sizeof(uint32_t)}));
  const std::string name = int4_->name + (int4_->order == Int4Groups::Order::kRows ? ".weight_g_idx" : ".g_idx");
  for (uint64_t i = 0; i < inputs_; ++i) {
    if (group_of_[i] >= groups_)
      return fail(DS_E_FORMAT, "format", "tensor '%s': input %llu is of group %d, expected 0 to %llu", name.c_str(),
                  static_cast<unsigned long long>(i), static_cast<int>(group_of_[i]),
                  static_cast<unsigned long long>(groups_ - 1));
    if (!int4_->scattered && group_of_[i] != i / int4_->group)
      return fail(DS_E_FORMAT, "format",
                  "tensor '%s': input %llu is of group %u, expected %llu, as the configuration has no act order",
                  name.c_str(), static_cast<unsigned long long>(i), group_of_[i],
                  static_cast<unsigned long long>(i / int4_->group));
  }
  if (!int4_->scattered) group_of_.clear();
  return {};
}

Status Int4Rows::load_integers(uint64_t first_row, uint64_t n_rows) {
  integers_.resize((n_rows + 2 * kEight) * stride_);
  const uint64_t outputs = tensor_->rows(), input_words = eighths(inputs_);
  if (int4_->order == Int4Groups::Order::kAwq) {
    const uint64_t begin = first_row / kEight, words = eighths(first_row + n_rows) - begin;
    DS_TRY(read_strip(*directory_, tensor_->range, inputs_, outputs / kEight * kWord, begin * kWord, words * kWord,
                      &raw_));
    for (uint64_t i = 0; i < inputs_; ++i)
      for (uint64_t w = 0; w < words; ++w) {
        const uint32_t word = word_at(raw_.data() + (i * words + w) * kWord);
        uint8_t *column = integers_.data() + w * kEight * stride_ + i;
        for (uint32_t j = 0; j < kEight; ++j) column[kAwqOrder[j] * stride_] = word >> 4 * j & 15;
      }
    return {};
  }
  const bool gptq = int4_->order == Int4Groups::Order::kGptq;
  if (gptq) {
    DS_TRY(read_strip(*directory_, tensor_->range, input_words, outputs * kWord, first_row * kWord, n_rows * kWord,
                      &raw_));
  } else {
    raw_.resize(n_rows * input_words * kWord);
    DS_TRY(read_range(*directory_, tensor_->range, first_row * input_words * kWord, raw_));
  }
  for (uint64_t row = 0; row < n_rows; ++row)
    for (uint64_t w = 0; w < input_words; ++w) {
      const uint32_t word = word_at(raw_.data() + (gptq ? w * n_rows + row : row * input_words + w) * kWord);
      uint8_t *at = integers_.data() + row * stride_ + w * kEight;
      for (uint32_t j = 0; j < kEight; ++j) at[j] = word >> 4 * j & 15;
    }
  return {};
}

Status Int4Rows::load_scales(uint64_t first_row, uint64_t n_rows) {
  const uint64_t size = dtype_info(int4_->scale_type).block_bytes;
  const bool rows = int4_->order == Int4Groups::Order::kRows;
  scales_.resize(n_rows * groups_);
  if (rows) {
    raw_.resize(n_rows * groups_ * size);
    DS_TRY(read_range(*directory_, int4_->scales, first_row * groups_ * size, raw_));
  } else {
    DS_TRY(read_strip(*directory_, int4_->scales, groups_, tensor_->rows() * size, first_row * size, n_rows * size,
                      &raw_));
  }
  for (uint64_t row = 0; row < n_rows; ++row)
    for (uint64_t g = 0; g < groups_; ++g)
      scales_[row * groups_ + g] =
          scale_at(int4_->scale_type, raw_.data() + (rows ? row * groups_ + g : g * n_rows + row) * size);
  return {};
}

Status Int4Rows::load_zeros(uint64_t first_row, uint64_t n_rows) {
  zeros_.assign(n_rows * groups_, 8);
  if (!int4_->zeros.bytes) return {};
  const uint64_t begin = first_row / kEight, words = eighths(first_row + n_rows) - begin;
  const bool by_rows = int4_->order == Int4Groups::Order::kRows;
  if (by_rows) {
    raw_.resize(words * groups_ * kWord);
    DS_TRY(read_range(*directory_, int4_->zeros, begin * groups_ * kWord, raw_));
  } else {
    DS_TRY(read_strip(*directory_, int4_->zeros, groups_, eighths(tensor_->rows()) * kWord, begin * kWord,
                      words * kWord, &raw_));
  }
  uint8_t place[kEight];  // of each of eight outputs in its word
  for (uint8_t j = 0; j < kEight; ++j) place[int4_->order == Int4Groups::Order::kAwq ? kAwqOrder[j] : j] = j;
  for (uint64_t row = 0; row < n_rows; ++row) {
    const uint64_t output = first_row + row, w = output / kEight - begin;
    const uint32_t shift = 4u * place[output % kEight];
    for (uint64_t g = 0; g < groups_; ++g) {
      const uint32_t word = word_at(raw_.data() + (by_rows ? w * groups_ + g : g * words + w) * kWord);
      zeros_[row * groups_ + g] = static_cast<uint8_t>(((word >> shift) + int4_->zero_added) & 15);
    }
  }
  return {};
}

// first_row is a multiple of eight.
Status Int4Rows::load(uint64_t first_row, uint64_t n_rows) {
  DS_TRY(load_integers(first_row, n_rows));
  DS_TRY(load_scales(first_row, n_rows));
  return load_zeros(first_row, n_rows);
}

void Int4Rows::row_values(uint64_t row, float *out) {
  const uint8_t *integers = integers_.data() + row * stride_;
  const float *scales = scales_.data() + row * groups_;
  const uint8_t *zeros = zeros_.data() + row * groups_;
  if (group_of_.empty()) {
    for (uint64_t begin = 0, g = 0; begin < inputs_; begin += int4_->group, ++g) {
      const uint64_t end = inputs_ - begin < int4_->group ? inputs_ : begin + int4_->group;
      const int zero = zeros[g];
      for (uint64_t i = begin; i < end; ++i) out[i] = scales[g] * static_cast<float>(integers[i] - zero);
    }
    return;
  }
  // All sixteen numbers of each group, so that an input takes one look-up.
  numbers_.resize(groups_ * 16);
  for (uint64_t g = 0; g < groups_; ++g)
    for (int q = 0; q < 16; ++q)
      numbers_[g * 16 + static_cast<uint64_t>(q)] = scales[g] * static_cast<float>(q - zeros[g]);
  for (uint64_t i = 0; i < inputs_; ++i) out[i] = numbers_[group_of_[i] * 16 + integers[i]];
}

Status Int4Rows::read(uint64_t first_row, uint64_t n_rows, float *out) {
  while (n_rows > 0) {
    const uint64_t begin = first_row / kEight * kEight, count = std::min(n_rows, begin + kRows - first_row);
    DS_TRY(load(begin, first_row + count - begin));
    for (uint64_t i = 0; i < count; ++i, out += inputs_) row_values(first_row - begin + i, out);
    first_row += count;
    n_rows -= count;
  }
  return {};
}

// Row `row` of those loaded, which is the tensor's `name`, as Q4_0 or Q4_1.
Status Int4Rows::put_row(uint64_t row, uint64_t name, uint8_t *out) const {
  const bool least = tensor_->dtype == DType::kQ4_1;
  const uint8_t *integers = integers_.data() + row * stride_;
  for (uint64_t col = 0; col < inputs_; col += kBlock, out += kBlock / 2) {
    const uint64_t at = row * groups_ + group_at(col);
    const uint16_t bits[2] = {f32_to_f16(scales_[at]), f32_to_f16(-(scales_[at] * static_cast<float>(zeros_[at])))};
    if (!least && zeros_[at] != 8)
      return fail(
          DS_E_FORMAT, "format",
          "tensor '%s', row %llu, columns from %llu: the zero is %u, expected 8, as the configuration says that "
          "levels are symmetric",
          tensor_->name.c_str(), static_cast<unsigned long long>(name), static_cast<unsigned long long>(col),
          zeros_[at]);
    if ((bits[0] & 0x7c00u) == 0x7c00u || (least && (bits[1] & 0x7c00u) == 0x7c00u))
      return fail(DS_E_FORMAT, "format",
                  "tensor '%s', row %llu, columns from %llu: the scale %g times the zero %u is not finite or beyond "
                  "65504",
                  tensor_->name.c_str(), static_cast<unsigned long long>(name), static_cast<unsigned long long>(col),
                  static_cast<double>(scales_[at]), zeros_[at]);
    std::memcpy(out, bits, least ? 4 : 2);
    out += least ? 4 : 2;
    uint8_t last[kBlock] = {};
    const uint8_t *from = integers + col;
    if (inputs_ - col < kBlock) std::memcpy(last, from, inputs_ - col), from = last;
    for (uint64_t i = 0; i < kBlock / 2; ++i) out[i] = static_cast<uint8_t>(from[i] | from[i + kBlock / 2] << 4);
  }
  return {};
}

Status Int4Rows::read_blocks(uint64_t first_row, uint64_t n_rows, uint8_t *out) {
  const uint64_t bytes = row_bytes(tensor_->dtype, inputs_);
  std::vector<float> values(int4_->scattered ? inputs_ : 0);
  while (n_rows > 0) {
    const uint64_t begin = first_row / kEight * kEight, count = std::min(n_rows, begin + kRows - first_row);
    DS_TRY(load(begin, first_row + count - begin));
    for (uint64_t i = 0; i < count; ++i, out += bytes) {
      const uint64_t row = first_row - begin + i;
      if (!int4_->scattered) {
        DS_TRY(put_row(row, first_row + i, out));
        continue;
      }
      row_values(row, values.data());
      DS_TRY(repack_numbers(values.data(), 1, inputs_, out, {tensor_->name.c_str(), first_row + i}));
    }
    first_row += count;
    n_rows -= count;
  }
  return {};
}

}  // namespace deepseam
