#include "format/int4.h"

#include <doctest/doctest.h>

#include <cmath>

#include "base/half.h"
#include "format/blocks.h"
#include "format/hf_join.h"
#include "format/safetensors.h"
#include "format/tensor_read.h"
#include "int4_samples.h"
#include "samples.h"

using namespace deepseam;
using test::Int4Sample;

namespace {

QuantScheme int4(QuantMethod method, const Int4Sample &sample, bool symmetric = false, bool scattered = false,
                 uint32_t zero_added = 0) {
  QuantScheme scheme;
  scheme.method = method;
  scheme.zero_added = zero_added;
  scheme.ways[0].integers = true;
  scheme.ways[0].blocks = {1, static_cast<uint32_t>(sample.group)};
  scheme.ways[0].symmetric = symmetric;
  scheme.ways[0].scattered = scattered;
  return scheme;
}

// A file that can only be read piece by piece, as from a host's callbacks.
class Unviewed final : public Source {
 public:
  explicit Unviewed(std::shared_ptr<Source> from) : from_(std::move(from)) {
    name_ = from_->name();
    size_ = from_->size();
  }
  Status read_at(uint64_t offset, std::span<uint8_t> into) const override { return from_->read_at(offset, into); }

 private:
  std::shared_ptr<Source> from_;
};

TensorDirectory opened(const std::string &file, const QuantScheme &scheme, bool viewed = true) {
  std::shared_ptr<Source> source = test::memory_source("x", file);
  if (!viewed) source = std::make_shared<Unviewed>(source);
  auto directory = open_hf_tensors(source, scheme);
  INFO(directory.status().message());
  REQUIRE(directory.ok());
  REQUIRE_EQ(directory->tensors.size(), 1);
  REQUIRE_EQ(directory->tensors[0].name, "m.weight");
  return std::move(directory).value();
}

// Numbers by the definition, one at a time.
std::vector<float> numbers(const Int4Sample &s) {
  std::vector<float> all;
  for (uint64_t r = 0; r < s.out; ++r)
    for (uint64_t i = 0; i < s.in; ++i) {
      const uint32_t g = s.group_of[i];
      const int level = static_cast<int>(s.integers[r][i]) - static_cast<int>(s.zeros[r][g]);
      all.push_back(f16_to_f32(s.scales[r][g]) * static_cast<float>(level));
    }
  return all;
}

// All rows at once, then one by one from the last.
void check_numbers(const TensorDirectory &directory, const Int4Sample &s) {
  const TensorInfo &tensor = directory.tensors[0];
  REQUIRE_EQ(tensor.shape, std::vector<uint64_t>{s.out, s.in});
  auto reader = RowReader::open(directory, tensor);
  REQUIRE(reader.ok());
  const std::vector<float> expected = numbers(s);
  std::vector<float> all(s.out * s.in), row(s.in);
  REQUIRE(reader->read(0, s.out, all.data()).ok());
  CHECK(std::memcmp(all.data(), expected.data(), all.size() * 4) == 0);
  for (uint64_t r = s.out; r-- > 0;) {
    REQUIRE(reader->read(r, 1, row.data()).ok());
    CHECK(std::memcmp(row.data(), expected.data() + r * s.in, s.in * 4) == 0);
  }
  CHECK_FAILS(reader->read(s.out, 1, row.data()), DS_E_ARGUMENT, "rows");
}

Result<std::vector<float>> block_numbers(const TensorDirectory &directory) {
  const TensorInfo &tensor = directory.tensors[0];
  DS_TRY_VALUE(RowReader reader, RowReader::open(directory, tensor));
  std::vector<uint8_t> blocks(tensor.rows() * row_bytes(tensor.dtype, tensor.cols()));
  DS_TRY(reader.read_blocks(0, tensor.rows(), blocks.data()));
  std::vector<float> values(tensor.elements());
  decode_rows(tensor.dtype, blocks.data(), tensor.rows(), tensor.cols(), values.data());
  return values;
}

}  // namespace

TEST_CASE("numbers of every layout, also where sizes are no multiple of rows at once, groups or blocks") {
  const uint64_t sizes[][3] = {{8, 32, 32}, {136, 64, 32}, {264, 192, 64}, {24, 256, 128}};
  for (const auto &[out, in, group] : sizes) {
    CAPTURE(out);
    CAPTURE(in);
    const Int4Sample s = Int4Sample::random(out, in, group, out + in);
    for (const bool viewed : {true, false}) {
      check_numbers(opened(test::awq_file(s), int4(QuantMethod::kAwq, s), viewed), s);
      check_numbers(opened(test::gptq_file(s, 1), int4(QuantMethod::kGptq, s, false, false, 1), viewed), s);
    }
    check_numbers(opened(test::gptq_file(s, 0), int4(QuantMethod::kGptq, s)), s);
    check_numbers(opened(test::rows_file(s, true, false), int4(QuantMethod::kCompressed, s)), s);
  }
  const Int4Sample odd = Int4Sample::random(13, 136, 64, 5);  // the last group has 8 inputs, the last word 5 outputs
  check_numbers(opened(test::gptq_file(odd, 1), int4(QuantMethod::kGptq, odd, false, false, 1)), odd);
  check_numbers(opened(test::rows_file(odd, true, false), int4(QuantMethod::kCompressed, odd)), odd);
}

TEST_CASE("act order: each input says its group") {
  Int4Sample s = Int4Sample::random(16, 96, 32, 3);
  for (uint64_t i = 0; i < s.in; ++i) s.group_of[i] = static_cast<uint32_t>(i * 7 % 3);
  check_numbers(opened(test::gptq_file(s, 1), int4(QuantMethod::kGptq, s, false, true, 1)), s);
  check_numbers(opened(test::rows_file(s, true, true), int4(QuantMethod::kCompressed, s, false, true)), s);
}

TEST_CASE("zeros of 0 and 15: the first version of GPTQ stores them less one, and 0 as 15") {
  Int4Sample s = Int4Sample::random(8, 64, 32, 9);
  for (auto &row : s.zeros) row = {0, 15};
  check_numbers(opened(test::gptq_file(s, 1), int4(QuantMethod::kGptq, s, false, false, 1)), s);
  check_numbers(opened(test::gptq_file(s, 0), int4(QuantMethod::kGptq, s)), s);
  check_numbers(opened(test::awq_file(s), int4(QuantMethod::kAwq, s)), s);
}

TEST_CASE("scales of zero, subnormal, negative and largest") {
  Int4Sample s = Int4Sample::random(8, 128, 32, 4);
  for (auto &row : s.scales) row = {0x0000, 0x0001, 0xa400, 0x7bff};
  check_numbers(opened(test::awq_file(s), int4(QuantMethod::kAwq, s)), s);
}

TEST_CASE("symmetric levels become Q4_0 and lose nothing") {
  Int4Sample s = Int4Sample::random(24, 96, 32, 6);
  for (auto &row : s.zeros) row.assign(s.groups(), 8);
  s.scales[0] = {0x0001, 0x7bff, 0x8400};
  const TensorDirectory directory = opened(test::gptq_file(s, 1), int4(QuantMethod::kGptq, s, true, false, 1));
  CHECK(directory.tensors[0].dtype == DType::kQ4_0);
  CHECK_EQ(block_numbers(directory).value(), numbers(s));
  const TensorDirectory rows = opened(test::rows_file(s, false, false), int4(QuantMethod::kCompressed, s, true));
  CHECK_EQ(block_numbers(rows).value(), numbers(s));
  Int4Sample other = s;
  other.zeros[23][2] = 7;
  CHECK_FAILS(block_numbers(opened(test::gptq_file(other, 1), int4(QuantMethod::kGptq, other, true, false, 1))),
              DS_E_FORMAT, "tensor 'm.weight', row 23, columns from 64: the zero is 7, expected 8");
}

TEST_CASE("zeros of their own become Q4_1, off by the rounding of the least value alone") {
  const Int4Sample s = Int4Sample::random(136, 192, 64, 7);
  const TensorDirectory directory = opened(test::awq_file(s), int4(QuantMethod::kAwq, s));
  CHECK(directory.tensors[0].dtype == DType::kQ4_1);
  const std::vector<float> exact = numbers(s), got = block_numbers(directory).value();
  for (size_t i = 0; i < exact.size(); ++i) {
    const uint64_t r = i / s.in, g = i % s.in / s.group;
    const float scale = f16_to_f32(s.scales[r][g]);
    const float least = f16_to_f32(f32_to_f16(-scale * static_cast<float>(s.zeros[r][g])));
    REQUIRE_EQ(got[i], scale * static_cast<float>(s.integers[r][i % s.in]) + least);
    REQUIRE_LE(std::fabs(got[i] - exact[i]), 0x1p-11f * scale * static_cast<float>(s.zeros[r][g]));
  }
}

TEST_CASE("scattered groups become Q8_0, as the numbers would") {
  Int4Sample s = Int4Sample::random(16, 96, 32, 8);
  for (uint64_t i = 0; i < s.in; ++i) s.group_of[i] = static_cast<uint32_t>(i * 5 % 3);
  const TensorDirectory directory = opened(test::gptq_file(s, 1), int4(QuantMethod::kGptq, s, false, true, 1));
  CHECK(directory.tensors[0].dtype == DType::kQ8_0);
  const std::vector<float> exact = numbers(s);
  std::vector<uint8_t> blocks(s.out * row_bytes(DType::kQ8_0, s.in));
  REQUIRE(encode_rows(DType::kQ8_0, exact.data(), s.out, s.in, blocks.data(), {}).ok());
  std::vector<float> expected(exact.size());
  decode_rows(DType::kQ8_0, blocks.data(), s.out, s.in, expected.data());
  CHECK_EQ(block_numbers(directory).value(), expected);
}

TEST_CASE("groups that do not exist, or that are scattered where nothing says so") {
  Int4Sample s = Int4Sample::random(8, 64, 32, 2);
  for (const uint32_t wrong : {2u, 0xffffffffu}) {
    s.group_of[5] = wrong;
    const TensorDirectory directory = opened(test::gptq_file(s, 1), int4(QuantMethod::kGptq, s, false, true, 1));
    CHECK_FAILS(RowReader::open(directory, directory.tensors[0]), DS_E_FORMAT,
                wrong == 2 ? "'m.g_idx': input 5 is of group 2, expected 0 to 1" : "is of group -1");
  }
  s.group_of[5] = 1;
  const TensorDirectory directory = opened(test::gptq_file(s, 1), int4(QuantMethod::kGptq, s, false, false, 1));
  CHECK_FAILS(RowReader::open(directory, directory.tensors[0]), DS_E_FORMAT,
              "input 5 is of group 1, expected 0, as the configuration has no act order");
  const TensorDirectory rows = opened(test::rows_file(s, true, true), int4(QuantMethod::kCompressed, s));
  CHECK_FAILS(RowReader::open(rows, rows.tensors[0]), DS_E_FORMAT, "'m.weight_g_idx': input 5 is of group 1");
}

TEST_CASE("scales that are not finite, or beyond binary16 with their zero") {
  for (const uint16_t bits : {0x7c00, 0x7e00, 0x7bff}) {
    Int4Sample s = Int4Sample::random(8, 64, 32, 2);
    s.scales[3][1] = bits;
    s.zeros[3][1] = 15;
    CHECK_FAILS(block_numbers(opened(test::awq_file(s), int4(QuantMethod::kAwq, s))), DS_E_FORMAT,
                "tensor 'm.weight', row 3, columns from 32: the scale");
  }
}
