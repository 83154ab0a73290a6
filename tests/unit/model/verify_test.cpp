#include "model/verify.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>

#include "unit/base/temporary_folder.h"
#include "work_samples.h"

using namespace deepseam;
using namespace deepseam::model;
using namespace deepseam::model::test;

namespace {

VerifyReport verified(const std::string &path) {
  auto report = verify_model(opened(path), {});
  require_ok(report.status());
  return std::move(report).value();
}

}  // namespace

TEST_CASE("sound models have no findings") {
  for (const char *variant : {"lite", "v3", "lite-shards"}) {
    const VerifyReport report = verified(std::string(DS_TINY_DIR) + "/" + variant);
    CHECK(report.findings.empty());
    CHECK(report.tensors > 30);
    CHECK(report.bytes > 100000);
  }
  TemporaryFolder folder;
  synth("tiny", PackType::kQ4, folder / "x.dsm");
  CHECK(verified(folder / "x.dsm").findings.empty());
}

TEST_CASE("a damaged number and its hash are both found") {
  TemporaryFolder folder;
  synth("tiny", PackType::kBF16, folder / "x.dsm");
  std::string bytes = TemporaryFolder::read(folder / "x.dsm");
  const TensorInfo tensor = *opened(folder / "x.dsm").tensors.find("layers.1.o");
  const uint16_t infinity = 0x7f80;
  std::memcpy(&bytes[tensor.range.offset + 2 * (2 * tensor.cols() + 1)], &infinity, 2);
  folder.write("x.dsm", bytes);
  const VerifyReport report = verified(folder / "x.dsm");
  REQUIRE_EQ(report.findings.size(), 2);
  CHECK_EQ(report.findings[0].code, DS_E_CHECKSUM);
  CHECK(std::strstr(report.findings[0].message.c_str(), "layers.1.o"));
  CHECK_EQ(report.findings[1].code, DS_E_FORMAT);
  CHECK_EQ(report.findings[1].tensor, "layers.1.o");
  CHECK(std::strstr(report.findings[1].message.c_str(), "row 2, column 1"));
}

TEST_CASE("numbers that loading cannot turn into what backends get are a finding") {
  TemporaryFolder folder;
  synth("tiny", PackType::kQ3_K, folder / "x.dsm");
  std::string bytes = TemporaryFolder::read(folder / "x.dsm");
  const std::vector<TensorInfo> tensors = opened(folder / "x.dsm").tensors.tensors;  // and closed: it is written anew
  const auto found = std::ranges::find(tensors, DType::kQ3_K, &TensorInfo::dtype);
  REQUIRE(found != tensors.end());
  const uint16_t largest = 0x7bff;  // 65504: finite, and 128 times it, -4 by -32, more than Q8_0 holds
  std::memset(&bytes[found->range.offset], 0, 108);
  std::memcpy(&bytes[found->range.offset + 108], &largest, 2);
  folder.write("x.dsm", bytes);
  const VerifyReport report = verified(folder / "x.dsm");
  REQUIRE_EQ(report.findings.size(), 2);
  CHECK_EQ(report.findings[0].code, DS_E_CHECKSUM);
  CHECK_EQ(report.findings[1].code, DS_E_FORMAT);
  CHECK_EQ(report.findings[1].tensor, found->name);
  CHECK(std::strstr(report.findings[1].message.c_str(), "beyond 8 million"));
}

TEST_CASE("an impossible configuration is a finding") {
  TemporaryFolder folder;
  const std::string config = TemporaryFolder::read(std::string(DS_TINY_DIR) + "/lite/config.json");
  std::string changed = config;
  changed.replace(changed.find("\"hidden_size\": 64"), 17, "\"hidden_size\": 65");
  folder.write("config.json", changed);
  folder.write("model.safetensors", TemporaryFolder::read(std::string(DS_TINY_DIR) + "/lite/model.safetensors"));
  const VerifyReport report = verified(folder.path());
  REQUIRE_EQ(report.findings.size(), 1);
  CHECK_EQ(report.findings[0].code, DS_E_MODEL);
}

TEST_CASE("progress is whole and can stop") {
  TemporaryFolder folder;
  synth("tiny", PackType::kQ8, folder / "x.dsm");
  const ModelFiles files = opened(folder / "x.dsm");
  uint64_t last = 0, total = 0;
  WorkOptions work;
  work.progress = [&](uint64_t done, uint64_t all) {
    CHECK(done >= last);
    last = done;
    total = all;
    return true;
  };
  REQUIRE(verify_model(files, work).ok());
  CHECK_EQ(last, total);
  work.progress = [](uint64_t, uint64_t) { return false; };
  CHECK_EQ(verify_model(files, work).status().code(), DS_E_STOPPED);
}
