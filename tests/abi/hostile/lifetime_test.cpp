// Orders of release, calls inside callbacks, fork, several runtimes, the host's allocator, what a host can observe.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <clocale>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "hostile/host.h"

using namespace hostile;

namespace {

// Counts and checks every allocation, and can refuse one.
struct CountingAllocator {
  std::mutex mutex;
  std::map<void *, std::pair<uint64_t, uint32_t>> live;
  uint64_t total = 0, wrong = 0, calls = 0, fail_at = UINT64_MAX;
  int frees = 0;

  ds_allocator record() {
    ds_allocator allocator{};
    allocator.struct_size = sizeof allocator;
    allocator.user = this;
    allocator.allocate = [](void *user, uint64_t size, uint64_t alignment, uint32_t tag) -> void * {
      auto *self = static_cast<CountingAllocator *>(user);
      const std::lock_guard lock(self->mutex);
      if (self->calls++ == self->fail_at) return nullptr;
      void *memory = nullptr;
      if (posix_memalign(&memory, std::max<uint64_t>(alignment, sizeof(void *)), size)) return nullptr;
      self->live[memory] = {size, tag};
      self->total += size;
      return memory;
    };
    allocator.release = [](void *user, void *memory, uint64_t size, uint32_t tag) {
      auto *self = static_cast<CountingAllocator *>(user);
      const std::lock_guard lock(self->mutex);
      const auto found = self->live.find(memory);
      if (found == self->live.end() || found->second != std::make_pair(size, tag)) ++self->wrong;
      if (found != self->live.end()) self->live.erase(found);
      std::free(memory);
    };
    allocator.user_free = [](void *user) { ++static_cast<CountingAllocator *>(user)->frees; };
    return allocator;
  }
};

// What a process looks like to its host: handlers, directory, locale, bytes written to standard streams.
struct ProcessState {
  struct sigaction actions[32]{};
  std::string directory, locale;
  std::terminate_handler terminate = std::get_terminate();
  ProcessState() {
    for (int signal = 1; signal < 32; ++signal) sigaction(signal, nullptr, &actions[signal]);
    char path[4096];
    directory = getcwd(path, sizeof path) ? path : "?";
    locale = std::setlocale(LC_ALL, nullptr);
  }
  bool operator==(const ProcessState &other) const {
    for (int signal = 1; signal < 32; ++signal)
      if (actions[signal].sa_handler != other.actions[signal].sa_handler) return false;
    return directory == other.directory && locale == other.locale && terminate == other.terminate;
  }
};

struct InCallback {
  ds_session *session = nullptr, *release_session = nullptr;
  ds_model *model = nullptr;
  ds_runtime *runtime = nullptr;
  ds_status blocking = DS_OK, safe = DS_E_INTERNAL;
  int calls = 0, frees = 0;
};

int32_t DS_CALL call_back_in(void *user, const ds_text_event *) {
  auto *self = static_cast<InCallback *>(user);
  if (self->calls++) return DS_CONTINUE;
  const ds_text_input input = text_input(kPrompt);
  ds_result *result = nullptr;
  self->blocking = ds_generate(self->session, &input.head, nullptr, &result, nullptr);
  uint64_t n = 0;
  self->safe = ds_tokenize(self->model, "abc", 3, 0, nullptr, nullptr, 0, &n, nullptr);
  return DS_CONTINUE;
}

int32_t DS_CALL release_all(void *user, const ds_text_event *) {
  auto *self = static_cast<InCallback *>(user);
  if (self->calls++) return DS_CONTINUE;
  ds_session_release(self->release_session);
  ds_model_release(self->model);
  ds_runtime_release(self->runtime);
  return DS_STOP;
}

}  // namespace

TEST_CASE("any order of release is fine") {
  std::string order = "jmrs";  // job, model, runtime, session
  do {
    Host host = open_host();
    ds_job *job = start_long_job(host);
    for (const char which : order) {
      if (which == 'j') ds_job_release(job);
      if (which == 'm') ds_model_release(host.model);
      if (which == 'r') ds_runtime_release(host.runtime);
      if (which == 's') ds_session_release(host.session);
    }
    CHECK(ds_live_objects() == 0);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("results outlive everything else") {
  Host host = open_host();
  const ds_text_input input = text_input(kPrompt);
  const ds_params parameters = params(4);
  ds_error error = fresh_error();
  ds_result *result = nullptr;
  require(ds_generate(host.session, &input.head, &parameters, &result, &error), error);
  close_host(host);
  ds_text text{};
  CHECK(ds_result_text(result, 0, &text, &error) == DS_OK);
  CHECK(text.data);
  ds_result_release(result);
  CHECK(ds_live_objects() == 0);
}

TEST_CASE("after a shutdown children say so and stay releasable") {
  Host host = open_host();
  ds_error error = fresh_error();
  ds_job *job = start_long_job(host);
  require(ds_runtime_shutdown(host.runtime, UINT64_C(20000000000), &error), error);
  CHECK(ds_runtime_shutdown(host.runtime, 0, &error) == DS_OK);
  const ds_text_input input = text_input(kPrompt);
  ds_result *result = nullptr;
  ds_session *session = nullptr;
  ds_info *info = nullptr;
  CHECK(ds_generate(host.session, &input.head, nullptr, &result, &error) == DS_E_SHUT_DOWN);
  CHECK(ds_session_create(host.model, nullptr, &session, &error) == DS_E_SHUT_DOWN);
  CHECK(ds_model_info(host.model, &info, &error) == DS_E_SHUT_DOWN);
  uint32_t state = 0;
  CHECK(ds_job_poll(job, &state, &error) == DS_OK);
  CHECK(state == DS_JOB_DONE);
  ds_job_release(job);
  close_host(host);
  CHECK(ds_live_objects() == 0);
}

TEST_CASE("released, foreign and confused handles give DS_E_HANDLE") {
  Host host = open_host();
  ds_error error = fresh_error();
  ds_info *info = nullptr;
  ds_session *gone = host.session;
  ds_session_release(host.session);
  CHECK(ds_session_info(gone, &info, &error) == DS_E_HANDLE);
  CHECK(ds_session_info(reinterpret_cast<ds_session *>(host.model), &info, &error) == DS_E_HANDLE);
  CHECK(ds_session_info(reinterpret_cast<ds_session *>(&host), &info, &error) == DS_E_HANDLE);
  CHECK(ds_session_info(nullptr, &info, &error) == DS_E_HANDLE);
  ds_session_release(gone);
  host.session = nullptr;
  close_host(host);
}

TEST_CASE("a blocking call inside a callback is refused, a callback-safe one works") {
  Host host = open_host();
  InCallback inside;
  inside.session = host.session;
  inside.model = host.model;
  const ds_text_input input = text_input(kPrompt);
  ds_params parameters = params(4);
  parameters.on_text = call_back_in;
  parameters.callback_user = &inside;
  parameters.callback_free = [](void *user) { ++static_cast<InCallback *>(user)->frees; };
  ds_error error = fresh_error();
  ds_result *result = nullptr;
  require(ds_generate(host.session, &input.head, &parameters, &result, &error), error);
  CHECK(inside.calls > 0);
  CHECK(inside.blocking == DS_E_REENTRANT);
  CHECK(inside.safe == DS_OK);
  ds_result_release(result);
  close_host(host);
  CHECK(inside.frees == 1);
}

TEST_CASE("a call that failed leaves user_free alone") {
  Host host = open_host();
  InCallback inside;
  const ds_text_input input = text_input(kPrompt);
  ds_params parameters = params(4);
  parameters.temperature = -1;
  parameters.callback_user = &inside;
  parameters.callback_free = [](void *user) { ++static_cast<InCallback *>(user)->frees; };
  ds_result *result = nullptr;
  CHECK(ds_generate(host.session, &input.head, &parameters, &result, nullptr) == DS_E_ARGUMENT);
  CHECK_FALSE(result);
  close_host(host);
  CHECK(inside.frees == 0);
}

TEST_CASE("everything may be released inside a callback") {
  Host host = open_host();
  InCallback inside;
  inside.release_session = host.session;
  inside.model = host.model;
  inside.runtime = host.runtime;
  const ds_text_input input = text_input(kPrompt);
  ds_params parameters = params(100);
  parameters.on_text = release_all;
  parameters.callback_user = &inside;
  ds_error error = fresh_error();
  ds_result *result = nullptr;
  require(ds_generate(host.session, &input.head, &parameters, &result, &error), error);
  uint32_t reason = 0;
  CHECK(ds_result_finish_reason(result, 0, &reason, &error) == DS_OK);
  CHECK(reason == DS_FINISH_CALLBACK);
  ds_result_release(result);
  CHECK(ds_live_objects() == 0);
}

TEST_CASE("a forked child is told so, and the parent's job is unharmed") {
  Host host = open_host();
  ds_job *job = start_long_job(host);
  wait_until_running(job);
  const pid_t child = fork();
  if (child == 0) {
    ds_info *info = nullptr;
    uint32_t state = 0;
    bool good = ds_model_info(host.model, &info, nullptr) == DS_E_FORKED;
    good &= ds_job_poll(job, &state, nullptr) == DS_E_FORKED;
    good &= ds_runtime_shutdown(host.runtime, 0, nullptr) == DS_E_FORKED;
    ds_job_release(job);
    ds_session_release(host.session);
    ds_model_release(host.model);
    ds_runtime_release(host.runtime);
    _exit(good ? 0 : 1);
  }
  int state = -1;
  REQUIRE(waitpid(child, &state, 0) == child);
  CHECK(state == 0);
  ds_error error = fresh_error();
  CHECK(ds_job_cancel(job, &error) == DS_OK);
  CHECK(ds_job_wait(job, UINT64_C(20000000000), &error) == DS_OK);
  ds_job_release(job);
  CHECK(generate(host.session, kPrompt, kTokens) == expected());
  close_host(host);
}

TEST_CASE("a model file that is truncated or replaced while it is open changes nothing") {
  const std::vector<uint32_t> expected_ids = expected();
  for (const char *backend : {"ref", "onednn"})
    for (const bool replaced : {false, true}) {
      CAPTURE(backend);
      CAPTURE(replaced);
      char folder[] = "/tmp/deepseam-damaged-XXXXXX";
      REQUIRE(mkdtemp(folder));
      const std::filesystem::path path = std::filesystem::path(folder) / "model.dsm";
      std::filesystem::copy_file(ABI_MODEL, path);
      Host host = open_host(nullptr, backend, path.c_str());
      ds_job *job = start_long_job(host);
      wait_until_running(job);
      if (replaced) std::filesystem::rename(path, path.string() + ".old");
      std::ofstream(path, std::ios::binary).write("gone", 4);  // what was there is cut off, or another file
      usleep(50'000);                                          // steps go on
      ds_error error = fresh_error();
      REQUIRE(ds_job_cancel(job, &error) == DS_OK);
      REQUIRE(ds_job_wait(job, UINT64_MAX, &error) == DS_OK);
      ds_job_release(job);
      CHECK(generate(host.session, kPrompt, kTokens) == expected_ids);
      close_host(host);
      std::string failure;
      try {
        open_host(nullptr, backend, path.c_str());
      } catch (const std::exception &exception) {
        failure = exception.what();
      }
      CHECK(failure.find("model.dsm") != failure.npos);
      std::filesystem::remove_all(folder);
    }
}

TEST_CASE("two runtimes live side by side") {
  const auto expected_ids = expected();
  Host hosts[2] = {open_host(), open_host()};
  std::vector<uint32_t> ids[2];
  std::thread other([&] { ids[1] = generate(hosts[1].session, kPrompt, kTokens); });
  ids[0] = generate(hosts[0].session, kPrompt, kTokens);
  other.join();
  close_host(hosts[0]);
  CHECK(generate(hosts[1].session, kPrompt, kTokens) == expected_ids);
  close_host(hosts[1]);
  CHECK(ids[0] == expected_ids);
  CHECK(ids[1] == expected_ids);
}

TEST_CASE("the host's allocator gets back all it gave, with the same size and tag") {
  for (const char *backend : {"ref", "onednn"}) {
    CAPTURE(backend);
    CountingAllocator counting;
    const ds_allocator record = counting.record();
    ds_runtime_options options = runtime_options();
    options.allocator = &record;
    Host host = open_host(&options, backend);
    generate(host.session, kPrompt, kTokens);
    close_host(host);
    CHECK(counting.total > 100'000);  // weights and rows of the model went through it
    CHECK(counting.live.empty());
    CHECK(counting.wrong == 0);
    CHECK(counting.frees == 1);
  }
}

TEST_CASE("an allocator that refuses once ends in a status, and nothing is kept") {
  for (uint64_t n = 0; n < 12; ++n) {
    CountingAllocator counting;
    counting.fail_at = n;
    const ds_allocator record = counting.record();
    ds_runtime_options options = runtime_options();
    options.allocator = &record;
    try {
      Host host = open_host(&options);
      generate(host.session, kPrompt, kTokens);
      close_host(host);
    } catch (const std::exception &failure) {
      CHECK(std::string(failure.what()).find("DS_E_") == 0);
    }
    CHECK(counting.wrong == 0);
  }
}

TEST_CASE("handlers, directory, locale and standard streams stay the host's") {
  char name[] = "/tmp/deepseam-streams-XXXXXX";
  const int file = mkstemp(name);
  REQUIRE(file >= 0);
  const ProcessState before;
  fflush(nullptr);
  const int saved_out = dup(1), saved_err = dup(2);
  dup2(file, 1);
  dup2(file, 2);
  std::string failure;
  try {
    Host host = open_host();
    generate(host.session, kPrompt, kTokens);
    close_host(host);
  } catch (const std::exception &exception) {
    failure = exception.what();
  }
  fflush(nullptr);
  dup2(saved_out, 1);
  dup2(saved_err, 2);
  close(saved_out);
  close(saved_err);
  struct stat written {};
  fstat(file, &written);
  close(file);
  unlink(name);
  CHECK(failure == "");
  CHECK(written.st_size == 0);
  CHECK(ProcessState() == before);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST_CASE("loading and unloading plugins leaves no memory behind") {
  const auto load = [](int times) {
    for (int i = 0; i < times; ++i) {
      const ds_runtime_options options = runtime_options();
      ds_error error = fresh_error();
      ds_runtime *runtime = nullptr;
      uint32_t devices = 0;
      require(ds_runtime_create(&options, &runtime, &error), error);
      require(ds_device_count(runtime, &devices, &error), error);
      require(ds_runtime_shutdown(runtime, UINT64_C(20000000000), &error), error);
      ds_runtime_release(runtime);
    }
    const struct mallinfo2 info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  const size_t before = load(5);
  CHECK(load(20) < before + (64u << 10));  // a copy of the C++ runtime in each plugin holds 70 KB while it is loaded
}
#endif
