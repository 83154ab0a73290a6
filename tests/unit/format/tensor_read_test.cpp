#include "format/tensor_read.h"

#include <doctest/doctest.h>

#include "format/safetensors.h"
#include "samples.h"

using namespace deepseam;
using test::memory_source;
using test::raw;
using test::safetensors_file;

TEST_CASE("rows decode wherever one starts to read") {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const auto directory = read_safetensors(memory_source(
      "x", safetensors_file(R"({"a":{"dtype":"F32","shape":[3,2],"data_offsets":[0,24]}})", raw(values))));
  REQUIRE(directory.ok());
  const TensorInfo &tensor = directory->tensors[0];
  auto reader = RowReader::open(directory.value(), tensor);
  REQUIRE(reader.ok());
  float two[4];
  REQUIRE(reader->read(1, 2, two).ok());
  CHECK_EQ(two[0], 3.0f);
  CHECK_EQ(two[3], 6.0f);
  CHECK_FAILS(reader->read(2, 2, two), DS_E_ARGUMENT, "3 rows");
  CHECK_EQ(read_tensor_f32(directory.value(), tensor).value(), values);
  CHECK_EQ(view_range(directory.value(), tensor.range).size(), 24);
  uint8_t bytes[4];
  CHECK_FAILS(read_range(directory.value(), tensor.range, 21, bytes), DS_E_ARGUMENT, "outside");
}

TEST_CASE("a type that is not read says so when someone wants it") {
  const auto directory = read_safetensors(memory_source(
      "x", safetensors_file(R"({"a":{"dtype":"F64","shape":[1],"data_offsets":[0,8]}})", std::string(8, 'x'))));
  REQUIRE(directory.ok());
  CHECK_FAILS(RowReader::open(directory.value(), directory->tensors[0]), DS_E_UNSUPPORTED, "F64");
}

TEST_CASE("block scales change exactly at block borders, in every matrix of a stack") {
  // Two matrices of 3 x 5, blocks of 2 x 4: two rows of two scales each. All codes are 1.0.
  std::string content(30, '\x38');
  content.resize(32);
  const std::vector<float> scales = {1, 2, 3, 4, 10, 20, 30, 40};
  TensorDirectory directory;
  directory.sources.push_back(memory_source("x", content + raw(scales)));
  TensorInfo tensor;
  tensor.name = "w";
  tensor.dtype = DType::kF8E4M3;
  tensor.shape = {2, 3, 5};
  tensor.range = {0, 0, 30};
  tensor.has_scales = true;
  tensor.scales = {{0, 32, 32}, 2, 4};
  auto reader = RowReader::open(directory, tensor);
  REQUIRE(reader.ok());
  std::vector<float> rows(30);
  REQUIRE(reader->read(0, 6, rows.data()).ok());
  const float expected[6][2] = {{1, 2}, {1, 2}, {3, 4}, {10, 20}, {10, 20}, {30, 40}};
  for (int r = 0; r < 6; ++r)
    for (int c = 0; c < 5; ++c) CHECK_EQ(rows[r * 5 + c], expected[r][c / 4]);
  std::vector<float> some(15);
  REQUIRE(reader->read(2, 3, some.data()).ok());
  for (int i = 0; i < 15; ++i) CHECK_EQ(some[i], rows[10 + i]);
}
