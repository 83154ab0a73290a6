// Everything of the C API but running: runtimes, sources, plans, opening, text, caches, tools, infos.
#include <doctest/doctest.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>

#include "hostile/host.h"

using namespace hostile;

namespace {

std::string model_bytes() {
  std::ifstream file(ABI_MODEL, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

ds_runtime *new_runtime() {
  const ds_runtime_options options = runtime_options();
  ds_error error = fresh_error();
  ds_runtime *runtime = nullptr;
  require(ds_runtime_create(&options, &runtime, &error), error);
  return runtime;
}
void end(ds_runtime *runtime) {
  ds_error error = fresh_error();
  const ds_status status = ds_runtime_shutdown(runtime, UINT64_C(20'000'000'000), &error);
  ds_runtime_release(runtime);
  require(status, error);
}

ds_source_path path_source(const char *path) {
  ds_source_path source{};
  source.head.struct_size = sizeof source;
  source.head.tag = DS_SOURCE_PATH;
  source.path = {path, DS_STRLEN};
  return source;
}
ds_model_options model_options(const ds_source *source) {
  ds_model_options options{};
  options.struct_size = sizeof options;
  options.flags = DS_MODEL_DETERMINISTIC;
  options.source = source;
  options.backend = {"ref", DS_STRLEN};
  options.context_length = 2048;
  return options;
}
std::vector<uint32_t> run(ds_model *model) {
  ds_error error = fresh_error();
  ds_session *session = nullptr;
  require(ds_session_create(model, nullptr, &session, &error), error);
  auto ids = generate(session, kPrompt, kTokens);
  ds_session_release(session);
  return ids;
}
uint64_t number(const ds_info *info, const char *key) {
  uint64_t value = 0;
  ds_error error = fresh_error();
  require(ds_info_get_u64(info, key, &value, &error), error);
  return value;
}
std::string text(const ds_info *info, const char *key) {
  ds_text view{};
  ds_error error = fresh_error();
  require(ds_info_get_text(info, key, &view, &error), error);
  return {view.data, view.size};
}

// The model file as a host's archive has it; notices when two reads overlap, and how much is read.
struct Archive {
  std::string bytes = model_bytes();
  std::atomic<int> reading{0}, overlaps{0}, open_files{0}, frees{0};
  std::atomic<uint64_t> bytes_read{0};
  ds_source_io record(uint32_t flags) {
    ds_source_io io{};
    io.head.struct_size = sizeof io;
    io.head.tag = DS_SOURCE_IO;
    io.flags = flags;
    io.user = this;
    io.open = [](void *user, const char *name, void **file) -> ds_status {
      if (*name) return DS_E_NOT_FOUND;
      ++static_cast<Archive *>(user)->open_files;
      *file = user;
      return DS_OK;
    };
    io.size = [](void *, void *file, uint64_t *size) -> ds_status {
      *size = static_cast<Archive *>(file)->bytes.size();
      return DS_OK;
    };
    io.read_at = [](void *user, void *, uint64_t offset, void *into, uint64_t size) -> ds_status {
      auto *self = static_cast<Archive *>(user);
      if (self->reading++) ++self->overlaps;
      self->bytes_read += size;
      std::memcpy(into, self->bytes.data() + offset, size);
      --self->reading;
      return DS_OK;
    };
    io.close = [](void *user, void *) { --static_cast<Archive *>(user)->open_files; };
    io.user_free = [](void *user) { ++static_cast<Archive *>(user)->frees; };
    return io;
  }
};

}  // namespace

TEST_CASE("a runtime needs this ABI and known fields") {
  ds_runtime_options options = runtime_options();
  ds_error error = fresh_error();
  ds_runtime *runtime = nullptr;
  options.abi_version = DS_ABI_VERSION + 1;
  CHECK(ds_runtime_create(&options, &runtime, &error) == DS_E_ABI);
  options = runtime_options();
  options.flags = 1u << 20;
  CHECK(ds_runtime_create(&options, &runtime, &error) == DS_E_UNKNOWN_FIELD);
  options = runtime_options();
  options.isa_cap = {"mmx", DS_STRLEN};
  CHECK(ds_runtime_create(&options, &runtime, &error) == DS_E_ARGUMENT);
  CHECK(ds_runtime_create(nullptr, &runtime, &error) == DS_E_ARGUMENT);
  CHECK(runtime == nullptr);
  CHECK(ds_live_objects() == 0);
}

TEST_CASE("a model from the host's own files or memory is the model from its path") {
  ds_runtime *runtime = new_runtime();
  ds_error error = fresh_error();
  for (const uint32_t flags : {0u, DS_IO_CONCURRENT}) {
    Archive archive;
    const ds_source_io io = archive.record(flags);
    const ds_model_options options = model_options(&io.head);
    ds_model *model = nullptr;
    require(ds_model_open(runtime, &options, &model, &error), error);
    CHECK(run(model) == expected());
    ds_model_release(model);
    for (int i = 0; i < 1000 && !archive.frees; ++i) usleep(10'000);
    CHECK(archive.frees == 1);
    CHECK(archive.open_files == 0);
    if (!flags) CHECK(archive.overlaps == 0);
  }
  const std::string bytes = model_bytes();
  ds_source_memory memory{};
  memory.head.struct_size = sizeof memory;
  memory.head.tag = DS_SOURCE_MEMORY;
  memory.data = bytes.data();
  memory.size = bytes.size();
  const ds_model_options options = model_options(&memory.head);
  ds_model *model = nullptr;
  require(ds_model_open(runtime, &options, &model, &error), error);
  CHECK(run(model) == expected());
  ds_model_release(model);
  end(runtime);
}

TEST_CASE("a failed open leaves the host's user data alone") {
  ds_runtime *runtime = new_runtime();
  Archive archive;
  archive.bytes.resize(1000);
  const ds_source_io io = archive.record(0);
  const ds_model_options options = model_options(&io.head);
  ds_model *model = nullptr;
  ds_error error = fresh_error();
  CHECK(ds_model_open(runtime, &options, &model, &error) == DS_E_FORMAT);
  CHECK(std::string(error.message) != "");
  CHECK(model == nullptr);
  end(runtime);
  CHECK(archive.frees == 0);
  CHECK(archive.open_files == 0);
}

TEST_CASE("a model opened in the background") {
  ds_runtime *runtime = new_runtime();
  const ds_source_path source = path_source(ABI_MODEL);
  ds_model_options options = model_options(&source.head);
  struct Told {
    std::atomic<int> progress{0}, frees{0};
  } told;
  options.progress = [](void *user, const ds_progress *) -> int32_t {
    ++static_cast<Told *>(user)->progress;
    return DS_CONTINUE;
  };
  options.progress_user = &told;
  options.progress_free = [](void *user) { ++static_cast<Told *>(user)->frees; };
  ds_error error = fresh_error();
  ds_job *job = nullptr;
  ds_model *model = nullptr;
  ds_result *result = nullptr;
  require(ds_model_open_start(runtime, &options, nullptr, &job, &error), error);
  require(ds_job_wait(job, UINT64_MAX, &error), error);
  CHECK(ds_job_take_result(job, &result, &error) == DS_E_ARGUMENT);
  require(ds_job_take_model(job, &model, &error), error);
  ds_model *twice = nullptr;
  CHECK(ds_job_take_model(job, &twice, &error) == DS_E_ARGUMENT);
  CHECK(run(model) == expected());
  ds_job_release(job);
  ds_model_release(model);
  end(runtime);
  CHECK(told.progress > 0);
  CHECK(told.frees == 1);
}

TEST_CASE("opening in the background fails when taken, and can be cancelled") {
  ds_runtime *runtime = new_runtime();
  ds_source_path source = path_source("/no/such/model");
  ds_model_options options = model_options(&source.head);
  ds_error error = fresh_error();
  ds_job *job = nullptr;
  ds_model *model = nullptr;
  require(ds_model_open_start(runtime, &options, nullptr, &job, &error), error);
  require(ds_job_wait(job, UINT64_MAX, &error), error);
  CHECK(ds_job_take_model(job, &model, &error) == DS_E_NOT_FOUND);
  CHECK(model == nullptr);
  ds_job_release(job);
  source = path_source(ABI_MODEL);
  require(ds_cancel_create(&options.cancel, &error), error);
  require(ds_cancel_set(options.cancel, &error), error);
  CHECK(ds_model_open(runtime, &options, &model, &error) == DS_E_CANCELLED);
  ds_cancel_release(options.cancel);
  end(runtime);
}

TEST_CASE("an open in the background whose progress answers stop gives no model, however quick it was") {
  ds_runtime *runtime = new_runtime();
  const ds_source_path source = path_source(ABI_MODEL);
  ds_model_options options = model_options(&source.head);
  options.progress = [](void *, const ds_progress *) -> int32_t { return DS_STOP; };
  ds_error error = fresh_error();
  ds_job *job = nullptr;
  ds_model *model = nullptr;
  uint32_t state = DS_JOB_QUEUED;
  require(ds_model_open_start(runtime, &options, nullptr, &job, &error), error);
  while (state != DS_JOB_DONE) require(ds_job_poll(job, &state, &error), error);
  require(ds_job_wait(job, UINT64_MAX, &error), error);
  CHECK(ds_job_take_model(job, &model, &error) == DS_E_STOPPED);
  CHECK(model == nullptr);
  ds_job_release(job);
  end(runtime);
}

TEST_CASE("plans tell what opening takes") {
  ds_runtime *runtime = new_runtime();
  const ds_source_path source = path_source(ABI_MODEL);
  ds_model_options options = model_options(&source.head);
  ds_error error = fresh_error();
  ds_info *plan = nullptr;
  require(ds_model_plan(runtime, &options, &plan, &error), error);
  CHECK(number(plan, "fits") == 1);
  CHECK(number(plan, "bytes.weights") > 1'000'000);
  CHECK(number(plan, "bytes.total") >= number(plan, "bytes.weights"));
  CHECK(number(plan, "context_length") == 2048);
  CHECK(text(plan, "backend") == "ref");
  ds_info_release(plan);
  options.ram_budget = 1000;
  require(ds_model_plan(runtime, &options, &plan, &error), error);
  CHECK(number(plan, "fits") == 0);
  CHECK(text(plan, "reason") != "");
  ds_info_release(plan);
  ds_model *model = nullptr;
  CHECK(ds_model_open(runtime, &options, &model, &error) == DS_E_BUDGET);
  end(runtime);
}

TEST_CASE("a model without its weights has facts and text, and fits where they do not") {
  ds_runtime *runtime = new_runtime();
  ds_error error = fresh_error();
  Archive archive;
  const ds_source_io io = archive.record(DS_IO_CONCURRENT);
  ds_model_options options = model_options(&io.head);
  options.ram_budget = 1000;
  ds_info *info = nullptr;
  require(ds_model_plan(runtime, &options, &info, &error), error);
  CHECK(number(info, "fits") == 0);
  ds_info_release(info);
  options.flags |= DS_MODEL_NO_WEIGHTS;
  ds_model *model = nullptr;
  require(ds_model_open(runtime, &options, &model, &error), error);
  CHECK(archive.bytes_read < archive.bytes.size() / 50);
  uint32_t ids[4] = {};
  uint64_t n = 0;
  require(ds_tokenize(model, "int", 3, DS_TEXT_NO_BOS, nullptr, ids, 4, &n, &error), error);
  CHECK(n == 3);
  require(ds_model_info(model, &info, &error), error);
  CHECK(number(info, "layers") > 0);
  CHECK(text(info, "fingerprint").size() == 64);
  CHECK(text(info, "backend") == "ref");
  ds_info_release(info);
  ds_session *session = nullptr;
  CHECK(ds_session_create(model, nullptr, &session, &error) == DS_E_UNSUPPORTED);
  CHECK(std::string(error.message).find("without its weights") != std::string::npos);
  ds_model_release(model);
  options.backend = {"nosuch", DS_STRLEN};  // what is asked for by name is needed all the same
  CHECK(ds_model_open(runtime, &options, &model, &error) == DS_E_NO_DEVICE);
  end(runtime);
}

TEST_CASE("devices and plugins are described, and what is missing has a reason") {
  ds_runtime *runtime = new_runtime();
  ds_error error = fresh_error();
  uint32_t count = 0;
  require(ds_device_count(runtime, &count, &error), error);
  REQUIRE(count >= 1);
  ds_info *info = nullptr;
  require(ds_device_info(runtime, 0, &info, &error), error);
  CHECK(text(info, "name") != "");
  CHECK(text(info, "kind") == "cpu");
  ds_info_release(info);
  CHECK(ds_device_info(runtime, count, &info, &error) == DS_E_ARGUMENT);
  require(ds_runtime_plugin_report(runtime, &info, &error), error);
  CHECK(number(info, "plugins") >= 1);
  CHECK(text(info, "plugins.0.path") != "");
  ds_info_release(info);
  CHECK(ds_runtime_load_plugin(runtime, "/no/such.dsplugin", DS_STRLEN, &error) != DS_OK);
  CHECK(ds_runtime_register_backend(runtime, nullptr, &error) == DS_E_ARGUMENT);
  const ds_source_path source = path_source(ABI_MODEL);
  ds_model_options options = model_options(&source.head);
  options.backend = {"abacus", DS_STRLEN};
  ds_model *model = nullptr;
  CHECK(ds_model_open(runtime, &options, &model, &error) == DS_E_NO_DEVICE);
  end(runtime);
}

TEST_CASE("a plugin that the host refuses is not used, and the report says so") {
  ds_runtime_options options = runtime_options();
  std::atomic<int> asked{0};
  options.verify_user = &asked;
  options.verify_plugin = [](void *user, const ds_plugin_file *plugin) -> ds_status {
    if (plugin->binary_size > 1000 && plugin->name.size) ++*static_cast<std::atomic<int> *>(user);
    return DS_E_PERMISSION;
  };
  ds_error error = fresh_error();
  ds_runtime *runtime = nullptr;
  require(ds_runtime_create(&options, &runtime, &error), error);
  uint32_t count = 99;
  require(ds_device_count(runtime, &count, &error), error);
  CHECK(count == 0);
  CHECK(asked >= 1);
  ds_info *report = nullptr;
  require(ds_runtime_plugin_report(runtime, &report, &error), error);
  CHECK(text(report, "plugins.0.reason") != "");
  ds_info_release(report);
  end(runtime);
}

TEST_CASE("a plugin that is not used is a line of the log, for those who asked for that much") {
  for (const uint32_t level : {0u, DS_LOG_INFO}) {
    ds_runtime_options options = runtime_options();
    options.log_level = level;
    options.verify_plugin = [](void *, const ds_plugin_file *) -> ds_status { return DS_E_PERMISSION; };
    ds_error error = fresh_error();
    ds_runtime *runtime = nullptr;
    require(ds_runtime_create(&options, &runtime, &error), error);
    uint32_t count = 0, said = 99;
    require(ds_device_count(runtime, &count, &error), error);
    char line[2048];
    uint64_t size = 0;
    const ds_status status = ds_log_read(runtime, &said, line, sizeof line, &size, &error);
    CHECK(status == (level ? DS_OK : DS_E_PENDING));
    if (level) {
      CHECK(said == DS_LOG_INFO);
      CHECK(std::string(line, size).find(".dsplugin is not used: ") != std::string::npos);
    }
    end(runtime);
  }
}

TEST_CASE("text to ids and back, by two-call sizing") {
  Host host = open_host();
  ds_error error = fresh_error();
  const std::string source = "int x = 1; // \xe4\xbd\xa0 \xff";
  uint64_t n = 0;
  require(ds_tokenize(host.model, source.data(), source.size(), 0, nullptr, nullptr, 0, &n, &error), error);
  REQUIRE(n > 1);
  CHECK(n <= source.size() + 1);
  std::vector<uint32_t> ids(n);
  CHECK(ds_tokenize(host.model, source.data(), source.size(), 0, nullptr, ids.data(), n - 1, &n, &error) ==
        DS_E_BUFFER);
  require(ds_tokenize(host.model, source.data(), source.size(), 0, nullptr, ids.data(), n, &n, &error), error);
  uint64_t size = 0;
  char buffer[256];
  require(ds_detokenize(host.model, ids.data(), n, 0, buffer, sizeof buffer, &size, &error), error);
  CHECK(std::string(buffer, size) == "int x = 1; // \xe4\xbd\xa0 \xef\xbf\xbd");
  std::string bytes;
  for (const uint32_t id : ids) {
    require(ds_token_text(host.model, id, buffer, sizeof buffer, &size, &error), error);
    if (id != ids[0]) bytes.append(buffer, size);  // the first one is the begin-of-text mark
  }
  CHECK(bytes == source);
  CHECK(ds_token_text(host.model, 1u << 30, buffer, sizeof buffer, &size, &error) == DS_E_ARGUMENT);
  const uint32_t beyond[] = {1u << 30};
  CHECK(ds_detokenize(host.model, beyond, 1, 0, buffer, sizeof buffer, &size, &error) == DS_E_ARGUMENT);
  uint64_t without_bos = 0;
  require(ds_tokenize(host.model, "x", 1, DS_TEXT_NO_BOS, nullptr, nullptr, 0, &without_bos, &error), error);
  CHECK(without_bos == 1);
  close_host(host);
}

TEST_CASE("prompts are what the runs use") {
  Host host = open_host();
  ds_error error = fresh_error();
  ds_fim_input fim{};
  fim.head.struct_size = sizeof fim;
  fim.prefix = {"int add(int a, int b) {\n  return ", DS_STRLEN};
  fim.suffix = {";\n}\n", DS_STRLEN};
  uint64_t n = 0;
  require(ds_fim_prompt(host.model, &fim, nullptr, 0, &n, &error), error);
  const ds_params parameters = params(2);
  ds_result *result = nullptr;
  require(ds_fim(host.session, &fim, &parameters, &result, &error), error);
  ds_info *info = nullptr;
  require(ds_result_info(result, &info, &error), error);
  CHECK(number(info, "usage.prompt_tokens") == n);
  ds_info_release(info);
  ds_result_release(result);
  const ds_message messages[] = {{{"user", DS_STRLEN}, {"Hello", DS_STRLEN}},
                                 {{"assistant", DS_STRLEN}, {"Hi", DS_STRLEN}}};
  ds_chat_input chat{};
  chat.head.struct_size = sizeof chat;
  chat.messages = messages;
  chat.n_messages = 1;
  chat.chat_template = {"v3", DS_STRLEN};
  uint64_t asked = 0, continued = 0;
  require(ds_chat_prompt(host.model, &chat, nullptr, 0, &asked, &error), error);
  require(ds_chat(host.session, &chat, &parameters, &result, &error), error);
  ds_result_release(result);
  chat.n_messages = 2;
  chat.flags = DS_CHAT_CONTINUE;
  require(ds_chat_prompt(host.model, &chat, nullptr, 0, &continued, &error), error);
  CHECK(continued == asked + 2);  // "Hi", and no end mark behind it
  chat.n_messages = 1;
  CHECK(ds_chat_prompt(host.model, &chat, nullptr, 0, &continued, &error) == DS_E_ARGUMENT);
  chat.flags = 0;
  chat.chat_template = {"v9", DS_STRLEN};
  CHECK(ds_chat_prompt(host.model, &chat, nullptr, 0, &continued, &error) == DS_E_ARGUMENT);
  close_host(host);
}

TEST_CASE("a cache is shared, counted, trimmed and erased; tiers that are missing are refused") {
  ds_runtime *runtime = new_runtime();
  ds_error error = fresh_error();
  ds_cache_options cache_options{};
  cache_options.struct_size = sizeof cache_options;
  cache_options.directory = {"/tmp/x", DS_STRLEN};
  ds_cache *cache = nullptr;
  CHECK(ds_cache_open(runtime, &cache_options, &cache, &error) == DS_E_UNSUPPORTED);
  cache_options.directory = {};
  cache_options.ram_bytes = 64 << 20;
  require(ds_cache_open(runtime, &cache_options, &cache, &error), error);
  const ds_source_path source = path_source(ABI_MODEL);
  ds_model_options options = model_options(&source.head);
  options.cache = cache;
  ds_model *model = nullptr;
  require(ds_model_open(runtime, &options, &model, &error), error);
  CHECK(run(model) == run(model));
  ds_info *stats = nullptr;
  require(ds_cache_stats(cache, &stats, &error), error);
  CHECK(number(stats, "lookups") == 2);
  CHECK(number(stats, "hits") == 1);
  CHECK(number(stats, "hit_tokens") > 0);
  CHECK(number(stats, "ram.limit") == 64 << 20);
  ds_info_release(stats);
  ds_cache_event event{};
  event.struct_size = sizeof event;
  int events = 0;
  while (ds_cache_read_event(cache, &event, &error) == DS_OK) ++events;
  CHECK(events > 0);
  require(ds_cache_flush(cache, &error), error);
  require(ds_cache_trim(cache, 0, &error), error);
  require(ds_cache_stats(cache, &stats, &error), error);
  CHECK(number(stats, "ram.bytes") == 0);
  ds_info_release(stats);
  run(model);
  require(ds_cache_erase(cache, "", 0, &error), error);
  require(ds_cache_stats(cache, &stats, &error), error);
  const uint64_t hits = number(stats, "hits");
  ds_info_release(stats);
  run(model);
  require(ds_cache_stats(cache, &stats, &error), error);
  CHECK(number(stats, "hits") == hits);  // after erasing, nothing is found
  ds_info_release(stats);
  ds_cache_release(cache);
  ds_model_release(model);
  end(runtime);
}

TEST_CASE("a model is packed, verified and opened again") {
  ds_runtime *runtime = new_runtime();
  ds_error error = fresh_error();
  const std::string path = std::string(ABI_MODEL) + ".q8";
  const ds_source_path source = path_source(ABI_MODEL), packed = path_source(path.c_str());
  ds_pack_options pack{};
  pack.struct_size = sizeof pack;
  pack.source = &source.head;
  pack.path = {path.data(), path.size()};
  pack.weight_type = {"q8", DS_STRLEN};
  require(ds_model_pack(runtime, &pack, &error), error);
  ds_verify_options verify{};
  verify.struct_size = sizeof verify;
  verify.source = &packed.head;
  ds_info *findings = nullptr;
  require(ds_model_verify(runtime, &verify, &findings, &error), error);
  CHECK(number(findings, "ok") == 1);
  ds_info_release(findings);
  const ds_model_options options = model_options(&packed.head);
  ds_model *model = nullptr;
  require(ds_model_open(runtime, &options, &model, &error), error);
  CHECK(run(model).size() == kTokens);
  ds_model_release(model);
  const ds_option more[] = {{"keep", 0, 0, 0, "f16=o,experts", DS_STRLEN},
                            {"card", 0, 0, 0, "A card.\nTwo lines.", DS_STRLEN}};
  pack.options = more;
  pack.n_options = 2;
  require(ds_model_pack(runtime, &pack, &error), error);
  require(ds_model_open(runtime, &options, &model, &error), error);
  ds_info *facts = nullptr;
  require(ds_model_info(model, &facts, &error), error);
  ds_text card{};
  require(ds_info_get_text(facts, "card", &card, &error), error);
  CHECK(std::string(card.data, card.size) == "A card.\nTwo lines.");
  ds_info_release(facts);
  ds_model_release(model);
  for (const ds_option &wrong : {ds_option{"keep", 0, 0, 0, "q8=nosuch", DS_STRLEN},
                                 ds_option{"keep", 0, 0, 0, "q8", 2}, ds_option{"form", 0, 0, 0, "gguf", 4},
                                 ds_option{"card", 0, 0, 0, "\xff", 1}, ds_option{"report", 0, 0, 0, "", 0},
                                 ds_option{"report", 0, 0, 0, "a\0b", 3}, ds_option{"calibrate", 0, 0, 0, "", 0}}) {
    pack.options = &wrong;
    pack.n_options = 1;
    CHECK(ds_model_pack(runtime, &pack, &error) == DS_E_ARGUMENT);
  }
  pack.n_options = 0;
  pack.weight_type = {"q17", DS_STRLEN};
  CHECK(ds_model_pack(runtime, &pack, &error) == DS_E_ARGUMENT);
  pack.weight_type = {"q8", DS_STRLEN};
  pack.progress = [](void *, const ds_progress *) -> int32_t { return DS_STOP; };
  CHECK(ds_model_pack(runtime, &pack, &error) == DS_E_STOPPED);
  std::remove(path.c_str());
  end(runtime);
}

TEST_CASE("an unread log is empty or has sentences") {
  Host host = open_host();
  uint32_t level = 0;
  char line[512];
  uint64_t size = 0;
  ds_error error = fresh_error();
  ds_status status = DS_OK;
  while ((status = ds_log_read(host.runtime, &level, line, sizeof line, &size, &error)) == DS_OK) {
    CHECK(size > 0);
    CHECK(level <= DS_LOG_WARNING);
  }
  CHECK(status == DS_E_PENDING);
  close_host(host);
}
