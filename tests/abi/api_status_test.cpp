// Failures that no other test of this folder makes: damaged and foreign files, hosts' files that cannot be read,
// plugins that are refused, backends that fail or lose their device; and the functions that nobody else needs.
#include <deepseam/backend.h>
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "hostile/host.h"

using namespace hostile;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path;
  Folder() {
    char name[] = "/tmp/deepseam-status-XXXXXX";
    REQUIRE(mkdtemp(name));
    path = name;
  }
  ~Folder() { fs::remove_all(path); }
};

struct Owner {
  ds_runtime *runtime = nullptr;
  Owner() {
    const ds_runtime_options options = runtime_options();
    ds_error error = fresh_error();
    require(ds_runtime_create(&options, &runtime, &error), error);
  }
  ~Owner() {
    ds_runtime_shutdown(runtime, UINT64_C(20'000'000'000), nullptr);
    ds_runtime_release(runtime);
  }
};

ds_source_path path_source(const char *path) {
  ds_source_path source{};
  source.head.struct_size = sizeof source;
  source.head.tag = DS_SOURCE_PATH;
  source.path = {path, DS_STRLEN};
  return source;
}

ds_status open(ds_runtime *runtime, const ds_source *source, ds_model **model, ds_error *error,
               const char *backend = "ref") {
  ds_model_options options{};
  options.struct_size = sizeof options;
  options.source = source;
  options.backend = {backend, DS_STRLEN};
  options.context_length = 256;
  return ds_model_open(runtime, &options, model, error);
}

// What opening a file or folder fails with.
ds_status open_path(const fs::path &path) {
  const Owner owner;
  const std::string name = path.string();
  const ds_source_path source = path_source(name.c_str());
  ds_model *model = nullptr;
  ds_error error = fresh_error();
  const ds_status status = open(owner.runtime, &source.head, &model, &error);
  CHECK(model == nullptr);
  CHECK(std::string(error.message) != "");
  return status;
}

// The reference backend under another name, whose steps fail when told to.
struct Faulty {
  dsb_api inner{};
  ds_status answer = DS_OK;
  uint32_t good_steps = 0;  // before the answer
} faulty;

ds_status DS_CALL faulty_submit(dsb_exec *exec, const dsb_step *step, dsb_ticket **ticket, ds_error *error) {
  if (faulty.answer == DS_OK || faulty.good_steps) {
    if (faulty.good_steps) --faulty.good_steps;
    return faulty.inner.exec_submit(exec, step, ticket, error);
  }
  error->code = faulty.answer;
  std::strcpy(error->message, "the step failed");
  return faulty.answer;
}

ds_status DS_CALL faulty_get_api(uint32_t version, dsb_api *api, ds_error *error) {
  const ds_status status = ds_backend_main()->get_api(version, api, error);
  if (status != DS_OK) return status;
  faulty.inner = *api;
  api->name = "faulty";
  api->exec_submit = faulty_submit;
  return DS_OK;
}

const dsb_root *DS_CALL faulty_main() {
  static const dsb_root root = {sizeof root, 0, ds_backend_main()->negotiate, faulty_get_api};
  return &root;
}

}  // namespace

TEST_CASE("a damaged file is not another file, and neither is a damaged model") {
  const Folder folder;
  const fs::path path = folder.path / "model.dsm";
  fs::copy_file(ABI_MODEL, path);
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(40);
    file.put('\x5a');
  }
  CHECK(open_path(path) == DS_E_CHECKSUM);
  std::ofstream(folder.path / "model.safetensors", std::ios::binary).write("\x02\0\0\0\0\0\0\0{}", 10);
  std::ofstream(folder.path / "config.json") << R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"]})";
  CHECK(open_path(folder.path) == DS_E_MODEL);
}

TEST_CASE("a host's file that cannot be read says so") {
  const Owner owner;
  ds_source_io io{};
  io.head.struct_size = sizeof io;
  io.head.tag = DS_SOURCE_IO;
  io.open = [](void *, const char *, void **file) -> ds_status { return *file = &faulty, DS_OK; };
  io.size = [](void *, void *, uint64_t *size) -> ds_status { return *size = 1000, DS_OK; };
  io.read_at = [](void *, void *, uint64_t, void *, uint64_t) -> ds_status { return DS_E_IO; };
  io.close = [](void *, void *) {};
  ds_model *model = nullptr;
  ds_error error = fresh_error();
  CHECK(open(owner.runtime, &io.head, &model, &error) == DS_E_IO);
}

TEST_CASE("a plugin loads by its manifest, unless others may write it") {
  const Folder folder;
  for (const char *name : {"deepseam-ref.so", "deepseam-ref.dsplugin"})
    fs::copy_file(fs::path(ABI_PLUGIN_DIR) / name, folder.path / name);
  const std::string manifest = (folder.path / "deepseam-ref.dsplugin").string();
  ds_error error = fresh_error();
  {
    ds_runtime_options options = runtime_options();
    options.n_plugin_dirs = 0;
    ds_runtime *runtime = nullptr;
    require(ds_runtime_create(&options, &runtime, &error), error);
    require(ds_runtime_load_plugin(runtime, manifest.c_str(), DS_STRLEN, &error), error);
    uint32_t count = 0;
    require(ds_device_count(runtime, &count, &error), error);
    CHECK(count == 1);
    require(ds_runtime_shutdown(runtime, UINT64_C(20'000'000'000), &error), error);
    ds_runtime_release(runtime);
  }
  REQUIRE(chmod((folder.path / "deepseam-ref.so").c_str(), 0777) == 0);
  const Owner owner;
  CHECK(ds_runtime_load_plugin(owner.runtime, manifest.c_str(), DS_STRLEN, &error) == DS_E_PERMISSION);
  CHECK(std::string(error.message).find("0777") != std::string::npos);
  const auto nothing = []() -> const dsb_root * { return nullptr; };
  CHECK(ds_runtime_register_backend(owner.runtime, nothing, &error) == DS_E_PLUGIN);
}

TEST_CASE("a device that fails or is lost returns its status and what was produced") {
  const ds_source_path source = path_source(ABI_MODEL);
  for (const ds_status answer : {DS_E_DEVICE, DS_E_DEVICE_LOST, DS_E_DEVICE_LOST_SHARED, DS_E_INTERNAL}) {
    CAPTURE(answer);
    const Owner owner;
    ds_error error = fresh_error();
    faulty = Faulty();
    require(ds_runtime_register_backend(owner.runtime, faulty_main, &error), error);
    ds_model *model = nullptr;
    ds_session *session = nullptr;
    require(open(owner.runtime, &source.head, &model, &error, "faulty"), error);
    require(ds_session_create(model, nullptr, &session, &error), error);
    const std::vector<uint32_t> ids = generate(session, kPrompt, 4);
    faulty.good_steps = 2;
    faulty.answer = answer;
    const ds_text_input input = text_input(kPrompt);
    const ds_params parameters = params(4);
    ds_result *result = nullptr;
    CHECK(ds_generate(session, &input.head, &parameters, &result, &error) == answer);
    CHECK(std::string(error.message).find("the step failed") != std::string::npos);
    REQUIRE(result);
    const uint32_t *found = nullptr;
    uint64_t n = 0;
    uint32_t reason = 0;
    require(ds_result_ids(result, 0, &found, &n, &error), error);
    require(ds_result_finish_reason(result, 0, &reason, &error), error);
    CHECK(std::vector<uint32_t>(found, found + n) == std::vector<uint32_t>(ids.begin(), ids.begin() + 2));
    CHECK(reason == DS_FINISH_ERROR);
    ds_result_release(result);
    ds_session_release(session);
    ds_model_release(model);
  }
  CHECK(ds_live_objects() == 0);
}

TEST_CASE("versions, the table, and a model made of nothing") {
  CHECK(ds_abi_version() == DS_ABI_VERSION);
  CHECK(std::string(ds_version_string()) == DS_VERSION_STRING);
  ds_api api{};
  api.struct_size = sizeof api;
  ds_error error = fresh_error();
  require(ds_get_api(DS_ABI_VERSION, &api, &error), error);
  CHECK(api.live_objects() == ds_live_objects());
  const Folder folder;
  const std::string path = (folder.path / "small.dsm").string();
  const Owner owner;
  ds_synth_options synth{};
  synth.struct_size = sizeof synth;
  synth.shape = {"tiny", DS_STRLEN};
  synth.weight_type = {"q8", DS_STRLEN};
  synth.path = {path.data(), path.size()};
  require(ds_model_synth(owner.runtime, &synth, &error), error);
  CHECK(fs::file_size(path) < fs::file_size(ABI_MODEL));
}

TEST_CASE("sessions, jobs and infos say how far they are") {
  Host host = open_host();
  ds_error error = fresh_error();
  ds_job *job = start_long_job(host);
  wait_until_running(job);
  ds_progress progress{};
  progress.struct_size = sizeof progress;
  require(ds_job_progress(job, &progress, &error), error);
  CHECK(progress.stage == DS_STAGE_DECODE);
  CHECK(progress.done > 0);
  require(ds_job_cancel(job, &error), error);
  require(ds_job_wait(job, UINT64_MAX, &error), error);
  ds_job_release(job);
  ds_info *info = nullptr;
  require(ds_session_info(host.session, &info, &error), error);
  uint64_t length = 0;
  double same = 0;
  ds_text json{};
  require(ds_info_get_u64(info, "length", &length, &error), error);
  require(ds_info_get_f64(info, "length", &same, &error), error);
  require(ds_info_json(info, &json, &error), error);
  CHECK(length > 0);
  CHECK(same == static_cast<double>(length));
  CHECK(std::string(json.data, json.size).find("\"length\":" + std::to_string(length)) != std::string::npos);
  ds_info_release(info);
  close_host(host);
}
