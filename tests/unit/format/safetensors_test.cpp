#include "format/safetensors.h"

#include <doctest/doctest.h>

#include <cstring>

#include "samples.h"

using namespace deepseam;
using test::memory_source;
using test::safetensors_file;

namespace {

Result<TensorDirectory> read(const std::string &header, const std::string &data) {
  return read_safetensors(memory_source("x.safetensors", safetensors_file(header, data)));
}

}  // namespace

TEST_CASE("a good file") {
  const std::string header = R"({"__metadata__":{"format":"pt"},
    "b":{"dtype":"BF16","shape":[2,3],"data_offsets":[4,16]},"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},
    "z":{"dtype":"F64","shape":[1],"data_offsets":[16,24]},"e":{"dtype":"F16","shape":[0,5],"data_offsets":[24,24]}}   )";
  const auto directory = read(header, std::string(24, 'x'));
  REQUIRE(directory.ok());
  REQUIRE_EQ(directory->tensors.size(), 4);
  const TensorInfo *b = directory->find("b");
  REQUIRE(b);
  CHECK_EQ(b->dtype, DType::kBF16);
  CHECK_EQ(b->shape, std::vector<uint64_t>{2, 3});
  CHECK_EQ(b->range.offset, 8 + header.size() + 4);
  CHECK_EQ(b->range.bytes, 12);
  CHECK(directory->find("a")->shape.empty());
  CHECK_EQ(directory->find("z")->dtype, DType::kNone);
  CHECK_EQ(directory->find("z")->stored_type, "F64");
  CHECK_EQ(directory->find("e")->elements(), 0);
  CHECK_EQ(directory->find("missing"), nullptr);
}

TEST_CASE("an empty list of tensors is legal") { CHECK(read("{}", "").ok()); }

TEST_CASE("every lie is refused with a sentence") {
  struct Case {
    const char *header;
    size_t data;
    const char *part;
  };
  const Case cases[] = {
      {R"([1])", 0, "does not begin with '{'"},
      {R"( {})", 0, "does not begin with '{'"},
      {R"({"a":1})", 0, "the entry is not an object"},
      {R"({"__metadata__":{"a":1}})", 0, "__metadata__ holds a value that is not a string"},
      {R"({"a":{"shape":[1],"data_offsets":[0,4]}})", 4, "'dtype' is missing"},
      {R"({"a":{"dtype":"F31","shape":[1],"data_offsets":[0,4]}})", 4, "unknown dtype 'F31'"},
      {R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", 4, "'shape' is missing"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "a dim that is not an integer"},
      {R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, "a dim that is not an integer"},
      {R"({"a":{"dtype":"F32","shape":[9223372036854775807],"data_offsets":[0,4]}})", 4, "a dim that is not"},
      {R"({"a":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,4]}})", 4, "overflows 64 bits"},
      {R"({"a":{"dtype":"F32","shape":[1099511627776,4194304],"data_offsets":[0,4]}})", 4, "overflows 64 bits"},
      {R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2, "does not fill whole bytes"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", 4, "'data_offsets' is not a pair"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}})", 4, "'data_offsets' is not a pair"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "end before they begin"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "need 8 bytes, data_offsets hold 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", 8, "expected 0 (hole)"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
       12, "'b' begins at data offset 8, expected 4 (hole)"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       8, "expected 8 (overlap)"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 3, "describes 4 bytes of data, the file holds 3"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 5, "describes 4 bytes of data, the file holds 5"},
      {R"({"a":{"dtype":"U8","shape":[1099511627776],"data_offsets":[0,1099511627776]}})", 5, "the file holds 5"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       8, "a"},
      {"{\"\xff\":{}}", 0, "x.safetensors"},
      {"{\"a\":", 0, "x.safetensors"},
  };
  for (const Case &each : cases) {
    INFO(each.header);
    const auto directory = read(each.header, std::string(each.data, '\0'));
    CHECK_FAILS(directory, DS_E_FORMAT, each.part);
    CHECK(test::contains(directory.status().message(), "x.safetensors"));
  }
}

TEST_CASE("a lying header length costs nothing") {
  for (const uint64_t length : {uint64_t{1}, uint64_t{99'999'999}, uint64_t{100'000'001}, UINT64_MAX}) {
    std::string file(reinterpret_cast<const char *>(&length), 8);
    CHECK_FAILS(read_safetensors(memory_source("x", file)), DS_E_FORMAT, "header");
  }
  CHECK_FAILS(read_safetensors(memory_source("x", "1234567")), DS_E_FORMAT, "the header length takes 8");
  CHECK_FAILS(read_safetensors(memory_source("x", std::string(8, '\0'))), DS_E_FORMAT, "does not begin with '{'");
}

TEST_CASE("a Git LFS pointer is called one") {
  CHECK_FAILS(read_safetensors(memory_source("x", "version https://git-lfs.github.com/spec/v1\noid sha256:00\n")),
              DS_E_FORMAT, "Git LFS pointer");
}

TEST_CASE("a cut file is refused at every length") {
  const std::string whole =
      safetensors_file(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})", "0123456789ab");
  REQUIRE(read_safetensors(memory_source("x", whole)).ok());
  for (size_t size = 0; size < whole.size(); ++size) {
    INFO(size);
    CHECK_EQ(read_safetensors(memory_source("x", whole.substr(0, size))).status().code(), DS_E_FORMAT);
  }
}

TEST_CASE("more than four dims are listed but not read") {
  const auto directory = read(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4]}})", "0000");
  REQUIRE(directory.ok());
  CHECK_EQ(directory->tensors[0].dtype, DType::kNone);
}

TEST_CASE("a written header reads back") {
  TensorInfo a, b;
  a.name = "model.\"a\"";
  a.dtype = DType::kF32;
  a.shape = {2, 3};
  b.name = "b";
  b.dtype = DType::kBF16;
  b.shape = {5};
  const TensorInfo tensors[] = {a, b};
  const auto header = safetensors_header(tensors);
  REQUIRE(header.ok());
  CHECK_EQ(header->size() % 8, 0);
  const auto directory = read_safetensors(memory_source("x", header.value() + std::string(34, 'd')));
  REQUIRE(directory.ok());
  REQUIRE_EQ(directory->tensors.size(), 2);
  CHECK_EQ(directory->find(a.name)->range.offset, header->size());
  CHECK_EQ(directory->find("b")->range.offset, header->size() + 24);
  a.dtype = DType::kQ8_0;
  CHECK_FAILS(safetensors_header({&a, 1}), DS_E_UNSUPPORTED, "q8_0");
}
