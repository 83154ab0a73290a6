// Signals and the threads of a pool.
#include <doctest/doctest.h>
#include <signal.h>

#include <atomic>
#include <thread>

#include "base/task_runner.h"

using namespace deepseam;

namespace {

struct Seen {
  std::thread::id caller = std::this_thread::get_id();
  std::atomic<int> open{0}, threads{0};
  std::atomic<uint32_t> arrived{0};
};

void look(void *user, uint32_t) {
  auto &seen = *static_cast<Seen *>(user);
  seen.arrived.fetch_add(1);
  while (seen.arrived.load() < 3) std::this_thread::yield();  // so that every thread has one task
  if (std::this_thread::get_id() == seen.caller) return;
  sigset_t mask;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  seen.threads.fetch_add(1);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGCHLD, SIGPROF})
    seen.open += !::sigismember(&mask, signal);
}

}  // namespace

TEST_CASE("pool threads block every signal, the caller's mask is as before") {
  sigset_t before, after;
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &before) == 0);
  const std::unique_ptr<TaskRunner> pool = make_thread_pool(3, false).value();
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &after) == 0);
  CHECK(::sigismember(&before, SIGUSR1) == ::sigismember(&after, SIGUSR1));
  Seen seen;
  pool->run(3, look, &seen);
  CHECK(seen.threads == 2);
  CHECK(seen.open == 0);
}
