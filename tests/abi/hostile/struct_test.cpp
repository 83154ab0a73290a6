// Structs of every size from 0 to beyond 64 KiB, in both directions, through the functions that take them: what is too
// small or too large is refused, what is unknown and zero is accepted, what is unknown and not zero is named, nothing
// is read or written outside. That none is forgotten is checked against the library's own list.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <set>
#include <string>

#include "hostile/host.h"

using namespace hostile;

namespace {

constexpr uint32_t kLargest = 64 * 1024;

struct Listed {
  const char *name;
  uint32_t first_size;
};
const Listed kListed[] = {
#define DS_STRUCT(type, size) {#type, size},
#include "capi/structs.def"
#undef DS_STRUCT
};

// Structs that a test of this file has sent or seen.
std::set<std::string> &seen() {
  static std::set<std::string> names;
  return names;
}

uint32_t first_size(const char *name) {
  seen().insert(name);
  for (const Listed &listed : kListed)
    if (std::strcmp(listed.name, name) == 0) return listed.first_size;
  FAIL(name << " is not in structs.def");
  return 0;
}

std::vector<uint32_t> sizes_around(uint32_t size) {
  std::vector<uint32_t> sizes{4096, 32 * 1024 + 4, kLargest - 1, kLargest, kLargest + 1, 2 * kLargest, UINT32_MAX};
  for (uint32_t i = 0; i <= size + 24; ++i) sizes.push_back(i);
  return sizes;
}

// The host's struct at the end of memory, behind which nothing may be touched; up to 7 bytes of another lie between.
struct Memory {
  uint8_t *bytes;
  Memory(const void *valid, uint32_t known, uint32_t size) {
    static uint8_t *const end = [] {
      const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), whole = 2 * kLargest;
      void *mapped = mmap(nullptr, whole + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      REQUIRE(mapped != MAP_FAILED);
      REQUIRE(mprotect(static_cast<uint8_t *>(mapped) + whole, page, PROT_NONE) == 0);
      return static_cast<uint8_t *>(mapped) + whole;
    }();
    const uint32_t there = std::max(8u, std::min(size, kLargest + 8));  // a head always has its tag
    bytes = end - (there + 7) / 8 * 8;
    std::memset(bytes, 0, there);
    std::memset(bytes + there, 0xee, static_cast<size_t>(end - bytes) - there);
    std::memcpy(bytes, valid, std::min(there, known));
    std::memcpy(bytes, &size, sizeof size);
  }
};

// `call` gets the struct as the library shall see it and answers `good` for a valid one.
template <typename Type>
void check_in(const char *name, const Type &valid, ds_status good, const std::function<ds_status(const Type *)> &call) {
  CAPTURE(name);
  const uint32_t first = first_size(name);
  for (const uint32_t size : sizes_around(sizeof(Type))) {
    CAPTURE(size);
    const Memory memory(&valid, sizeof(Type), size);
    const auto *given = reinterpret_cast<const Type *>(memory.bytes);
    REQUIRE(call(given) == (size < first || size > kLargest ? DS_E_STRUCT : good));
    if (size <= sizeof(Type) || size > kLargest) continue;
    memory.bytes[size - 1] = 1;
    REQUIRE(call(given) == DS_E_UNKNOWN_FIELD);
  }
}

// `call` fills the struct and answers `good` if it can.
template <typename Type>
void check_out(const char *name, ds_status good, const std::function<ds_status(Type *)> &call) {
  CAPTURE(name);
  const uint32_t first = first_size(name);
  for (const uint32_t size : sizes_around(sizeof(Type))) {
    CAPTURE(size);
    const Type empty{};
    const Memory memory(&empty, sizeof(Type), size);
    const bool fits = size >= first && size <= kLargest;
    if (fits && size > sizeof(Type)) std::memset(memory.bytes + sizeof(Type), 0xcc, size - sizeof(Type));
    REQUIRE(call(reinterpret_cast<Type *>(memory.bytes)) == (fits ? good : DS_E_STRUCT));
    uint32_t kept;
    std::memcpy(&kept, memory.bytes, sizeof kept);
    REQUIRE(kept == size);
    for (uint32_t i = sizeof(Type); fits && good == DS_OK && i < size; ++i) REQUIRE(memory.bytes[i] == 0);
  }
}

template <typename Type>
Type make() {
  Type made{};
  made.struct_size = sizeof made;
  return made;
}
template <typename Type>
Type tagged(uint32_t tag) {
  Type made{};
  made.head.struct_size = sizeof made;
  made.head.tag = tag;
  return made;
}

struct Opened {
  Host host = open_host();
  ds_error error = fresh_error();
  ~Opened() { close_host(host); }
};

ds_status try_runtime(const ds_runtime_options *options) {
  ds_runtime *runtime = nullptr;
  const ds_status status = ds_runtime_create(options, &runtime, nullptr);
  ds_runtime_release(runtime);
  return status;
}

}  // namespace

TEST_CASE("structs of a runtime") {
  ds_runtime_options options = runtime_options();
  options.abi_version = 0;  // refused after the sizes were looked at
  check_in<ds_runtime_options>("ds_runtime_options", options, DS_E_ABI, try_runtime);
  options = runtime_options();
  options.n_threads = 1;
  auto runner = make<ds_task_runner>();
  runner.width = 1;
  runner.run = [](void *, uint32_t n, ds_task_fn task, void *data) {
    for (uint32_t i = 0; i < n; ++i) task(data, i);
  };
  check_in<ds_task_runner>("ds_task_runner", runner, DS_OK, [&](const ds_task_runner *given) {
    options.task_runner = given;
    return try_runtime(&options);
  });
  options.task_runner = nullptr;
  auto allocator = make<ds_allocator>();
  allocator.allocate = [](void *, uint64_t, uint64_t, uint32_t) -> void * { return nullptr; };
  allocator.release = [](void *, void *, uint64_t, uint32_t) {};
  check_in<ds_allocator>("ds_allocator", allocator, DS_OK, [&](const ds_allocator *given) {
    options.allocator = given;
    return try_runtime(&options);
  });
}

TEST_CASE("sources and what is done with them") {
  Opened opened;
  ds_runtime *runtime = opened.host.runtime;
  auto path = tagged<ds_source_path>(DS_SOURCE_PATH);
  path.path = {"/no/such/model", DS_STRLEN};
  auto options = make<ds_model_options>();
  options.source = &path.head;
  const auto plan = [&](const ds_model_options *given) {
    ds_info *info = nullptr;
    return ds_model_plan(runtime, given, &info, nullptr);
  };
  const auto plan_source = [&](const auto *source) {
    options.source = &source->head;
    return plan(&options);
  };
  check_in<ds_model_options>("ds_model_options", options, DS_E_NOT_FOUND, plan);
  check_in<ds_source_path>("ds_source_path", path, DS_E_NOT_FOUND, plan_source);
  auto memory = tagged<ds_source_memory>(DS_SOURCE_MEMORY);
  memory.data = "no model", memory.size = 8;
  check_in<ds_source_memory>("ds_source_memory", memory, DS_E_FORMAT, plan_source);
  auto io = tagged<ds_source_io>(DS_SOURCE_IO);
  io.open = [](void *, const char *, void **) -> ds_status { return DS_E_NOT_FOUND; };
  io.size = [](void *, void *, uint64_t *) -> ds_status { return DS_E_IO; };
  io.read_at = [](void *, void *, uint64_t, void *, uint64_t) -> ds_status { return DS_E_IO; };
  io.close = [](void *, void *) {};
  check_in<ds_source_io>("ds_source_io", io, DS_E_NOT_FOUND, plan_source);
  auto pack = make<ds_pack_options>();
  pack.source = &path.head;
  pack.path = {"/no/such/folder/x.dsm", DS_STRLEN};
  check_in<ds_pack_options>("ds_pack_options", pack, DS_E_NOT_FOUND,
                            [&](const ds_pack_options *given) { return ds_model_pack(runtime, given, nullptr); });
  auto synth = make<ds_synth_options>();
  synth.path = pack.path;
  synth.shape = {"round", DS_STRLEN};
  check_in<ds_synth_options>("ds_synth_options", synth, DS_E_ARGUMENT,
                             [&](const ds_synth_options *given) { return ds_model_synth(runtime, given, nullptr); });
  auto verify = make<ds_verify_options>();
  verify.source = &path.head;
  check_in<ds_verify_options>("ds_verify_options", verify, DS_E_NOT_FOUND, [&](const ds_verify_options *given) {
    ds_info *findings = nullptr;
    return ds_model_verify(runtime, given, &findings, nullptr);
  });
  auto cache = make<ds_cache_options>();
  cache.directory = {"/tmp", DS_STRLEN};
  check_in<ds_cache_options>("ds_cache_options", cache, DS_E_UNSUPPORTED, [&](const ds_cache_options *given) {
    ds_cache *made = nullptr;
    return ds_cache_open(runtime, given, &made, nullptr);
  });
  seen().insert("ds_cache_tier");  // a version that reads it reads it as it reads the others; this one refuses it
}

TEST_CASE("inputs and parameters") {
  Opened opened;
  ds_session *session = opened.host.session;
  const auto run = [&](const ds_input *input, const ds_params *parameters, const ds_job_options *options = nullptr) {
    ds_job *job = nullptr;
    const ds_status status = ds_job_start(session, input, parameters, options, &job, nullptr);
    ds_job_release(job);
    return status;
  };
  ds_text_input text = text_input("");
  text.flags = DS_TEXT_NO_BOS;  // no token at all
  auto tokens = tagged<ds_tokens_input>(DS_INPUT_TOKENS);
  const uint32_t beyond = UINT32_MAX;
  tokens.ids = &beyond, tokens.n_ids = 1;
  check_in<ds_text_input>("ds_text_input", text, DS_E_ARGUMENT,
                          [&](const ds_text_input *given) { return run(&given->head, nullptr); });
  check_in<ds_tokens_input>("ds_tokens_input", tokens, DS_E_ARGUMENT,
                            [&](const ds_tokens_input *given) { return run(&given->head, nullptr); });
  check_in<ds_params>("ds_params", params(1), DS_E_ARGUMENT,
                      [&](const ds_params *given) { return run(&text.head, given); });
  check_in<ds_job_options>("ds_job_options", make<ds_job_options>(), DS_E_ARGUMENT,
                           [&](const ds_job_options *given) { return run(&text.head, nullptr, given); });
  uint64_t n = 0;
  auto fim = tagged<ds_fim_input>(DS_INPUT_FIM);
  fim.prefix = {"a", 1};
  check_in<ds_fim_input>("ds_fim_input", fim, DS_OK, [&](const ds_fim_input *given) {
    return ds_fim_prompt(opened.host.model, given, nullptr, 0, &n, nullptr);
  });
  const ds_message message = {{"user", 4}, {"a", 1}};
  auto chat = tagged<ds_chat_input>(DS_INPUT_CHAT);
  chat.messages = &message, chat.n_messages = 1, chat.chat_template = {"v3", DS_STRLEN};
  check_in<ds_chat_input>("ds_chat_input", chat, DS_OK, [&](const ds_chat_input *given) {
    return ds_chat_prompt(opened.host.model, given, nullptr, 0, &n, nullptr);
  });
  check_in<ds_session_options>("ds_session_options", make<ds_session_options>(), DS_OK,
                               [&](const ds_session_options *given) {
                                 ds_session *made = nullptr;
                                 const ds_status status = ds_session_create(opened.host.model, given, &made, nullptr);
                                 ds_session_release(made);
                                 return status;
                               });
  check_in<ds_eval_input>("ds_eval_input", make<ds_eval_input>(), DS_E_ARGUMENT, [&](const ds_eval_input *given) {
    auto output = make<ds_eval_output>();
    return ds_session_eval(session, given, &output, nullptr);
  });
  auto item = make<ds_batch_item>();  // without a session, which its status says
  check_in<ds_batch_item>("ds_batch_item", item, DS_OK, [&](const ds_batch_item *given) {
    const uint64_t stride = std::max<uint64_t>((uint64_t{given->struct_size} + 7) / 8 * 8, sizeof item);
    std::vector<uint8_t> items(std::min<uint64_t>(stride, 4 * kLargest));
    std::memcpy(items.data(), given, std::min(given->struct_size, kLargest));
    std::memcpy(items.data(), &given->struct_size, sizeof given->struct_size);
    return ds_generate_batch(reinterpret_cast<ds_batch_item *>(items.data()), 1, stride, nullptr);
  });
}

TEST_CASE("an item of a batch that is larger than the stride is not read") {
  Opened opened;
  std::vector<ds_batch_item> items(1);
  items[0].struct_size = sizeof(ds_batch_item) + 8;
  CHECK(ds_generate_batch(items.data(), 1, sizeof items[0], &opened.error) == DS_E_STRUCT);
  CHECK(std::string(opened.error.message).find("more than the stride") != std::string::npos);
}

TEST_CASE("structs that are written") {
  Opened opened;
  ds_job *job = start_long_job(opened.host);
  wait_until_running(job);
  check_out<ds_progress>("ds_progress", DS_OK,
                         [&](ds_progress *given) { return ds_job_progress(job, given, nullptr); });
  require(ds_job_cancel(job, &opened.error), opened.error);
  require(ds_job_wait(job, UINT64_MAX, &opened.error), opened.error);
  ds_job_release(job);
  const uint32_t id = 5;
  auto input = make<ds_eval_input>();
  input.ids = &id, input.n_ids = 1;
  check_out<ds_eval_output>("ds_eval_output", DS_OK, [&](ds_eval_output *given) {
    require(ds_session_rewind(opened.host.session, 0, &opened.error), opened.error);
    return ds_session_eval(opened.host.session, &input, given, nullptr);
  });
  auto options = make<ds_cache_options>();
  ds_cache *cache = nullptr;
  require(ds_cache_open(opened.host.runtime, &options, &cache, &opened.error), opened.error);
  check_out<ds_cache_event>("ds_cache_event", DS_E_PENDING,
                            [&](ds_cache_event *given) { return ds_cache_read_event(cache, given, nullptr); });
  ds_cache_release(cache);
  check_out<ds_api>("ds_api", DS_OK, [](ds_api *given) { return ds_get_api(DS_ABI_VERSION, given, nullptr); });
  first_size("ds_error");
  for (const uint32_t size : sizes_around(sizeof(ds_error))) {  // never a reason to fail; left alone if it does not fit
    CAPTURE(size);
    const ds_error empty{};
    const Memory memory(&empty, sizeof empty, size);
    auto *error = reinterpret_cast<ds_error *>(memory.bytes);
    error->code = 77;
    ds_runtime *none = nullptr;
    REQUIRE(ds_runtime_create(nullptr, &none, error) == DS_E_ARGUMENT);
    REQUIRE(error->struct_size == size);
    REQUIRE(error->code == (size >= sizeof *error && size <= kLargest ? DS_E_ARGUMENT : 77));
  }
}

TEST_CASE("structs that callbacks get say how large they are") {
  struct Told {
    std::set<std::string> wrong;
    void note(const char *name, bool right) {
      first_size(name);
      if (!right) wrong.insert(name);
    }
  } told;
  ds_runtime_options options = runtime_options();
  options.log_level = DS_LOG_INFO;
  options.log_user = options.verify_user = &told;
  options.log = [](void *user, const ds_log_message *message) {
    static_cast<Told *>(user)->note("ds_log_message", message->struct_size == sizeof *message);
  };
  options.verify_plugin = [](void *user, const ds_plugin_file *file) -> ds_status {
    static_cast<Told *>(user)->note("ds_plugin_file", file->struct_size == sizeof *file);
    return std::string(file->name.data, file->name.size) == "ref" ? DS_OK : DS_E_PERMISSION;
  };
  Host host = open_host(&options);
  ds_params parameters = params(3);
  parameters.callback_user = &told;
  parameters.on_text = [](void *user, const ds_text_event *now) -> int32_t {
    static_cast<Told *>(user)->note("ds_text_event", now->struct_size == sizeof *now);
    return DS_CONTINUE;
  };
  parameters.on_logits = [](void *user, const ds_logits_event *now) -> int32_t {
    static_cast<Told *>(user)->note("ds_logits_event", now->struct_size == sizeof *now);
    return DS_CONTINUE;
  };
  parameters.on_mask = [](void *user, const ds_mask_event *now) -> int32_t {
    static_cast<Told *>(user)->note("ds_mask_event", now->struct_size == sizeof *now);
    return DS_CONTINUE;
  };
  parameters.on_progress = [](void *user, const ds_progress *now) -> int32_t {
    static_cast<Told *>(user)->note("ds_progress", now->struct_size == sizeof *now);
    return DS_CONTINUE;
  };
  const ds_text_input input = text_input(kPrompt);
  ds_error error = fresh_error();
  ds_result *result = nullptr;
  require(ds_generate(host.session, &input.head, &parameters, &result, &error), error);
  ds_result_release(result);
  close_host(host);
  CHECK(told.wrong.empty());
}

TEST_CASE("no struct with a size is forgotten here") {  // runs last: doctest keeps the order of a file
  for (const Listed &listed : kListed) {
    CAPTURE(listed.name);
    CHECK(seen().count(listed.name) == 1);
  }
}
