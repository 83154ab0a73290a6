// Adapters through the C API: loading, running with them, packing with them, releasing in any order.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "hostile/host.h"

using namespace hostile;

namespace {

// A PEFT folder that moves the logit of token i by i times the sum of what lm_head sees. Gone with the object.
class Folder {
 public:
  explicit Folder(ds_model *model) {
    char name[] = "/tmp/deepseam-adapter-XXXXXX";
    REQUIRE(mkdtemp(name));
    path_ = name;
    const uint64_t hidden = number(model, "hidden"), vocab = number(model, "vocab");
    std::string data, header;
    const auto half = [&](const std::string &which, uint64_t rows, uint64_t cols, float step) {
      const size_t begin = data.size();
      for (uint64_t i = 0; i < rows * cols; ++i) {
        const float value = step ? step * static_cast<float>(i) : 1;
        data.append(reinterpret_cast<const char *>(&value), sizeof value);
      }
      header += (begin ? ",\"" : "{\"") + ("base_model.model.lm_head.lora_" + which) +
                ".weight\":{\"dtype\":\"F32\",\"shape\":[" + std::to_string(rows) + "," + std::to_string(cols) +
                "],\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(data.size()) + "]}";
    };
    half("A", 1, hidden, 0);
    half("B", vocab, 1, 1);
    header += "}";
    const uint64_t length = header.size();
    std::ofstream weights(path_ / "adapter_model.safetensors", std::ios::binary);
    weights.write(reinterpret_cast<const char *>(&length), 8) << header << data;
    std::ofstream(path_ / "adapter_config.json") << R"({"peft_type":"LORA","r":1,"lora_alpha":1})";
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder &) = delete;
  const std::filesystem::path &path() const { return path_; }

  static uint64_t number(ds_model *model, const char *key) {
    ds_info *info = nullptr;
    ds_error error = fresh_error();
    require(ds_model_info(model, &info, &error), error);
    uint64_t value = 0;
    require(ds_info_get_u64(info, key, &value, &error), error);
    ds_info_release(info);
    return value;
  }

 private:
  std::filesystem::path path_;
};

ds_source_path path_source(const char *path) {
  ds_source_path source{};
  source.head = {sizeof source, DS_SOURCE_PATH};
  source.path = {path, DS_STRLEN};
  return source;
}

ds_model_adapter *load(ds_model *model, const std::filesystem::path &path) {
  const ds_source_path source = path_source(path.c_str());
  ds_model_adapter *adapter = nullptr;
  ds_error error = fresh_error();
  require(ds_model_adapter_load(model, &source.head, &adapter, &error), error);
  return adapter;
}

std::vector<uint32_t> generate_with(const Host &host, ds_model_adapter *adapter) {
  const ds_text_input input = text_input(kPrompt);
  ds_params parameters = params(kTokens);
  parameters.adapter = adapter;
  ds_error error = fresh_error();
  ds_result *result = nullptr;
  require(ds_generate(host.session, &input.head, &parameters, &result, &error), error);
  const uint32_t *ids = nullptr;
  uint64_t n = 0;
  require(ds_result_ids(result, 0, &ids, &n, &error), error);
  std::vector<uint32_t> copy(ids, ids + n);
  ds_result_release(result);
  return copy;
}

// The host's own files: those of a folder, counted.
struct HostFiles {
  std::filesystem::path folder;
  int open = 0, freed = 0;

  ds_source_io source() {
    ds_source_io io{};
    io.head = {sizeof io, DS_SOURCE_IO};
    io.user = this;
    io.open = [](void *user, const char *name, void **file) -> ds_status {
      auto *self = static_cast<HostFiles *>(user);
      auto stream = new std::ifstream(self->folder / name, std::ios::binary);
      if (!*name || !*stream) return delete stream, DS_E_NOT_FOUND;
      ++self->open;
      *file = stream;
      return DS_OK;
    };
    io.size = [](void *, void *file, uint64_t *size) -> ds_status {
      auto *stream = static_cast<std::ifstream *>(file);
      *size = static_cast<uint64_t>(stream->seekg(0, std::ios::end).tellg());
      return DS_OK;
    };
    io.read_at = [](void *, void *file, uint64_t offset, void *into, uint64_t size) -> ds_status {
      auto *stream = static_cast<std::ifstream *>(file);
      stream->seekg(static_cast<std::streamoff>(offset))
          .read(static_cast<char *>(into), static_cast<std::streamsize>(size));
      return *stream ? DS_OK : DS_E_IO;
    };
    io.close = [](void *user, void *file) {
      --static_cast<HostFiles *>(user)->open;
      delete static_cast<std::ifstream *>(file);
    };
    io.user_free = [](void *user) { ++static_cast<HostFiles *>(user)->freed; };
    return io;
  }
};

}  // namespace

TEST_CASE("an adapter changes what runs with it and nothing else") {
  Host host = open_host();
  const Folder folder(host.model);
  ds_model_adapter *adapter = load(host.model, folder.path());
  CHECK(Folder::number(host.model, "adapters") == 1);
  CHECK(generate_with(host, adapter) != expected());
  CHECK(generate_with(host, nullptr) == expected());
  ds_model_adapter_release(adapter);
  close_host(host);
  CHECK(ds_live_objects() == 0);
}

TEST_CASE("the host's own files are read, closed and given back") {
  Host host = open_host();
  const Folder folder(host.model);
  HostFiles files{folder.path()};
  const ds_source_io source = files.source();
  ds_model_adapter *adapter = nullptr;
  ds_error error = fresh_error();
  require(ds_model_adapter_load(host.model, &source.head, &adapter, &error), error);
  CHECK(files.open == 0);
  ds_model_adapter *same = load(host.model, folder.path());
  CHECK(generate_with(host, adapter) == generate_with(host, same));
  ds_model_adapter_release(adapter);
  ds_model_adapter_release(same);
  close_host(host);
  CHECK(files.freed == 1);
}

TEST_CASE("any order of release is fine, a running job included") {
  std::string order = "ajmr";  // adapter, job, model, runtime
  do {
    Host host = open_host();
    const Folder folder(host.model);
    ds_model_adapter *adapter = load(host.model, folder.path());
    const ds_text_input input = text_input(kPrompt);
    ds_params parameters = params(1900);
    parameters.adapter = adapter;
    ds_error error = fresh_error();
    ds_job *job = nullptr;
    require(ds_job_start(host.session, &input.head, &parameters, nullptr, &job, &error), error);
    ds_session_release(host.session);
    for (const char which : order) {
      if (which == 'a') ds_model_adapter_release(adapter);
      if (which == 'j') ds_job_release(job);
      if (which == 'm') ds_model_release(host.model);
      if (which == 'r') ds_runtime_release(host.runtime);
    }
    CHECK(ds_live_objects() == 0);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("wrong handles, sources and models are refused with a sentence") {
  Host host = open_host(), other = open_host();
  const Folder folder(host.model);
  ds_error error = fresh_error();
  ds_model_adapter *adapter = nullptr;
  const ds_source_path missing = path_source("/no/such/adapter");
  CHECK(ds_model_adapter_load(host.model, &missing.head, &adapter, &error) == DS_E_NOT_FOUND);
  CHECK(std::string(error.message) != "");
  CHECK(ds_model_adapter_load(host.model, nullptr, &adapter, &error) == DS_E_ARGUMENT);
  CHECK(ds_model_adapter_load(host.model, &missing.head, nullptr, &error) == DS_E_ARGUMENT);
  CHECK(adapter == nullptr);

  adapter = load(other.model, folder.path());
  const ds_text_input input = text_input(kPrompt);
  ds_params parameters = params(2);
  parameters.adapter = adapter;
  ds_result *result = nullptr;
  CHECK(ds_generate(host.session, &input.head, &parameters, &result, &error) == DS_E_ARGUMENT);
  ds_model_adapter_release(adapter);
  CHECK(ds_generate(host.session, &input.head, &parameters, &result, &error) == DS_E_HANDLE);
  ds_model_adapter_release(adapter);
  parameters.adapter = reinterpret_cast<ds_model_adapter *>(host.model);
  CHECK(ds_generate(host.session, &input.head, &parameters, &result, &error) == DS_E_HANDLE);

  adapter = load(host.model, folder.path());
  require(ds_runtime_shutdown(host.runtime, UINT64_C(20000000000), &error), error);
  ds_eval_input eval{};
  const uint32_t id = 5;
  eval.struct_size = sizeof eval;
  eval.ids = &id;
  eval.n_ids = 1;
  eval.adapter = adapter;
  ds_eval_output output{};
  output.struct_size = sizeof output;
  CHECK(ds_session_eval(host.session, &eval, &output, &error) == DS_E_SHUT_DOWN);
  ds_model_adapter_release(adapter);
  close_host(host);
  close_host(other);
}

TEST_CASE("packing adds an adapter to the weights") {
  Host host = open_host();
  const Folder folder(host.model);
  const std::string packed = folder.path() / "packed.dsm", adapter_path = folder.path();
  const ds_source_path source = path_source(ABI_MODEL);
  ds_option option{};
  option.key = "adapter";
  option.data = adapter_path.data();
  option.size = adapter_path.size();
  ds_pack_options options{};
  options.struct_size = sizeof options;
  options.source = &source.head;
  options.path = {packed.data(), packed.size()};
  options.options = &option;
  options.n_options = 1;
  ds_error error = fresh_error();
  require(ds_model_pack(host.runtime, &options, &error), error);
  ds_model_adapter *adapter = load(host.model, folder.path());
  Host merged = open_host(nullptr, "ref", packed.c_str());
  CHECK(generate_with(merged, nullptr) == generate_with(host, adapter));
  option.size = 0;
  CHECK(ds_model_pack(host.runtime, &options, &error) == DS_E_ARGUMENT);
  ds_model_adapter_release(adapter);
  close_host(merged);
  close_host(host);
}
