#include "format/gguf.h"

#include <doctest/doctest.h>

#include "gguf_samples.h"
#include "samples.h"

using namespace deepseam;
using test::gguf_raw;
using test::gguf_text;
using test::GgufBuilder;
using test::memory_source;
using test::MemoryFolder;

namespace {

Result<GgufFile> read(const std::string &bytes) { return open_gguf(memory_source("x.gguf", bytes)); }

void check_refused(const std::string &bytes, const char *part, ds_status code = DS_E_FORMAT) {
  const auto file = read(bytes);
  REQUIRE_FALSE(file.ok());
  INFO(file.status().message());
  CHECK_EQ(file.status().code(), code);
  CHECK_NE(std::string(file.status().message()).find(part), std::string::npos);
  CHECK_NE(std::string(file.status().message()).find("x.gguf"), std::string::npos);
}

GgufBuilder good() {
  GgufBuilder builder;
  builder.text("general.architecture", "deepseek2").u32("deepseek2.block_count", 3).f32("a.number", 0.5f);
  builder.flag("a.flag", true).texts("a.texts", {"x", "", "yz"}).integers("a.integers", {1, -2});
  builder.key("a.big", 10, gguf_raw<uint64_t>(UINT64_MAX));
  builder.tensor("a.weight", {4, 2}, 0, std::string(32, 'a')).tensor("b.weight", {32, 1, 2}, 8, std::string(68, 'b'));
  return builder.tensor("c.weight", {3}, 28, std::string(24, 'c'));
}

std::string part(uint16_t number, uint16_t count, const std::string &tensor) {
  GgufBuilder builder;
  if (number == 0) builder.text("general.architecture", "deepseek2");
  builder.u16("split.no", number).u16("split.count", count).key("split.tensors.count", 5, gguf_raw<int32_t>(count));
  return builder.tensor(tensor, {1}, 0, "1234").file();
}

MemoryFolder split_model() {
  MemoryFolder folder;
  folder.files["m-00001-of-00003.gguf"] = part(2, 3, "c");  // the numbers on disk are not those in the files
  folder.files["m-00002-of-00003.gguf"] = part(0, 3, "a");
  folder.files["m-00003-of-00003.gguf"] = part(1, 3, "b");
  return folder;
}

}  // namespace

TEST_CASE("a good file") {
  for (const uint32_t version : {2u, 3u}) {
    GgufBuilder builder = good();
    builder.version = version;
    const auto file = read(builder.file());
    REQUIRE(file.ok());
    const GgufMetadata &keys = file->metadata;
    CHECK_EQ(file->version, version);
    CHECK_EQ(keys.text("general.architecture"), "deepseek2");
    CHECK_EQ(keys.integer("deepseek2.block_count"), 3);
    CHECK_EQ(keys.number("deepseek2.block_count"), 3.0);
    CHECK_EQ(keys.number("a.number"), 0.5);
    CHECK_EQ(keys.flag("a.flag"), true);
    CHECK_EQ(keys.texts("a.texts"), std::vector<std::string_view>{"x", "", "yz"});
    CHECK_EQ(keys.integers("a.integers"), std::vector<int32_t>{1, -2});
    CHECK_FALSE(keys.integer("a.big"));
    CHECK_FALSE(keys.integer("a.flag"));
    CHECK_FALSE(keys.text("a.number"));
    CHECK_FALSE(keys.has("a"));
    const TensorInfo *b = file->tensors.find("b.weight");
    REQUIRE(b);
    CHECK_EQ(b->dtype, DType::kQ8_0);
    CHECK_EQ(b->shape, std::vector<uint64_t>{2, 1, 32});
    CHECK_EQ(b->range.bytes, 68);
    CHECK_EQ(file->tensors.find("a.weight")->range.offset + 32, b->range.offset);
    CHECK_EQ(file->tensors.find("c.weight")->dtype, DType::kNone);
    CHECK_EQ(file->tensors.find("c.weight")->stored_type, "f64");
  }
}

TEST_CASE("a file of keys alone is legal, and so is an alignment of its own") {
  CHECK(read(GgufBuilder().text("a", "b").file()).ok());
  GgufBuilder builder;
  builder.alignment = 8;
  builder.u32("general.alignment", 8).tensor("a", {1}, 0, "1234").tensor("b", {1}, 0, "5678");
  const auto file = read(builder.file());
  REQUIRE(file.ok());
  CHECK_EQ(file->tensors.find("b")->range.offset, file->tensors.find("a")->range.offset + 8);
}

TEST_CASE("every cut of a good file is refused with a sentence") {
  const std::string whole = good().file();
  for (size_t n = 0; n < whole.size(); ++n) {
    const auto file = read(whole.substr(0, n));
    REQUIRE_FALSE(file.ok());
    CHECK(file.status().message()[0] != 0);
  }
}

TEST_CASE("magic, versions, byte order") {
  check_refused("GGML" + std::string(60, '\0'), "does not begin with GGUF");
  GgufBuilder builder = good();
  builder.version = 1;
  check_refused(builder.file(), "version 1", DS_E_UNSUPPORTED);
  builder.version = 4;
  check_refused(builder.file(), "version 4", DS_E_UNSUPPORTED);
  builder.version = 0x03000000;
  check_refused(builder.file(), "big-endian", DS_E_UNSUPPORTED);
}

TEST_CASE("attack: a tensor count near 2^64") {
  for (const uint64_t count : {UINT64_MAX, UINT64_MAX / 8, uint64_t{1} << 32, uint64_t{10}}) {
    GgufBuilder builder;
    builder.n_tensors = count;
    check_refused(builder.file(), "tensors, more than");
  }
}

TEST_CASE("attack: a key count near 2^64") {
  for (const uint64_t count : {UINT64_MAX, UINT64_MAX / 8, uint64_t{10}}) {
    GgufBuilder builder;
    builder.n_keys = count;
    check_refused(builder.file(), "keys, more than");
  }
}

TEST_CASE("attack: offset plus size wraps around") {
  for (const uint64_t offset : {UINT64_MAX - 31, UINT64_MAX - 1023, uint64_t{1} << 63, uint64_t{64}}) {
    GgufBuilder builder;
    builder.info("a", {8}, 0, offset).data = std::string(64, 'x');
    check_refused(builder.file(), "and the file ends after");
  }
}

TEST_CASE("attack: a tensor over the header, by an offset that wraps") {
  GgufBuilder builder;
  builder.info("a", {8}, 0, UINT64_MAX - 31).data = std::string(64, 'x');  // 32 bytes before the data
  check_refused(builder.file(), "tensor 'a' takes 32 bytes");
}

TEST_CASE("attack: two tensors over each other") {
  GgufBuilder builder;
  builder.info("a", {16}, 0, 0).info("b", {8}, 0, 32).data = std::string(64, 'x');
  check_refused(builder.file(), "tensors 'a' and 'b' overlap");
}

TEST_CASE("attack: alignment 0, huge, no power of two, of another type") {
  for (const uint32_t alignment : {0u, 24u, 0x80000000u, UINT32_MAX}) {
    GgufBuilder builder;
    check_refused(builder.u32("general.alignment", alignment).file(), "'general.alignment' is");
  }
  check_refused(GgufBuilder().text("general.alignment", "32").file(), "'general.alignment' must be");
  check_refused(GgufBuilder().key("general.alignment", 10, gguf_raw<uint64_t>(32)).file(), "must be a 32-bit");
}

TEST_CASE("attack: text lengths that lie") {
  for (const uint64_t length : {UINT64_MAX, UINT64_MAX - 7, uint64_t{1} << 40, uint64_t{1} << 30, uint64_t{200}}) {
    GgufBuilder builder;
    builder.key("a", 8, gguf_raw(length) + "abc");
    const auto file = read(builder.file());
    REQUIRE_FALSE(file.ok());
    CHECK_EQ(file.status().code(), DS_E_FORMAT);
    GgufBuilder name;
    name.keys = gguf_raw(length) + std::string(40, 'k');
    name.n_keys = 1;
    CHECK_EQ(read(name.file()).status().code(), DS_E_FORMAT);
    GgufBuilder tensor;
    tensor.infos = gguf_raw(length) + std::string(40, 't');
    tensor.n_tensors = 1;
    CHECK_EQ(read(tensor.file()).status().code(), DS_E_FORMAT);
  }
}

TEST_CASE("attack: array lengths that lie") {
  for (const uint64_t count : {UINT64_MAX, UINT64_MAX / 4, uint64_t{1} << 61, uint64_t{1000}})
    for (const uint32_t type : {0u, 4u, 8u, 10u, 12u}) {
      GgufBuilder builder;
      builder.key("a", 9, gguf_raw(type) + gguf_raw(count) + std::string(16, '\0'));
      CHECK_EQ(read(builder.file()).status().code(), DS_E_FORMAT);
    }
}

TEST_CASE("attack: arrays of arrays, to any depth") {
  std::string value;
  for (int depth = 0; depth < 100000; ++depth) value += gguf_raw<uint32_t>(9) + gguf_raw<uint64_t>(1);
  check_refused(GgufBuilder().key("a", 9, value).file(), "'a' is an array of arrays");
}

TEST_CASE("attack: types that do not exist") {
  check_refused(GgufBuilder().key("a", 13, "").file(), "type 13");
  check_refused(GgufBuilder().key("a", UINT32_MAX, std::string(8, '\0')).file(), "type 4294967295");
  check_refused(GgufBuilder().key("a", 9, gguf_raw<uint32_t>(77) + gguf_raw<uint64_t>(1)).file(), "array of type 77");
  for (const uint32_t type : {4u, 31u, 36u, 42u, 0xffffffc0u, UINT32_MAX})
    check_refused(GgufBuilder().info("a", {32}, type, 0).file(), "which is not known");
}

TEST_CASE("attack: duplicate keys and tensors, and such without a name") {
  check_refused(GgufBuilder().u32("a", 1).u32("a", 1).file(), "'a' is there twice");
  check_refused(GgufBuilder().tensor("t", {1}, 0, "1234").tensor("t", {1}, 0, "1234").file(), "'t' is there twice");
  check_refused(GgufBuilder().u32("", 1).file(), "a key has no name");
  check_refused(GgufBuilder().tensor("", {1}, 0, "1234").file(), "a tensor has no name");
}

TEST_CASE("attack: dims whose product overflows, and impossible dims") {
  const uint64_t huge = uint64_t{1} << 40;
  check_refused(GgufBuilder().info("a", {huge, huge}, 0, 0).file(), "product of its dims overflows");
  check_refused(GgufBuilder().info("a", {huge, 1u << 23}, 0, 0).file(), "product of its dims overflows");
  check_refused(GgufBuilder().info("a", {huge + 1}, 0, 0).file(), "at most 2^40");
  check_refused(GgufBuilder().info("a", {UINT64_MAX}, 0, 0).file(), "at most 2^40");
  check_refused(GgufBuilder().info("a", {1, 1, 1, 1, 1}, 0, 0).file(), "has 5 dims");
  check_refused(GgufBuilder().info("a", {33}, 8, 0).file(), "no multiple of the 32");
  check_refused(GgufBuilder().info("a", {128}, 12, 0).file(), "no multiple of the 256");
  GgufBuilder dims;
  dims.infos = gguf_text("a") + gguf_raw(UINT32_MAX) + std::string(64, '\0');
  dims.n_tensors = 1;
  check_refused(dims.file(), "has 4294967295 dims");
}

TEST_CASE("attack: offsets that are not aligned") {
  GgufBuilder builder;
  builder.info("a", {1}, 0, 4).data = std::string(64, 'x');
  check_refused(builder.file(), "no multiple of 32");
}

TEST_CASE("a split model opens by any of its parts, whatever their order") {
  const MemoryFolder folder = split_model();
  for (const auto &[name, bytes] : folder.files) {
    const auto file = open_gguf(folder, name);
    REQUIRE(file.ok());
    CHECK_EQ(file->metadata.text("general.architecture"), "deepseek2");
    CHECK_EQ(file->tensors.tensors.size(), 3);
    CHECK_EQ(file->tensors.sources.size(), 3);
    CHECK_EQ(file->tensors.find("b")->range.source, 1);
    CHECK_EQ(file->tensors.sources[0]->name(), "mem/m-00002-of-00003.gguf");
  }
  CHECK_EQ(find_gguf(folder).value(), "m-00001-of-00003.gguf");
}

TEST_CASE("a split model of a host that cannot list its files: parts are called by their numbers alone") {
  MemoryFolder folder;
  folder.listable = false;
  for (const auto &[name, bytes] : split_model().files) folder.files[name.substr(1)] = bytes;
  for (const auto &[name, bytes] : folder.files) {
    const auto file = open_gguf(memory_source("", bytes), &folder);
    INFO(file.status().message());
    REQUIRE(file.ok());
    CHECK_EQ(file->metadata.text("general.architecture"), "deepseek2");
    CHECK_EQ(file->tensors.tensors.size(), 3);
  }
  const std::string first = folder.files["-00001-of-00003.gguf"];
  folder.files.erase("-00003-of-00003.gguf");
  CHECK_FAILS(open_gguf(memory_source("", first), &folder), DS_E_NOT_FOUND, "-00003-of-00003.gguf is missing");
  CHECK_FAILS(open_gguf(memory_source("", part(0, 40000, "a")), &folder), DS_E_FORMAT, "40000 parts");
  CHECK_EQ(open_gguf(memory_source("", good().file()), &folder)->tensors.tensors.size(), 3);
}

TEST_CASE("what is wrong with a split model is named") {
  const auto check = [](const MemoryFolder &folder, const std::string &name, const char *part, ds_status code) {
    const auto file = open_gguf(folder, name);
    REQUIRE_FALSE(file.ok());
    INFO(file.status().message());
    CHECK_EQ(file.status().code(), code);
    CHECK_NE(std::string(file.status().message()).find(part), std::string::npos);
  };
  MemoryFolder folder = split_model();
  folder.files.erase("m-00003-of-00003.gguf");
  check(folder, "m-00001-of-00003.gguf", "m-00003-of-00003.gguf is missing", DS_E_NOT_FOUND);
  folder = split_model();
  folder.files["m-00003-of-00003.gguf"] = part(0, 3, "b");
  check(folder, "m-00001-of-00003.gguf", "which another file is", DS_E_FORMAT);
  folder.files["m-00003-of-00003.gguf"] = part(1, 4, "b");
  check(folder, "m-00001-of-00003.gguf", "unlike its name", DS_E_FORMAT);
  folder.files["m-00003-of-00003.gguf"] = part(1, 3, "a");
  check(folder, "m-00001-of-00003.gguf", "tensor 'a' is in another part", DS_E_FORMAT);
  folder.files["renamed.gguf"] = part(0, 3, "a");
  check(folder, "renamed.gguf", "NAME-00001-of-00003.gguf", DS_E_FORMAT);
  const std::string lone = part(1, 3, "b");
  CHECK_EQ(read(lone).status().code(), DS_E_NOT_FOUND);
}

TEST_CASE("a folder with two models says so") {
  MemoryFolder folder = split_model();
  CHECK(find_gguf(MemoryFolder()).value().empty());
  folder.files["other.gguf"] = "";
  CHECK_EQ(find_gguf(folder).status().code(), DS_E_ARGUMENT);
}
