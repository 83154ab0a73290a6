// Model files damaged in every way a disk, a download or an ill-meaning author might: each ends in a status and a
// sentence, or in a model that is whole. Everything up to binding the weights runs here; loading them is the session's
// test.
#include <doctest/doctest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <random>

#include "format/dsm_layout.h"
#include "model/verify.h"
#include "unit/base/temporary_folder.h"
#include "unit/format/samples.h"
#include "unit/model/work_samples.h"

using namespace deepseam;
using deepseam::test::bytes_of;
using deepseam::test::memory_source;
using deepseam::test::MemoryFolder;

namespace {

const std::string kTiny = DS_TINY_DIR;

// A folder of the oracle's checkpoints, in memory.
std::shared_ptr<MemoryFolder> load(const std::string &variant) {
  auto folder = std::make_shared<MemoryFolder>();
  for (const auto &entry : std::filesystem::directory_iterator(kTiny + "/" + variant))
    folder->files[entry.path().filename().string()] = TemporaryFolder::read(entry.path().string());
  return folder;
}

std::string packed(const std::string &variant, model::PackType type) {
  TemporaryFolder folder;
  model::PackOptions options;
  options.type = type;
  options.tokenizer_blob = std::string(5000, 't');
  model::test::require_ok(model::pack_model(model::test::opened(kTiny + "/" + variant), folder / "x.dsm", options));
  return TemporaryFolder::read(folder / "x.dsm");
}

// Everything that happens before numbers are loaded.
Status open_and_bind(Result<ModelFiles> files) {
  if (!files.ok()) return files.status();
  DS_TRY_VALUE(const model::Config config, model::make_config(files->config, files->path));
  DS_TRY_VALUE(const model::WeightMap weights, model::bind_weights(config, files->tensors, files->path));
  DS_TRY_VALUE(const TokenizerData tokenizer, read_tokenizer(files.value()));
  static_cast<void>(tokenizer);
  return {};
}

Status open_folder_files(const std::shared_ptr<MemoryFolder> &folder) {
  return open_and_bind(open_model_files(folder));
}
Status open_dsm_bytes(const std::string &bytes) {
  return open_and_bind(open_model_files(memory_source("x.dsm", bytes)));
}

// A failure with a code of the file range and a sentence that says more than the code's name.
void check_sentence(const Status &status) {
  INFO(status.message());
  REQUIRE_FALSE(status.ok());
  CHECK(status.code() < DS_E_INTERNAL);
  CHECK(std::strlen(status.message()) > 20);
  CHECK(std::strchr(status.message(), ' '));
}

// The .dsm with its hashes made right again after a change.
std::string signed_again(std::string bytes) {
  uint8_t raw[kDsmHeaderBytes];
  std::memcpy(raw, bytes.data(), sizeof raw);
  DsmHeader header = load_dsm_header(raw);
  const auto all = bytes_of(bytes);
  if (header.directory_offset <= all.size() && header.directory_bytes <= all.size() - header.directory_offset)
    header.directory_hash = hash128(all.subspan(header.directory_offset, header.directory_bytes));
  store_dsm_header(header, raw);
  std::memcpy(bytes.data(), raw, sizeof raw);
  return bytes;
}

// A source whose n-th read fails.
class FailingSource final : public Source {
 public:
  FailingSource(std::shared_ptr<Source> inner, int64_t *reads_left) : inner_(std::move(inner)), left_(reads_left) {
    name_ = inner_->name();
    size_ = inner_->size();
  }
  Status read_at(uint64_t offset, std::span<uint8_t> into) const override {
    if ((*left_)-- == 0)
      return fail(DS_E_IO, "file", "%s: reading %zu bytes at offset %llu failed", name_.c_str(), into.size(),
                  static_cast<unsigned long long>(offset));
    return inner_->read_at(offset, into);
  }

 private:
  std::shared_ptr<Source> inner_;
  int64_t *left_;
};

class FailingFolder final : public Folder {
 public:
  FailingFolder(std::shared_ptr<MemoryFolder> inner, int64_t *reads_left)
      : inner_(std::move(inner)), left_(reads_left) {}
  Result<std::shared_ptr<Source>> open(const std::string &name) const override {
    DS_TRY_VALUE(std::shared_ptr<Source> source, inner_->open(name));
    return std::shared_ptr<Source>(std::make_shared<FailingSource>(std::move(source), left_));
  }
  Result<std::vector<std::string>> list() const override { return inner_->list(); }
  const std::string &path() const override { return inner_->path(); }

 private:
  std::shared_ptr<MemoryFolder> inner_;
  int64_t *left_;
};

// Runs `attempt` with every n-th read failing until one run needs fewer reads; returns how many reads that was.
int64_t fail_every_read(int64_t *reads_left, const std::function<Status()> &attempt) {
  for (int64_t n = 0;; ++n) {
    REQUIRE(n < 100000);
    *reads_left = n;
    const Status status = attempt();
    if (*reads_left >= 0) {
      model::test::require_ok(status);
      return n;
    }
    INFO(n);
    CHECK_EQ(status.code(), DS_E_IO);
    check_sentence(status);
  }
}

}  // namespace

TEST_CASE("safetensors cut at every 4 KiB") {
  for (const char *variant : {"lite", "v3", "lite-shards"}) {
    const auto whole = load(variant);
    model::test::require_ok(open_folder_files(whole));
    for (const auto &[name, content] : whole->files) {
      if (name.find(".safetensors") == name.npos || name.find("index") != name.npos) continue;
      auto cut = std::make_shared<MemoryFolder>(*whole);
      for (size_t size = 0; size < content.size(); size += 4096) {
        INFO(name, " ", size);
        cut->files[name] = content.substr(0, size);
        check_sentence(open_folder_files(cut));
      }
      cut->files[name] = content + '\0';
      check_sentence(open_folder_files(cut));
    }
  }
}

TEST_CASE(".dsm cut at every 4 KiB") {
  for (auto type : {model::PackType::kQ4, model::PackType::kSource}) {
    const std::string whole = packed("v3", type);
    model::test::require_ok(open_dsm_bytes(whole));
    for (size_t size = 0; size < whole.size(); size += 4096) {
      INFO(size);
      check_sentence(open_dsm_bytes(whole.substr(0, size)));
    }
    check_sentence(open_dsm_bytes(whole + '\0'));
  }
}

TEST_CASE("JSON files cut anywhere") {
  const auto whole = load("lite-shards");
  for (const char *name : {"config.json", "model.safetensors.index.json"}) {
    const std::string content = whole->files[name];
    auto cut = std::make_shared<MemoryFolder>(*whole);
    const size_t end = content.rfind('}');  // from here on the document is whole
    for (size_t size = 0; size <= end; size += 1 + size / 64) {
      INFO(std::string(name), " ", size);
      cut->files[name] = content.substr(0, size);
      check_sentence(open_folder_files(cut));
    }
  }
}

TEST_CASE("every field of a .dsm header set to 0, the largest number and random ones") {
  const std::string whole = packed("lite", model::PackType::kQ8);
  std::mt19937_64 random(1);
  const struct {
    size_t offset, size;
    bool any;  // every value is allowed
  } fields[] = {{0, 8, false},  {8, 4, false},  {12, 4, false}, {16, 8, false}, {24, 8, true},
                {32, 8, false}, {40, 8, false}, {48, 8, false}, {56, 8, false}, {64, 8, false}};
  for (const auto &field : fields)
    for (int i = 0; i < 12; ++i) {
      const uint64_t value = i == 0 ? 0 : i == 1 ? ~uint64_t{0} : random() >> (i % 4 * 16);
      std::string bytes = whole;
      std::memcpy(&bytes[field.offset], &value, field.size);
      if (bytes == whole) continue;  // it was 0 before
      INFO(field.offset, " ", value);
      check_sentence(open_dsm_bytes(bytes));  // the header's hash no longer fits
      const uint64_t hash = hash64(bytes_of(bytes).first(120));
      std::memcpy(&bytes[120], &hash, 8);
      const Status status = open_dsm_bytes(bytes);
      if (field.any) {
        CHECK(status.ok());
      } else {
        check_sentence(status);
      }
    }
}

TEST_CASE("every word of a .dsm directory set to 0, the largest number and a random one, under right hashes") {
  const std::string whole = packed("lite-dense", model::PackType::kFp8);
  uint8_t raw[kDsmHeaderBytes];
  std::memcpy(raw, whole.data(), sizeof raw);
  const DsmHeader header = load_dsm_header(raw);
  std::mt19937_64 random(2);
  uint64_t refused = 0, opened = 0;
  for (uint64_t at = 0; at + 4 <= header.directory_bytes; at += 4)
    for (const uint64_t value : {uint64_t{0}, ~uint64_t{0}, random()}) {
      std::string bytes = whole;
      std::memcpy(&bytes[header.directory_offset + at], &value, 4);
      const Status status = open_dsm_bytes(signed_again(bytes));
      if (status.ok()) {
        ++opened;  // a hash, a name, or a number of no consequence
      } else {
        ++refused;
        check_sentence(status);
      }
      CHECK_FALSE((bytes != whole && open_dsm_bytes(bytes).ok()));  // unsigned, every change is noticed
    }
  CHECK(refused > opened);
}

TEST_CASE("every number of a safetensors header set to 0, the largest and random ones") {
  const auto whole = load("v3-true");
  const std::string content = whole->files["model.safetensors"];
  uint64_t length;
  std::memcpy(&length, content.data(), 8);
  const std::string header = content.substr(8, length), data = content.substr(8 + length);
  std::mt19937_64 random(3);
  auto folder = std::make_shared<MemoryFolder>(*whole);
  bool in_text = false;
  uint64_t changed = 0;
  for (size_t at = 0; at < header.size(); ++at) {
    if (header[at] == '"') in_text = !in_text;
    const bool digit = header[at] >= '0' && header[at] <= '9';
    if (in_text || !digit || (header[at - 1] >= '0' && header[at - 1] <= '9')) continue;
    const size_t end = header.find_first_not_of("0123456789", at);
    const std::string old = header.substr(at, end - at);
    for (const std::string &value :
         {std::string("0"), std::string("9223372036854775807"), std::string("18446744073709551616"), std::string("-1"),
          std::to_string(random() % 100000)}) {
      if (value == old) continue;
      folder->files["model.safetensors"] =
          deepseam::test::safetensors_file(header.substr(0, at) + value + header.substr(end), data);
      INFO(at, " ", old, " ", value);
      check_sentence(open_folder_files(folder));
      ++changed;
    }
  }
  CHECK(changed > 1000);
}

TEST_CASE("the header length of a safetensors file set to 0, the largest and random numbers") {
  auto folder = load("lite");
  std::string &content = folder->files["model.safetensors"];
  std::mt19937_64 random(4);
  for (int i = 0; i < 64; ++i) {
    const uint64_t value = i == 0 ? 0 : i == 1 ? ~uint64_t{0} : random() >> i;
    std::memcpy(content.data(), &value, 8);
    INFO(value);
    check_sentence(open_folder_files(folder));
  }
}

TEST_CASE("a shape product that overflows, in both containers") {
  auto folder = load("lite");
  folder->files["model.safetensors"] = deepseam::test::safetensors_file(
      R"({"a":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,0]}})", "");
  const Status status = open_folder_files(folder);
  check_sentence(status);
  CHECK(std::strstr(status.message(), "overflows"));
}

TEST_CASE("an index naming a missing shard") {
  auto folder = load("lite-shards");
  folder->files.erase("model-00002-of-000003.safetensors");
  const Status status = open_folder_files(folder);
  CHECK_EQ(status.code(), DS_E_NOT_FOUND);
  CHECK(std::strstr(status.message(), "'model-00002-of-000003.safetensors'"));
}

TEST_CASE("a missing weight is named") {
  auto folder = load("lite-shards");
  std::string &index = folder->files["model.safetensors.index.json"];
  folder->files.erase("model-00002-of-000003.safetensors");
  std::string kept;
  for (size_t at = 0; at < index.size();) {  // line by line; the file has one tensor a line
    const size_t end = index.find('\n', at) + 1;
    const std::string line = index.substr(at, end - at);
    if (line.find("model-00002-of") == line.npos) kept += line;
    at = end;
  }
  index = kept;
  const Status status = open_folder_files(folder);
  CHECK_EQ(status.code(), DS_E_MODEL);
  CHECK(std::strstr(status.message(), "is missing"));
}

TEST_CASE("impossible values in config.json") {
  const auto whole = load("v3");
  const std::string content = whole->files["config.json"];
  auto folder = std::make_shared<MemoryFolder>(*whole);
  for (const char *field :
       {"vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "q_lora_rank", "kv_lora_rank",
        "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "intermediate_size", "moe_intermediate_size",
        "n_routed_experts", "num_experts_per_tok", "n_group", "topk_group", "moe_layer_freq"})
    for (const char *value : {"-1", "2147483647", "4611686018427387904", "\"x\"", "1.5", "[]", "true", "1e400"}) {
      const std::string key = std::string("\"") + field + "\": ";
      const size_t at = content.find(key);
      REQUIRE(at != content.npos);
      const size_t begin = at + key.size(), end = content.find_first_of(",\n", begin);
      folder->files["config.json"] = content.substr(0, begin) + value + content.substr(end);
      INFO(std::string(field), " ", std::string(value));
      check_sentence(open_folder_files(folder));
    }
}

TEST_CASE("every read of an HF folder failing once") {
  int64_t reads_left = 0;
  auto folder = std::make_shared<FailingFolder>(load("lite-shards"), &reads_left);
  const int64_t reads = fail_every_read(&reads_left, [&] { return open_and_bind(open_model_files(folder)); });
  CHECK(reads >= 8);  // config, index, three lengths and three headers
}

TEST_CASE("every read of a .dsm failing once, open and fingerprint and all numbers") {
  const std::string bytes = packed("lite-dense", model::PackType::kQ8);
  int64_t reads_left = 0;
  auto attempt = [&]() -> Status {
    auto source = std::make_shared<FailingSource>(memory_source("x.dsm", bytes), &reads_left);
    DS_TRY_VALUE(const ModelFiles files, open_model_files(std::shared_ptr<Source>(source)));
    DS_TRY_VALUE(const TokenizerData tokenizer, read_tokenizer(files));
    static_cast<void>(tokenizer);
    for (const TensorInfo &tensor : files.tensors.tensors) {
      const auto values = read_tensor_f32(files.tensors, tensor);
      if (!values.ok()) return values.status();
    }
    return {};
  };
  CHECK(fail_every_read(&reads_left, attempt) > 20);
}

TEST_CASE("packing from a source that fails writes nothing") {
  const auto inner = load("lite-dense");
  TemporaryFolder folder;
  for (int64_t n : {0, 1, 2, 5, 9, 12}) {
    int64_t reads_left = 1000000;
    auto failing = std::make_shared<FailingFolder>(inner, &reads_left);
    auto files = open_model_files(failing);
    REQUIRE(files.ok());
    reads_left = n;
    model::PackOptions options;
    options.type = model::PackType::kQ4;
    const Status status = model::pack_model(files.value(), folder / "x.dsm", options);
    CHECK_EQ(status.code(), DS_E_IO);
    check_sentence(status);
    CHECK_EQ(folder.entries(), 0);
  }
}
