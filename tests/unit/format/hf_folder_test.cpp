#include <doctest/doctest.h>

#include "format/safetensors.h"
#include "samples.h"

using namespace deepseam;
using test::MemoryFolder;
using test::safetensors_file;

namespace {

// One F32 tensor of one element.
std::string one(const std::string &name) {
  return safetensors_file("{\"" + name + "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", "abcd");
}

// An fp8 weight of rows x cols, alone.
std::string fp8_weight(uint64_t rows, uint64_t cols) {
  const std::string bytes = std::to_string(rows * cols);
  return safetensors_file("{\"w.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[" + std::to_string(rows) + "," +
                              std::to_string(cols) + "],\"data_offsets\":[0," + bytes + "]}}",
                          std::string(rows * cols, '\x38'));
}

std::string scales(const char *type, const std::string &shape, size_t bytes) {
  std::string header = "{\"w.weight_scale_inv\":{\"dtype\":\"";
  header += type;
  header += "\",\"shape\":" + shape + ",\"data_offsets\":[0," + std::to_string(bytes) + "]}}";
  return safetensors_file(header, std::string(bytes, '\0'));
}

Result<TensorDirectory> open(const MemoryFolder &folder) { return open_hf_tensors(folder, QuantScheme()); }

}  // namespace

TEST_CASE("shards through their index") {
  MemoryFolder folder;
  folder.files["one.safetensors"] = one("a");
  folder.files["two.safetensors"] = one("b");
  folder.files["model.safetensors.index.json"] =
      R"({"metadata":{},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}})";
  folder.listable = false;
  const auto directory = open(folder);
  REQUIRE(directory.ok());
  CHECK_EQ(directory->sources.size(), 2);
  CHECK_NE(directory->find("a")->range.source, directory->find("b")->range.source);
}

TEST_CASE("without an index: model.safetensors, else all that are listed") {
  MemoryFolder folder;
  folder.files["x.safetensors"] = one("x");
  folder.files["y.safetensors"] = one("y");
  folder.files["adapter_model.safetensors"] = one("lora");
  auto directory = open(folder);
  REQUIRE(directory.ok());
  CHECK_EQ(directory->tensors.size(), 2);
  folder.files["model.safetensors"] = one("m");
  directory = open(folder);
  REQUIRE(directory.ok());
  CHECK_EQ(directory->tensors.size(), 1);
  folder.files.clear();
  CHECK_FAILS(open(folder), DS_E_NOT_FOUND, "model.safetensors.index.json");
}

TEST_CASE("an index that lies") {
  MemoryFolder folder;
  folder.files["one.safetensors"] = one("a");
  std::string &index = folder.files["model.safetensors.index.json"];
  index = R"({"weight_map":{"a":"gone.safetensors"}})";
  CHECK_FAILS(open(folder), DS_E_NOT_FOUND, "'gone.safetensors'");
  index = R"({"weight_map":{"a":"one.safetensors","b":"one.safetensors"}})";
  CHECK_FAILS(open(folder), DS_E_FORMAT, "tensor 'b' is in 'one.safetensors', and it is not");
  for (const char *name : {"../one.safetensors", "/etc/passwd", "a\\\\b", "..", "", "c:x"}) {
    index = std::string(R"({"weight_map":{"a":")") + name + "\"}}";
    INFO(name);
    CHECK_FAILS(open(folder), DS_E_FORMAT, "plain file");
  }
  index = R"({"weight_map":{"a":1}})";
  CHECK_FAILS(open(folder), DS_E_FORMAT, "no string");
  index = R"({"weight_map":[]})";
  CHECK_FAILS(open(folder), DS_E_FORMAT, "'weight_map'");
  index = R"({"weight_map":{}})";
  CHECK_FAILS(open(folder), DS_E_FORMAT, "empty");
  index = R"([)";
  CHECK_FAILS(open(folder), DS_E_FORMAT, "index.json");
}

TEST_CASE("a tensor in two files is ambiguous") {
  MemoryFolder folder;
  folder.files["x.safetensors"] = one("a");
  folder.files["y.safetensors"] = one("a");
  CHECK_FAILS(open(folder), DS_E_FORMAT, "tensor 'a' is in mem/x.safetensors and again in mem/y.safetensors");
}

TEST_CASE("fp8 weights take their scales from any shard: 576 rows have 5 rows of scales") {
  MemoryFolder folder;
  folder.files["w.safetensors"] = fp8_weight(576, 200);
  folder.files["s.safetensors"] = scales("F32", "[5,2]", 40);
  const auto directory = open(folder);
  REQUIRE(directory.ok());
  REQUIRE_EQ(directory->tensors.size(), 1);  // scales are part of their weight
  const TensorInfo &weight = directory->tensors[0];
  CHECK(weight.has_scales);
  CHECK_EQ(weight.scales.block_rows, 128);
  CHECK_EQ(weight.scales.range.bytes, 40);
  CHECK_NE(weight.scales.range.source, weight.range.source);
}

TEST_CASE("wrong or missing scales") {
  MemoryFolder folder;
  folder.files["w.safetensors"] = fp8_weight(576, 200);
  CHECK_FAILS(open(folder), DS_E_FORMAT, "'w.weight_scale_inv' are in no file");
  folder.files["s.safetensors"] = scales("F32", "[4,2]", 32);
  CHECK_FAILS(open(folder), DS_E_FORMAT, "must have shape [5,2] (blocks of 128 x 128), found [4,2]");
  folder.files["s.safetensors"] = scales("F8_E8M0", "[5,2]", 10);
  CHECK_FAILS(open(folder), DS_E_UNSUPPORTED, "F8_E8M0");
}

TEST_CASE("blocks of another size, and one scale a tensor") {
  MemoryFolder folder;
  folder.files["w.safetensors"] = fp8_weight(64, 200);
  folder.files["s.safetensors"] = scales("F32", "[2,4]", 32);
  CHECK(open_hf_tensors(folder, QuantScheme(ScaleBlocks{32, 64})).ok());
  folder.files["s.safetensors"] = scales("F32", "[1]", 4);
  const auto directory = open_hf_tensors(folder, QuantScheme(ScaleBlocks{0, 0}));
  REQUIRE(directory.ok());
  CHECK_EQ(directory->tensors[0].scales.block_rows, 64);
  CHECK_EQ(directory->tensors[0].scales.block_cols, 200);
}
