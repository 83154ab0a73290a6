#include "format/dsm.h"

#include <doctest/doctest.h>

#include <cstring>

#include "format/dsm_layout.h"
#include "format/open_model.h"
#include "format/tensor_read.h"
#include "samples.h"
#include "unit/base/temporary_folder.h"

using namespace deepseam;
using test::bytes_of;
using test::raw;

namespace {

// A file with one tensor of each kind of layout, a tokenizer and a hint.
Status write_sample(const std::string &path, bool with_hint = true) {
  DS_TRY_VALUE(DsmWriter writer, DsmWriter::create(path));
  const uint64_t a[] = {2, 3}, b[] = {2, 40}, c[] = {3, 5}, d[] = {0, 4};
  DS_TRY(writer.begin_tensor("a", DType::kF32, a));
  DS_TRY(writer.append(bytes_of(raw(std::vector<float>{1, 2, 3, 4, 5, 6}))));
  DS_TRY(writer.end_tensor());
  DS_TRY(writer.begin_tensor("b", DType::kQ8_0, b));
  for (int row = 0; row < 2; ++row) DS_TRY(writer.append(bytes_of(std::string(68, static_cast<char>('0' + row)))));
  DS_TRY(writer.end_tensor());
  DS_TRY(writer.begin_tensor("c", DType::kF8E4M3, c, 2, 4));
  DS_TRY(writer.append(bytes_of(std::string(15, '\x38'))));
  const float scales[] = {1, 2, 3, 4};
  DS_TRY(writer.append_scales(scales));
  DS_TRY(writer.end_tensor());
  DS_TRY(writer.begin_tensor("d", DType::kF32, d));
  DS_TRY(writer.end_tensor());
  DS_TRY(writer.add_tokenizer(bytes_of(std::string("tokens"))));
  if (with_hint) DS_TRY(writer.add_hint("onednn", "vnni4", "avx512", bytes_of(std::string("packed"))));
  HfConfig config;
  config.model_type = "deepseek_v3";
  config.hidden_size = 8;
  config.rope_type = "yarn";
  config.rope_mscale = 0.707;
  config.architectures = {"A", "B"};
  config.eos_token_ids = {1, 2};
  apply_config_defaults(&config);
  GenerationDefaults generation;
  generation.temperature = 0.6;
  generation.eos_token_ids = {3};
  return writer.finish(config, generation, "a card");
}

std::string sample_bytes(bool with_hint = true) {
  TemporaryFolder folder;
  const Status status = write_sample(folder / "x.dsm", with_hint);
  INFO(status.message());
  REQUIRE(status.ok());
  return TemporaryFolder::read(folder / "x.dsm");
}

Result<DsmFile> open_bytes(const std::string &bytes) { return open_dsm(test::memory_source("x.dsm", bytes)); }

// The file with `size` header bytes at `offset` replaced and the header's hash made right again.
std::string with_header(std::string file, size_t offset, const void *bytes, size_t size) {
  std::memcpy(&file[offset], bytes, size);
  const uint64_t hash = hash64(bytes_of(file).first(120));
  std::memcpy(&file[120], &hash, 8);
  return file;
}

}  // namespace

TEST_CASE("what was written is what is read") {
  const auto file = open_bytes(sample_bytes());
  REQUIRE(file.ok());
  REQUIRE_EQ(file->tensors.tensors.size(), 4);
  for (const TensorInfo &tensor : file->tensors.tensors) CHECK_EQ(tensor.range.offset % 64, 0);
  const TensorInfo *a = file->tensors.find("a"), *b = file->tensors.find("b"), *c = file->tensors.find("c");
  REQUIRE(a);
  CHECK_EQ(read_tensor_f32(file->tensors, *a).value(), std::vector<float>{1, 2, 3, 4, 5, 6});
  CHECK_EQ(b->dtype, DType::kQ8_0);
  CHECK_EQ(b->range.bytes, 136);
  CHECK(c->has_scales);
  CHECK_EQ(read_tensor_f32(file->tensors, *c).value(), std::vector<float>{1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 3, 3, 3, 3, 4});
  CHECK_EQ(*file->config.rope_mscale, 0.707);
  CHECK_EQ(*file->config.hidden_size, 8);
  CHECK_FALSE(file->config.vocab_size.has_value());
  CHECK_EQ(file->config.architectures, std::vector<std::string>{"A", "B"});
  CHECK_EQ(file->config.eos_token_ids, std::vector<int64_t>{1, 2});
  CHECK_EQ(*file->generation.temperature, 0.6);
  CHECK_EQ(file->generation.eos_token_ids, std::vector<int64_t>{3});
  CHECK_EQ(file->card, "a card");
  REQUIRE(file->find_hint("onednn", "vnni4", "avx512"));
  CHECK_EQ(file->find_hint("onednn", "vnni4", "avx2"), nullptr);
  CHECK(verify_dsm(file->tensors, file.value(), nullptr, {}).ok());
}

TEST_CASE("opened as a model it brings tokenizer and fingerprint") {
  const auto files = open_model_files(test::memory_source("x.dsm", sample_bytes()));
  REQUIRE(files.ok());
  CHECK_EQ(files->kind, ModelKind::kDsm);
  CHECK_EQ(read_tokenizer(files.value())->blob, "tokens");
  CHECK(model_fingerprint(files.value(), nullptr).value() == files->dsm->fingerprint);
}

TEST_CASE("hints are made in pieces from the file that is being written") {
  TemporaryFolder folder;
  const std::string path = folder / "x.dsm";
  {
    auto writer = DsmWriter::create(path);
    REQUIRE(writer.ok());
    const uint64_t shape[] = {1};
    REQUIRE(writer->begin_tensor("a", DType::kF32, shape).ok());
    REQUIRE(writer->append(bytes_of(raw(std::vector<float>{7}))).ok());
    CHECK_EQ(writer->begin_hint("b", "l", "i").code(), DS_E_INTERNAL);
    REQUIRE(writer->end_tensor().ok());
    auto source = writer->written_so_far({}, {}, "");
    REQUIRE(source.ok());
    const auto so_far = open_dsm(*source);
    REQUIRE(so_far.ok());
    CHECK_EQ(read_tensor_f32(so_far->tensors, *so_far->tensors.find("a")).value(), std::vector<float>{7});
    CHECK_EQ(writer->append_hint(bytes_of(std::string("x"))).code(), DS_E_INTERNAL);
    REQUIRE(writer->begin_hint("b", "l", "i").ok());
    REQUIRE(writer->append_hint(bytes_of(std::string("pack"))).ok());
    CHECK_EQ(writer->finish({}, {}, "").code(), DS_E_INTERNAL);
    REQUIRE(writer->append_hint(bytes_of(std::string("ed"))).ok());
    REQUIRE(writer->end_hint().ok());
    CHECK_EQ(writer->end_hint().code(), DS_E_INTERNAL);
    CHECK_FALSE(std::filesystem::exists(path));
    REQUIRE(writer->finish({}, {}, "").ok());
  }
  const std::string bytes = TemporaryFolder::read(path);
  const auto file = open_bytes(bytes);
  REQUIRE(file.ok());
  CHECK(verify_dsm(file->tensors, file.value(), nullptr, {}).ok());
  const DsmHint *hint = file->find_hint("b", "l", "i");
  REQUIRE(hint);
  CHECK_EQ(bytes.substr(hint->section.range.offset, hint->section.range.bytes), "packed");
}

TEST_CASE("hints do not change what the model is") {
  CHECK(open_bytes(sample_bytes(true))->fingerprint == open_bytes(sample_bytes(false))->fingerprint);
}

TEST_CASE("a damaged content is found by verifying, not by opening") {
  const std::string good = sample_bytes();
  const auto file = open_bytes(good);
  struct Case {
    uint64_t offset;
    const char *part;
  };
  const Case cases[] = {{file->tensors.find("a")->range.offset, "tensor 'a'"},
                        {file->tensors.find("c")->scales.range.offset + 3, "the scales of tensor 'c'"},
                        {file->tokenizer.range.offset, "the tokenizer"},
                        {file->hints[0].section.range.offset, "hint 'onednn'"}};
  for (const Case &each : cases) {
    std::string bytes = good;
    bytes[each.offset] ^= 1;
    const auto damaged = open_bytes(bytes);
    REQUIRE(damaged.ok());
    const Status status = verify_dsm(damaged->tensors, damaged.value(), nullptr, {});
    CHECK_EQ(status.code(), DS_E_CHECKSUM);
    CHECK(test::contains(status.message(), each.part));
  }
  std::string bytes = good;
  bytes[file->tokenizer.range.offset] ^= 1;
  const auto model = open_model_files(test::memory_source("x.dsm", bytes));
  CHECK_EQ(read_tokenizer(model.value()).status().code(), DS_E_CHECKSUM);
}

TEST_CASE("verifying can be cancelled and stopped") {
  const auto file = open_bytes(sample_bytes());
  CancelWord cancel;
  cancel.set();
  CHECK_EQ(verify_dsm(file->tensors, file.value(), &cancel, {}).code(), DS_E_CANCELLED);
  CHECK_EQ(verify_dsm(file->tensors, file.value(), nullptr, [](uint64_t) { return false; }).code(), DS_E_STOPPED);
}

TEST_CASE("header fields that lie under a right hash") {
  const std::string good = sample_bytes();
  const auto open_with = [&](size_t offset, auto value) {
    return open_bytes(with_header(good, offset, &value, sizeof value));
  };
  CHECK_FAILS(open_with(8, uint32_t{2}), DS_E_UNSUPPORTED, "version 2");
  CHECK_FAILS(open_with(12, uint32_t{64}), DS_E_FORMAT, "header size 64");
  CHECK_FAILS(open_with(16, uint64_t{4}), DS_E_UNSUPPORTED, "0000000000000004");
  CHECK(open_with(24, ~uint64_t{0}).ok());  // compat bits may be anything
  for (const uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{1} << 40, ~uint64_t{7}, ~uint64_t{0}})
    CHECK_FAILS(open_with(32, offset), DS_E_FORMAT, "does not lie inside");
  for (const uint64_t size : {uint64_t{1} << 40, ~uint64_t{0}})
    CHECK_FAILS(open_with(40, size), DS_E_FORMAT, "does not lie inside");
  CHECK_FAILS(open_with(40, uint64_t{8}), DS_E_FORMAT, "not possible");
  CHECK_FAILS(open_with(40, uint64_t{64}), DS_E_CHECKSUM, "directory is damaged");
  CHECK_FAILS(open_with(48, uint64_t{1}), DS_E_CHECKSUM, "directory is damaged");
  CHECK_FAILS(open_with(64, uint64_t{good.size() + 1}), DS_E_FORMAT, "truncated");
  CHECK_FAILS(open_with(64, uint64_t{good.size() - 1}), DS_E_FORMAT, "appended");
}

TEST_CASE("any changed header byte is noticed") {
  const std::string good = sample_bytes();
  for (size_t i = 0; i < kDsmHeaderBytes; ++i) {
    std::string bytes = good;
    bytes[i] ^= 0x40;
    INFO(i);
    CHECK_EQ(open_bytes(bytes).status().code(), i < 8 ? DS_E_FORMAT : DS_E_CHECKSUM);
  }
}

TEST_CASE("cut at any length") {
  const std::string good = sample_bytes();
  for (size_t size = 0; size < good.size(); ++size)
    REQUIRE_EQ(open_bytes(good.substr(0, size)).status().code(), DS_E_FORMAT);
}

TEST_CASE("the writer refuses what its reader would") {
  TemporaryFolder folder;
  auto writer = DsmWriter::create(folder / "x.dsm");
  REQUIRE(writer.ok());
  const uint64_t shape[] = {2, 2}, five[] = {1, 1, 1, 1, 1}, huge[] = {uint64_t{1} << 33, uint64_t{1} << 33};
  CHECK_EQ(writer->begin_tensor("", DType::kF32, shape).code(), DS_E_ARGUMENT);
  CHECK_EQ(writer->begin_tensor("x", DType::kNone, shape).code(), DS_E_ARGUMENT);
  CHECK_EQ(writer->begin_tensor("x", DType::kF32, five).code(), DS_E_ARGUMENT);
  CHECK_EQ(writer->begin_tensor("x", DType::kF32, huge).code(), DS_E_ARGUMENT);
  CHECK_EQ(writer->begin_tensor("x", DType::kF32, shape, 128, 128).code(), DS_E_ARGUMENT);
  CHECK_EQ(writer->append(bytes_of(std::string("x"))).code(), DS_E_INTERNAL);
  REQUIRE(writer->begin_tensor("x", DType::kF32, shape).ok());
  CHECK_EQ(writer->append(bytes_of(std::string(17, 'x'))).code(), DS_E_INTERNAL);
  CHECK_EQ(writer->end_tensor().code(), DS_E_INTERNAL);
  CHECK_EQ(writer->finish({}, {}, "").code(), DS_E_INTERNAL);
  REQUIRE(writer->append(bytes_of(std::string(16, 'x'))).ok());
  CHECK(writer->end_tensor().ok());
}

TEST_CASE("an unfinished file leaves nothing behind") {
  TemporaryFolder folder;
  {
    auto writer = DsmWriter::create(folder / "x.dsm");
    REQUIRE(writer.ok());
    CHECK(writer->add_tokenizer(bytes_of(std::string(1000, 't'))).ok());
  }
  CHECK_EQ(folder.entries(), 0);
}
