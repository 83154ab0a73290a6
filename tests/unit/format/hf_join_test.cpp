#include "format/hf_join.h"

#include <doctest/doctest.h>

#include "base/half.h"
#include "format/safetensors.h"
#include "format/tensor_read.h"
#include "int4_samples.h"
#include "samples.h"

using namespace deepseam;
using test::Int4Sample;
using test::TensorFile;

namespace {

QuantScheme scheme_of(const std::string &quant) {
  auto scheme = parse_quant_config("config.json", "{\"quantization_config\":" + quant + "}");
  INFO(scheme.status().message());
  REQUIRE(scheme.ok());
  return std::move(scheme).value();
}

Result<TensorDirectory> open(const std::string &file, const std::string &quant) {
  return open_hf_tensors(test::memory_source("x", file), scheme_of(quant));
}

std::string compressed(const std::string &groups) {
  return R"({"quant_method":"compressed-tensors","format":"float-quantized","config_groups":{)" + groups + "}}";
}

const std::string kAwq = R"({"quant_method":"awq","bits":4,"group_size":32})";
const std::string kGptq = R"({"quant_method":"gptq","bits":4,"group_size":32})";
const std::string kGptqAct = R"({"quant_method":"gptq","bits":4,"group_size":32,"desc_act":true})";
const std::string kRows = R"({"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{"g":{
  "weights":{"num_bits":4,"type":"int","strategy":"group","group_size":32,"symmetric":false}}}})";

// 8-bit floats of 4 x 6 and the scales given, of one type.
std::string float8(const std::string &suffix, const char *type, const std::vector<uint64_t> &shape,
                   const std::string &scales) {
  TensorFile file;
  file.add("m.weight", "F8_E4M3", {4, 6}, std::string(24, '\x38'));
  return file.add("m.weight" + suffix, type, shape, scales).file();
}

std::vector<float> first_column(const Result<TensorDirectory> &directory) {
  INFO(directory.status().message());
  REQUIRE(directory.ok());
  REQUIRE_EQ(directory->tensors.size(), 1);
  const auto values = read_tensor_f32(directory.value(), directory->tensors[0]).value();
  std::vector<float> column;
  for (size_t row = 0; row < 4; ++row) column.push_back(values[6 * row]);
  return column;
}

}  // namespace

TEST_CASE("8-bit floats: scales by tensor, channel, block and group, of three types") {
  const std::string weights = R"("g":{"weights":{"num_bits":8,"type":"float","strategy":)";
  const std::string one = test::raw(std::vector<float>{2});
  const std::vector<float> twos(4, 2);
  CHECK_EQ(first_column(open(float8("_scale", "F32", {}, one), R"({"quant_method":"fp8"})")), twos);
  CHECK_EQ(first_column(open(float8("_scale_inv", "F32", {1, 1}, one), R"({"quant_method":"fp8"})")), twos);
  CHECK_EQ(first_column(open(float8("_scale", "F32", {1}, one), compressed(weights + "\"tensor\"}}"))), twos);
  const std::string bf16 = test::raw(std::vector<uint16_t>{f32_to_bf16(1), f32_to_bf16(2), f32_to_bf16(3), 0x4080});
  CHECK_EQ(first_column(open(float8("_scale", "BF16", {4, 1}, bf16), compressed(weights + "\"channel\"}}"))),
           std::vector<float>{1, 2, 3, 4});
  const std::string f16 = test::raw(std::vector<uint16_t>{f32_to_f16(1), f32_to_f16(2), f32_to_f16(3), f32_to_f16(4)});
  const std::string block = compressed(weights + R"("block","block_structure":[2,4]}})");
  CHECK_EQ(first_column(open(float8("_scale", "F16", {2, 2}, f16), block)), std::vector<float>{1, 1, 3, 3});
}

TEST_CASE("8-bit floats: scales of another shape or type, or none") {
  const std::string channel = compressed(R"("g":{"weights":{"num_bits":8,"type":"float","strategy":"channel"}})");
  const std::string four = test::raw(std::vector<float>(4, 1));
  CHECK_FAILS(open(float8("_scale", "F32", {4}, four), channel), DS_E_FORMAT,
              "scales 'm.weight_scale' must have shape [4,1] (blocks of 1 x 6), found [4]");
  CHECK_FAILS(open(float8("_scale", "F32", {2, 2}, four), R"({"quant_method":"fp8"})"), DS_E_FORMAT,
              "must have shape [1,1] (blocks of 128 x 128) or [1,1] (blocks of 4 x 6), found [2,2]");
  CHECK_FAILS(open(float8("_scale", "I32", {4, 1}, four), channel), DS_E_UNSUPPORTED, "type I32; scales of type F32");
  CHECK_FAILS(open(float8("_other", "F32", {4, 1}, four), channel), DS_E_FORMAT, "are in no file");
  CHECK_FAILS(open(float8("_scale", "F32", {4, 1}, four), kAwq), DS_E_FORMAT, "no scheme for 8-bit floats");
}

TEST_CASE("several groups of compressed-tensors are told apart by what is there") {
  Int4Sample s = Int4Sample::random(8, 64, 32, 1);
  const std::string two = R"({"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{
    "a":{"weights":{"num_bits":4,"type":"int","strategy":"group","group_size":64}},
    "b":{"weights":{"num_bits":4,"type":"int","strategy":"group","group_size":32}},
    "c":{"weights":{"num_bits":4,"type":"int","strategy":"group","group_size":32,"symmetric":false}}}})";
  auto with_zeros = open(test::rows_file(s, true, false), two), without = open(test::rows_file(s, false, false), two);
  REQUIRE(with_zeros.ok());
  REQUIRE(without.ok());
  CHECK(with_zeros->tensors[0].dtype == DType::kQ4_1);
  CHECK(without->tensors[0].dtype == DType::kQ4_0);
  CHECK_EQ(without->tensors[0].int4->group, 32);
}

TEST_CASE("what belongs to packed integers is missing") {
  const Int4Sample s = Int4Sample::random(8, 64, 32, 1);
  CHECK_FAILS(open(test::awq_file(s, "scales"), kAwq), DS_E_FORMAT,
              "x: tensor 'm.qweight' is packed and its scales 'm.scales' are in no file");
  CHECK_FAILS(open(test::awq_file(s, "zeros"), kAwq), DS_E_FORMAT, "its zeros 'm.qzeros' are in no file");
  CHECK_FAILS(open(test::gptq_file(s, 1, "zeros"), kGptq), DS_E_FORMAT, "its zeros 'm.qzeros' are in no file");
  CHECK_FAILS(open(test::gptq_file(s, 1, "groups"), kGptqAct), DS_E_FORMAT, "its groups 'm.g_idx' are in no file");
  CHECK(open(test::gptq_file(s, 1, "groups"), kGptq).ok());
  CHECK_FAILS(open(test::rows_file(s, false, false), kRows), DS_E_FORMAT, "'m.weight_zero_point' are in no file");
}

TEST_CASE("a configuration that lies about group size, method or their presence") {
  const Int4Sample s = Int4Sample::random(8, 64, 32, 1);
  const std::string large = R"({"quant_method":"awq","bits":4,"group_size":64})";
  CHECK_FAILS(open(test::awq_file(s), large), DS_E_FORMAT,
              "tensor 'm.scales' is [2,8], expected [1,8], by the shape of 'm.qweight' and group_size 64");
  CHECK_FAILS(open(test::awq_file(s), R"({"quant_method":"awq","bits":4,"group_size":128})"), DS_E_FORMAT,
              "is of 64 inputs, expected a multiple of group_size 128");
  CHECK_FAILS(open(test::gptq_file(s, 1), R"({"quant_method":"gptq","bits":4,"group_size":-1})"), DS_E_FORMAT,
              "tensor 'm.scales' is [2,8], expected [1,8]");
  CHECK_FAILS(open(test::awq_file(s), kGptq), DS_E_FORMAT, "tensor 'm.scales' is [2,8], expected [16,1]");
  for (const std::string &quant : {std::string("null"), kRows, std::string(R"({"quant_method":"fp8"})")})
    CHECK_FAILS(open(test::awq_file(s), quant), DS_E_FORMAT, "config.json has no quantization_config that says so");
  CHECK_FAILS(open(test::rows_file(s, true, false), kAwq), DS_E_FORMAT, "no quantization_config that says so");
}

TEST_CASE("packed tensors of another type or number of dims, or beside a plain weight") {
  TensorFile file;
  file.add("m.qweight", "I64", {64, 1}, std::string(512, 0));
  CHECK_FAILS(open(file.file(), kAwq), DS_E_FORMAT, "'m.qweight' is I64 [64,1], expected I32 words of two dims");
  TensorFile flat;
  flat.add("m.qweight", "I32", {64}, std::string(256, 0));
  CHECK_FAILS(open(flat.file(), kAwq), DS_E_FORMAT, "is I32 [64], expected I32 words of two dims");
  TensorFile both;
  both.add("m.qweight", "I32", {32, 1}, std::string(128, 0)).add("m.weight", "F32", {1}, std::string(4, 0));
  both.add("m.qzeros", "I32", {1, 1}, std::string(4, 0)).add("m.scales", "F32", {1, 8}, std::string(32, 0));
  CHECK_FAILS(open(both.file(), kAwq), DS_E_FORMAT, "packed, and 'm.weight' is there too");
  TensorFile zeros;
  zeros.add("m.qweight", "I32", {32, 1}, std::string(128, 0)).add("m.qzeros", "I8", {1, 1}, std::string(1, 0));
  zeros.add("m.scales", "F32", {1, 8}, std::string(32, 0));
  CHECK_FAILS(open(zeros.file(), kAwq), DS_E_FORMAT, "tensor 'm.qzeros' is I8, expected I32");
}

TEST_CASE("no inputs or outputs at all") {
  TensorFile file;
  file.add("m.qweight", "I32", {0, 4}, "").add("m.qzeros", "I32", {0, 4}, "").add("m.scales", "F16", {0, 32}, "");
  const auto directory = open(file.file(), kAwq);
  REQUIRE(directory.ok());
  CHECK_EQ(read_tensor_f32(directory.value(), directory->tensors[0]).value().size(), 0);
}
