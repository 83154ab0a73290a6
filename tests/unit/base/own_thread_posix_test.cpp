// Signals and threads of ours.
#include <doctest/doctest.h>

#include <csignal>

#include "base/own_thread.h"

using namespace deepseam;

TEST_CASE("an own thread blocks every signal; the starter's mask is as before") {
  sigset_t before, after;
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &before) == 0);
  int open = 0;
  Result<std::thread> thread = start_own_thread([&open] {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGPROF}) open += !::sigismember(&mask, signal);
  });
  REQUIRE(thread.ok());
  thread.value().join();
  REQUIRE(::pthread_sigmask(SIG_SETMASK, nullptr, &after) == 0);
  CHECK(open == 0);
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1, SIGALRM, SIGPROF})
    CHECK(::sigismember(&before, signal) == ::sigismember(&after, signal));
}

namespace {

int open_signals() {
  sigset_t mask;
  int open = 0;
  ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  for (const int signal : {SIGINT, SIGTERM, SIGALRM, SIGPROF}) open += !::sigismember(&mask, signal);
  return open;
}

}  // namespace

TEST_CASE("code of the host has the mask of the host's thread, also on a thread that one of ours started") {
  sigset_t none, saved;
  ::sigemptyset(&none);
  ::sigaddset(&none, SIGALRM);
  REQUIRE(::pthread_sigmask(SIG_SETMASK, &none, &saved) == 0);
  int own = -1, inside = -1, nested = -1, after = -1;
  Result<std::thread> thread = start_own_thread([&] {
    own = open_signals();
    {
      const HostSignals host;
      inside = open_signals();
    }
    after = open_signals();
    Result<std::thread> second = start_own_thread([&nested] {
      const HostSignals host;
      nested = open_signals();
    });
    if (second.ok()) second.value().join();
  });
  REQUIRE(thread.ok());
  thread.value().join();
  CHECK(own == 0);
  CHECK(inside == 3);  // all but the one that the starter blocks
  CHECK(after == 0);
  CHECK(nested == 3);
  {
    const HostSignals host;  // a thread of the host keeps its own
    CHECK(open_signals() == 3);
  }
  CHECK(::pthread_sigmask(SIG_SETMASK, &saved, nullptr) == 0);
}
