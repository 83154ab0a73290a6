// Every use of the heap in this program can fail: the n-th one, once or with all that follow, while a model is opened,
// a text filled in, a job run and logits taken through the C API, with repacked weights kept in a folder (which is of
// use to onednn alone). Each run ends in statuses, the session that is left then answers as if nothing had been, no
// handle stays, and nothing hangs.
//
// The runtime's own allocator is tested in memory_test.cpp; this is about everything else (lib/base/allocator.h says
// what goes where), so the program replaces operator new and links the library and the backend as archives.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <new>
#include <thread>

#include "deepseam/deepseam.h"
#include "fault/fault.h"
#include "golden/backend.h"
#include "unit/base/temporary_folder.h"

namespace {

std::atomic<uint64_t> n_calls{0}, fail_from{0}, fail_until{0};  // calls fail_from … fail_until - 1 fail; 0, 0: none

void *from_heap(size_t size, size_t alignment) noexcept {
  const uint64_t n = ++n_calls;
  if (n >= fail_from && n < fail_until) return nullptr;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(size ? size : 1);
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void *or_throw(void *memory) {
  if (!memory) throw std::bad_alloc();
  return memory;
}

}  // namespace

void *operator new(size_t size) { return or_throw(from_heap(size, 0)); }
void *operator new[](size_t size) { return or_throw(from_heap(size, 0)); }
void *operator new(size_t size, const std::nothrow_t &) noexcept { return from_heap(size, 0); }
void *operator new[](size_t size, const std::nothrow_t &) noexcept { return from_heap(size, 0); }
void *operator new(size_t size, std::align_val_t a) { return or_throw(from_heap(size, static_cast<size_t>(a))); }
void *operator new[](size_t size, std::align_val_t a) { return or_throw(from_heap(size, static_cast<size_t>(a))); }
void operator delete(void *memory) noexcept { std::free(memory); }
void operator delete[](void *memory) noexcept { std::free(memory); }
void operator delete(void *memory, size_t) noexcept { std::free(memory); }
void operator delete[](void *memory, size_t) noexcept { std::free(memory); }
void operator delete(void *memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void *memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void *memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void *memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

// Ends the program with a word if a run hangs: a test that waits for ever tells nothing.
class Watchdog {
 public:
  ~Watchdog() {
    {
      const std::lock_guard lock(mutex_);
      over_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  void begin(uint64_t n, bool lasting) {
    const std::lock_guard lock(mutex_);
    n_ = n;
    lasting_ = lasting;
    since_ = std::chrono::steady_clock::now();
  }

 private:
  void watch() {
    std::unique_lock lock(mutex_);
    while (!over_) {
      changed_.wait_for(lock, std::chrono::seconds(1));
      if (std::chrono::steady_clock::now() - since_ < std::chrono::seconds(120)) continue;
      std::fprintf(stderr, "use %llu of the heap %s: hangs\n", static_cast<unsigned long long>(n_),
                   lasting_ ? "and all later ones" : "alone");
      std::_Exit(1);
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool over_ = false, lasting_ = false;
  uint64_t n_ = 0;
  std::chrono::steady_clock::time_point since_ = std::chrono::steady_clock::now();
  std::thread thread_{[this] { watch(); }};
};

const dsb_root *DS_CALL backend() { return deepseam::golden::backend_root(); }

ds_text text(const char *words) { return {words, DS_STRLEN}; }

// What a life begins with.
struct Beginning {
  std::string model, packed;  // a file; a folder
  bool mapped = true;
};

struct Host {
  ds_runtime *runtime = nullptr;
  ds_model *model = nullptr;
  ds_session *session = nullptr;
};

ds_status open(const Beginning &from, Host *host, ds_error *error) {
  ds_runtime_options options{};
  options.struct_size = sizeof options;
  options.abi_version = DS_ABI_VERSION;
  options.flags = DS_RUNTIME_NO_DEFAULT_PLUGINS;
  options.n_threads = 2;
  ds_source_path source{};
  source.head = {sizeof source, DS_SOURCE_PATH};
  source.path = text(from.model.c_str());
  ds_model_options model{};
  model.struct_size = sizeof model;
  model.flags = DS_MODEL_DETERMINISTIC;
  model.source = &source.head;
  model.context_length = 256;
  model.map_mode = from.mapped ? DS_MAP_ALWAYS : DS_MAP_NEVER;
  model.pack_cache_dir = text(from.packed.c_str());
  ds_status status = ds_runtime_create(&options, &host->runtime, error);
  if (status == DS_OK) status = ds_runtime_register_backend(host->runtime, backend, error);
  if (status == DS_OK) status = ds_model_open(host->runtime, &model, &host->model, error);
  if (status == DS_OK) status = ds_session_create(host->model, nullptr, &host->session, error);
  return status;
}

ds_status fill_in(ds_session *session, std::vector<uint32_t> *ids, ds_error *error) {
  ds_fim_input input{};
  input.head = {sizeof input, DS_INPUT_FIM};
  input.prefix = text("int f(int x) {\n  if (x");
  input.suffix = text("\n}\n");
  input.layout = DS_FIM_ANCHORED;
  const ds_text stop = text("\x01 no text has this");
  ds_params params{};
  params.struct_size = sizeof params;
  params.flags = DS_GEN_IGNORE_END;
  params.max_tokens = 4;
  params.n_choices = 2;
  params.n_logprobs = 2;
  params.repetition_penalty = 1.1f;
  params.stops = &stop;
  params.n_stops = 1;
  ds_result *result = nullptr;
  ds_status status = ds_fim(session, &input, &params, &result, error);
  const uint32_t *found = nullptr;
  uint64_t n = 0;
  if (status == DS_OK) status = ds_result_ids(result, 1, &found, &n, error);
  if (status == DS_OK && ids) ids->assign(found, found + n);
  ds_info *info = nullptr;
  if (status == DS_OK) status = ds_result_info(result, &info, error);
  ds_info_release(info);
  ds_result_release(result);
  return status;
}

int32_t DS_CALL on_text(void *, const ds_text_event *) { return DS_CONTINUE; }

ds_status run_job(ds_session *session, ds_error *error) {
  ds_text_input input{};
  input.head = {sizeof input, DS_INPUT_TEXT};
  input.text = text("while (");
  ds_params params{};
  params.struct_size = sizeof params;
  params.max_tokens = 3;
  params.temperature = 1;
  params.deadline_ns = 60 * kSecond;
  params.on_text = on_text;
  ds_job *job = nullptr;
  ds_result *result = nullptr;
  ds_status status = ds_job_start(session, &input.head, &params, nullptr, &job, error);
  if (status == DS_OK) status = ds_job_wait(job, 100 * kSecond, error);
  if (status == DS_OK) status = ds_job_take_result(job, &result, error);
  ds_result_release(result);
  ds_job_release(job);
  return status;
}

ds_status take_logits(ds_session *session, ds_model_adapter *adapter, ds_error *error) {
  const uint32_t ids[] = {5, 6, 7};
  ds_eval_input input{};
  input.struct_size = sizeof input;
  input.want = DS_WANT_ALL;
  input.ids = ids;
  input.n_ids = 3;
  input.adapter = adapter;
  ds_eval_output output{};
  output.struct_size = sizeof output;
  const ds_status status = ds_session_rewind(session, 0, error);
  return status == DS_OK ? ds_session_eval(session, &input, &output, error) : status;
}

// An adapter is read, run with and released.
ds_status adapt(const Host &host, ds_error *error) {
  ds_source_path source{};
  source.head = {sizeof source, DS_SOURCE_PATH};
  source.path = text(DS_TINY_DIR "/lite-lora");
  ds_model_adapter *adapter = nullptr;
  ds_status status = ds_model_adapter_load(host.model, &source.head, &adapter, error);
  if (status == DS_OK) status = take_logits(host.session, adapter, error);
  ds_model_adapter_release(adapter);
  return status;
}

// One whole life. `expected`: what a run without failures fills in; empty: not known yet, and then it is told. Nothing
// is judged while the heap fails, because judging needs it, too.
void live(const Beginning &from, std::vector<uint32_t> *expected) {
  Host host;
  ds_error error{};
  error.struct_size = sizeof error;
  ds_status statuses[5] = {open(from, &host, &error), DS_OK, DS_OK, DS_OK, DS_OK};
  const bool opened = statuses[0] == DS_OK;
  if (opened) {
    statuses[1] = fill_in(host.session, nullptr, &error);
    statuses[2] = run_job(host.session, &error);
    statuses[3] = take_logits(host.session, nullptr, &error);
    statuses[4] = adapt(host, &error);
  }
  fail_from = fail_until = 0;
  for (const ds_status status : statuses)
    CHECK_MESSAGE((status == DS_OK || status == DS_E_MEMORY || status == DS_E_BUSY), status, " ", error.message);
  if (opened) {
    std::vector<uint32_t> ids;
    ds_status status = DS_E_BUSY;  // a job that could not be waited for may be under way
    for (int i = 0; i < 2000 && status == DS_E_BUSY; ++i) {
      status = fill_in(host.session, &ids, &error);
      if (status == DS_E_BUSY) ::usleep(5000);
    }
    CHECK_MESSAGE(status == DS_OK, error.message);
    if (expected->empty()) *expected = ids;
    CHECK(ids == *expected);
  }
  ds_session_release(host.session);
  ds_model_release(host.model);
  if (host.runtime) CHECK(ds_runtime_shutdown(host.runtime, 60 * kSecond, &error) == DS_OK);
  ds_runtime_release(host.runtime);
  CHECK(ds_live_objects() == 0);
}

void write_model(const std::string &path) {
  Host host;
  ds_error error{};
  error.struct_size = sizeof error;
  ds_runtime_options options{};
  options.struct_size = sizeof options;
  options.abi_version = DS_ABI_VERSION;
  options.flags = DS_RUNTIME_NO_DEFAULT_PLUGINS;
  REQUIRE(ds_runtime_create(&options, &host.runtime, &error) == DS_OK);
  ds_synth_options synth{};
  synth.struct_size = sizeof synth;
  synth.shape = text("tiny");
  synth.path = {path.data(), path.size()};
  REQUIRE_MESSAGE(ds_model_synth(host.runtime, &synth, &error) == DS_OK, error.message);
  REQUIRE(ds_runtime_shutdown(host.runtime, 60 * kSecond, &error) == DS_OK);
  ds_runtime_release(host.runtime);
}

// One after another: what is packed is made and written, then used; files are mapped, then read.
Beginning beginning(const TemporaryFolder &folder, uint64_t turn) {
  const std::string packed = folder / "packed";
  if (turn % 2 == 0) std::filesystem::remove_all(packed);
  std::filesystem::create_directory(packed);
  return {folder / "model.dsm", packed, turn / 2 % 2 == 0};
}

}  // namespace

TEST_CASE("the n-th use of the heap fails, alone or with all later ones") {
  const TemporaryFolder folder;
  write_model(folder / "model.dsm");
  Watchdog watchdog;
  std::vector<uint32_t> expected;
  uint64_t total = 0;
  for (uint64_t turn = 0; turn < 4; ++turn) {
    const Beginning from = beginning(folder, turn);
    n_calls = 0;
    live(from, &expected);
    total = std::max<uint64_t>(total, n_calls);
  }
  REQUIRE(expected.size() == 4);
  REQUIRE(total > 1000);
  uint64_t turn = 0;
  for (const bool lasting : {false, true})
    for (const uint64_t n : deepseam::fault::moments(total, 150, "failing uses of the heap")) {
      CAPTURE(n);
      CAPTURE(lasting);
      const Beginning from = beginning(folder, turn++);
      watchdog.begin(n, lasting);
      n_calls = 0;
      fail_from = n;
      fail_until = lasting ? UINT64_MAX : n + 1;
      live(from, &expected);
    }
}
