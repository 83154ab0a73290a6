#include "format/open_model.h"

#include <doctest/doctest.h>

#include "gguf_samples.h"
#include "samples.h"
#include "unit/base/temporary_folder.h"

using namespace deepseam;
using test::MemoryFolder;
using test::safetensors_file;

namespace {

std::string weights(char content) {
  return safetensors_file(R"({"a":{"dtype":"BF16","shape":[8192],"data_offsets":[0,16384]}})",
                          std::string(16384, content));
}

std::shared_ptr<MemoryFolder> model_folder() {
  auto folder = std::make_shared<MemoryFolder>();
  folder->files["config.json"] = R"({"model_type":"deepseek_v2","hidden_size":8})";
  folder->files["generation_config.json"] = R"({"temperature":0.25})";
  folder->files["tokenizer.json"] = "{}";
  folder->files["model.safetensors"] = weights('w');
  return folder;
}

Fingerprint fingerprint_of(const std::shared_ptr<MemoryFolder> &folder) {
  const auto files = open_model_files(folder);
  REQUIRE(files.ok());
  const auto fingerprint = model_fingerprint(files.value(), nullptr);
  REQUIRE(fingerprint.ok());
  return fingerprint.value();
}

Result<ModelFiles> open_bytes(const std::string &bytes) { return open_model_files(test::memory_source("m", bytes)); }

}  // namespace

TEST_CASE("a Hugging Face folder") {
  const auto files = open_model_files(model_folder());
  REQUIRE(files.ok());
  CHECK_EQ(files->kind, ModelKind::kHfFolder);
  CHECK_EQ(*files->config.hidden_size, 8);
  CHECK_EQ(*files->generation.temperature, 0.25);
  CHECK_EQ(files->tensors.tensors.size(), 1);
  const auto tokenizer = read_tokenizer(files.value());
  REQUIRE(tokenizer.ok());
  CHECK_EQ(tokenizer->tokenizer_json, "{}");
  CHECK(tokenizer->tokenizer_config_json.empty());
}

TEST_CASE("a folder that lacks its config or has a damaged one") {
  auto folder = model_folder();
  folder->files["config.json"] = "{";
  CHECK_FAILS(open_model_files(folder), DS_E_FORMAT, "config.json");
  folder->files.erase("config.json");
  CHECK_FAILS(open_model_files(folder), DS_E_NOT_FOUND, "neither a config.json");
}

TEST_CASE("a config.json beside GGUF files, without safetensors, belongs to the model they were made of") {
  auto folder = std::make_shared<test::MemoryFolder>();
  folder->files["config.json"] = R"({"model_type":"deepseek_v2"})";
  CHECK_FAILS(open_model_files(folder), DS_E_NOT_FOUND, "nor any *.safetensors");
  folder->files["x.gguf"] = test::deepseek2_keys({}).file();
  const auto files = open_model_files(folder);
  INFO(files.status().message());
  REQUIRE(files.ok());
  CHECK_EQ(files->kind, ModelKind::kGguf);
  folder->files["y.gguf"] = folder->files["x.gguf"];
  CHECK_FAILS(open_model_files(folder), DS_E_ARGUMENT, "more than one GGUF model");
  folder->files["model.safetensors"] = weights('w');
  const auto plain = open_model_files(folder);
  REQUIRE(plain.ok());
  CHECK_EQ(plain->kind, ModelKind::kHfFolder);
}

TEST_CASE("kinds are told by content") {
  CHECK_FAILS(open_bytes("GGUF\x03xxxxxxxxxx"), DS_E_UNSUPPORTED, "GGUF");
  CHECK_FAILS(open_bytes(weights('w')), DS_E_NOT_FOUND, "config.json");
  CHECK_FAILS(open_bytes("PK\x03\x04zzzzzzz"), DS_E_FORMAT, "zip archive");
  CHECK_FAILS(open_bytes("version https://git-lfs.github.com/spec/v1"), DS_E_FORMAT, "Git LFS pointer");
  CHECK_FAILS(open_bytes("\x01\x02\x03"), DS_E_FORMAT, "begins with bytes 01 02 03");
  CHECK_FAILS(open_bytes(""), DS_E_FORMAT, "empty file");
  CHECK_FAILS(open_bytes(std::string("\x89"
                                     "DSM\r\n\x1a\n",
                                     8)),
              DS_E_FORMAT, "too few");
}

TEST_CASE("paths: a folder, a lone file beside its config, nothing there") {
  TemporaryFolder folder;
  folder.write("config.json", R"({"model_type":"deepseek_v2"})");
  folder.write("odd name", weights('w'));
  CHECK_FAILS(open_model_files(folder / "none", MapMode::kAuto), DS_E_NOT_FOUND, "none");
  const auto lone = open_model_files(folder / "odd name", MapMode::kAuto);
  REQUIRE(lone.ok());
  CHECK_EQ(lone->tensors.tensors.size(), 1);
  CHECK_FAILS(open_model_files(folder / "config.json", MapMode::kAuto), DS_E_FORMAT, "open the folder");
  folder.write("model.safetensors", weights('w'));
  CHECK(open_model_files(folder.path(), MapMode::kNever).ok());
}

TEST_CASE("the fingerprint follows content and nothing else") {
  const Fingerprint first = fingerprint_of(model_folder());
  CHECK(first == fingerprint_of(model_folder()));
  auto renamed = model_folder();
  renamed->files["other.safetensors"] = renamed->files["model.safetensors"];
  renamed->files.erase("model.safetensors");
  CHECK(first == fingerprint_of(renamed));
  for (const char *what : {"config.json", "tokenizer.json", "head", "tail"}) {
    INFO(what);
    auto changed = model_folder();
    std::string &tensors = changed->files["model.safetensors"];
    if (what == std::string("head")) {
      tensors[tensors.size() - 16384]++;
    } else if (what == std::string("tail")) {
      tensors.back()++;
    } else if (what == std::string("config.json")) {
      changed->files[what] = R"({"model_type":"deepseek_v2","hidden_size":9})";
    } else {
      changed->files[what] = "{} ";
    }
    CHECK_FALSE(first == fingerprint_of(changed));
  }
}
