// Threads of the host that are not as one would like them: floating-point traps, tiny stacks, signals; runners.
#include <dirent.h>
#include <doctest/doctest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cfenv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>

#include "hostile/host.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

using namespace hostile;

namespace {

// Runs f on a thread with a stack of so many bytes.
void run_with_stack(size_t bytes, const std::function<void()> &f) {
  struct Call {
    const std::function<void()> *f;
    std::string failure;
  } call{&f, {}};
  pthread_attr_t attributes;
  pthread_t thread;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, bytes) == 0);
  REQUIRE(pthread_create(
              &thread, &attributes,
              [](void *data) -> void * {
                auto *given = static_cast<Call *>(data);
                try {
                  (*given->f)();
                } catch (const std::exception &failure) {
                  given->failure = failure.what();
                }
                return nullptr;
              },
              &call) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  CHECK(call.failure == "");
}

// Whether the system is taking a thread away: whoever joins it may go on a moment before it leaves /proc.
bool is_exiting(const std::string &thread) {
  constexpr uint32_t kExiting = 4;  // PF_EXITING of the kernel
  std::ifstream file("/proc/self/task/" + thread + "/stat");
  std::string line, field;
  if (!std::getline(file, line)) return true;
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  for (int i = 0; i < 7; ++i) fields >> field;  // state, five ids, flags
  return (std::stoul(field) & kExiting) != 0;
}

std::set<pid_t> threads_of_process() {
  std::set<pid_t> found;
  DIR *dir = opendir("/proc/self/task");
  while (dirent *entry = readdir(dir))
    if (entry->d_name[0] != '.' && !is_exiting(entry->d_name))
      found.insert(static_cast<pid_t>(std::stol(entry->d_name)));
  closedir(dir);
  return found;
}

uint64_t blocked_signals(pid_t thread) {
  char path[64], line[256];
  std::snprintf(path, sizeof path, "/proc/self/task/%d/status", thread);
  uint64_t mask = 0;
  if (FILE *file = std::fopen(path, "r")) {
    while (std::fgets(line, sizeof line, file))
      if (std::strncmp(line, "SigBlk:", 7) == 0) mask = std::strtoull(line + 7, nullptr, 16);
    std::fclose(file);
  }
  return mask;
}

std::atomic<int> signals_seen{0}, signals_elsewhere{0};
pthread_t host_thread;
void on_signal(int) {
  ++signals_seen;
  if (!pthread_equal(pthread_self(), host_thread)) ++signals_elsewhere;
}

// Runs tasks in order on the calling thread, which has traps on if asked.
struct SerialRunner {
  std::atomic<uint64_t> runs{0};
  bool hostile_fp = false;
  static void DS_CALL run(void *user, uint32_t n, ds_task_fn task, void *data) {
    auto *self = static_cast<SerialRunner *>(user);
    ++self->runs;
    std::fenv_t saved;
    std::fegetenv(&saved);
    if (self->hostile_fp) feenableexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW | FE_UNDERFLOW);
    for (uint32_t i = 0; i < n; ++i) task(data, i);
    std::fesetenv(&saved);
  }
  ds_task_runner record() {
    ds_task_runner runner{};
    runner.struct_size = sizeof runner;
    runner.width = 1;
    runner.user = this;
    runner.run = &SerialRunner::run;
    return runner;
  }
};

void DS_CALL run_concurrently(void *, uint32_t n, ds_task_fn task, void *data) {
  std::vector<std::thread> threads;
  for (uint32_t i = 1; i < n; ++i) threads.emplace_back([=] { task(data, i); });
  if (n) task(data, 0);
  for (auto &thread : threads) thread.join();
}

}  // namespace

TEST_CASE("floating-point traps and flush-to-zero on the caller's thread change nothing") {
  const auto expected_ids = expected();
  for (const char *backend : {"ref", "onednn"}) {
    CAPTURE(backend);
    std::fenv_t saved;
    std::fegetenv(&saved);
#if defined(__x86_64__)
    const unsigned before = _mm_getcsr();
    const unsigned hostile = 0x8040;  // flush to zero, denormals are zero, every exception unmasked
    _mm_setcsr(hostile);
    feenableexcept(FE_DIVBYZERO | FE_INVALID | FE_OVERFLOW);
    const unsigned set = _mm_getcsr();
#endif
    std::vector<uint32_t> ids;
    std::string failure;
    unsigned after = 0;
    try {
      Host host = open_host(nullptr, backend);
      ids = generate(host.session, kPrompt, kTokens);
      close_host(host);
#if defined(__x86_64__)
      after = _mm_getcsr();
#endif
    } catch (const std::exception &exception) {
      failure = exception.what();
    }
#if defined(__x86_64__)
    _mm_setcsr(before);
    CHECK((after & 0xffc0) == (set & 0xffc0));
#endif
    std::fesetenv(&saved);
    CHECK(failure == "");
    CHECK(ids == expected_ids);
  }
}

// Each kind of work once; ids of a generation.
static std::vector<uint32_t> do_everything(const char *backend) {
  Host host = open_host(nullptr, backend);
  const std::vector<uint32_t> ids = generate(host.session, kPrompt, kTokens);
  ds_error error = fresh_error();
  ds_info *info = nullptr;
  require(ds_model_info(host.model, &info, &error), error);
  ds_info_release(info);
  require(ds_runtime_plugin_report(host.runtime, &info, &error), error);
  ds_info_release(info);
  ds_source_path source{};
  source.head.struct_size = sizeof source;
  source.head.tag = DS_SOURCE_PATH;
  source.path = {ABI_MODEL, DS_STRLEN};
  ds_verify_options verify{};
  verify.struct_size = sizeof verify;
  verify.source = &source.head;
  require(ds_model_verify(host.runtime, &verify, &info, &error), error);
  ds_info_release(info);
  ds_fim_input fim{};
  fim.head.struct_size = sizeof fim;
  fim.prefix = {"int add(", DS_STRLEN};
  fim.suffix = {"}", DS_STRLEN};
  ds_params parameters = params(4);
  parameters.temperature = 1;
  parameters.n_choices = 3;
  parameters.n_logprobs = 5;
  ds_result *result = nullptr;
  require(ds_fim(host.session, &fim, &parameters, &result, &error), error);
  ds_result_release(result);
  const ds_text_input input = text_input(kPrompt);
  ds_job *job = nullptr;
  require(ds_job_start(host.session, &input.head, &parameters, nullptr, &job, &error), error);
  require(ds_job_wait(job, UINT64_MAX, &error), error);
  ds_job_release(job);
  ds_batch_item item{};
  item.struct_size = sizeof item;
  item.session = host.session;
  item.input = &input.head;
  item.parameters = &parameters;
  require(ds_generate_batch(&item, 1, sizeof item, &error), error);
  ds_result_release(item.result);
  uint64_t n = 0;
  const std::string text(2000, 'x');
  require(ds_tokenize(host.model, text.data(), text.size(), 0, nullptr, nullptr, 0, &n, &error), error);
  close_host(host);
  return ids;
}

TEST_CASE("64 KiB of stack are enough for every call") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr size_t kStack = 512 * 1024;  // frames are larger, and the sanitizer allocates on top
#else
  constexpr size_t kStack = 64 * 1024;
#endif
  const auto expected_ids = expected();
  for (const char *backend : {"ref", "onednn"}) {
    CAPTURE(backend);
    std::vector<uint32_t> ids;
    run_with_stack(kStack, [&] { ids = do_everything(backend); });
    CHECK(ids == expected_ids);
  }
}

TEST_CASE("our threads block every signal, so the host's handlers run on its own threads") {
  const std::set<pid_t> before = threads_of_process();
  Host host = open_host();
  ds_job *job = start_long_job(host);
  wait_until_running(job);
  int checked = 0;
  for (const pid_t thread : threads_of_process()) {
    if (before.count(thread)) continue;
    ++checked;
    const uint64_t all = ~uint64_t{0} & ~(uint64_t{1} << (SIGKILL - 1)) & ~(uint64_t{1} << (SIGSTOP - 1));
    // The C library keeps two real-time signals (32, 33) for itself and does not let them be blocked.
    const uint64_t reserved = (uint64_t{1} << 31) | (uint64_t{1} << 32);
    CHECK((blocked_signals(thread) | reserved) == (all | reserved));
  }
  CHECK(checked >= 1);
  host_thread = pthread_self();
  struct sigaction action {
  }, saved{};
  action.sa_handler = on_signal;
  sigaction(SIGUSR1, &action, &saved);
  for (int i = 0; i < 200; ++i) {
    kill(getpid(), SIGUSR1);
    usleep(200);
  }
  sigaction(SIGUSR1, &saved, nullptr);
  CHECK(signals_seen > 0);
  CHECK(signals_elsewhere == 0);
  ds_job_release(job);
  close_host(host);
}

TEST_CASE("a callback on one of our threads has the host's signal mask") {
  struct Seen {
    std::atomic<int> calls{0}, blocked{0};
    static void look(void *user) {
      auto *self = static_cast<Seen *>(user);
      sigset_t mask;
      pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      ++self->calls;
      self->blocked += sigismember(&mask, SIGUSR1) + sigismember(&mask, SIGPROF);
    }
  } seen;
  Host host = open_host();
  const ds_text_input input = text_input(kPrompt);
  ds_params few = params(4);
  few.callback_user = &seen;
  few.on_text = [](void *user, const ds_text_event *) -> int32_t { return Seen::look(user), DS_CONTINUE; };
  ds_job_options options{};
  options.struct_size = sizeof options;
  options.flags = DS_JOB_SPONTANEOUS;
  options.wake = Seen::look;
  options.wake_user = &seen;
  ds_error error = fresh_error();
  ds_job *job = nullptr;
  require(ds_job_start(host.session, &input.head, &few, &options, &job, &error), error);
  require(ds_job_wait(job, UINT64_MAX, &error), error);
  ds_job_release(job);
  close_host(host);
  CHECK(seen.calls >= 2);
  CHECK(seen.blocked == 0);
}

TEST_CASE("a task runner that runs tasks one after another gives the same tokens") {
  const auto expected_ids = expected();
  SerialRunner serial;
  for (const bool hostile_fp : {false, true}) {
    serial.hostile_fp = hostile_fp;
    const ds_task_runner record = serial.record();
    ds_runtime_options options = runtime_options();
    options.task_runner = &record;
    Host host = open_host(&options);
    CHECK(generate(host.session, kPrompt, kTokens) == expected_ids);
    close_host(host);
  }
  CHECK(serial.runs > 0);
}

TEST_CASE("a task runner with a thread for each task gives the same tokens") {
  const auto expected_ids = expected();
  ds_task_runner record{};
  record.struct_size = sizeof record;
  record.flags = DS_TASKS_CONCURRENT;
  record.width = 4;
  record.run = &run_concurrently;
  ds_runtime_options options = runtime_options();
  options.task_runner = &record;
  Host host = open_host(&options);
  CHECK(generate(host.session, kPrompt, kTokens) == expected_ids);
  close_host(host);
}

TEST_CASE("no thread of ours is left after a shutdown") {
  const std::set<pid_t> before = threads_of_process();
  Host host = open_host();
  ds_job *job = start_long_job(host);
  wait_until_running(job);
  ds_job_release(job);
  close_host(host);
  CHECK(threads_of_process() == before);
}
