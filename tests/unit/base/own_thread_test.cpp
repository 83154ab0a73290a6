#include "base/own_thread.h"

#include <doctest/doctest.h>

#include <csignal>

#include "base/cancel.h"

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

TEST_CASE("a cancel word is seen by other threads, and through its address") {
  CancelWord word;
  CHECK_FALSE(is_cancelled(nullptr));
  CHECK_FALSE(is_cancelled(&word));
  CHECK(*word.address() == 0);
  Result<std::thread> thread = start_own_thread([&word] { word.set(); });
  REQUIRE(thread.ok());
  thread.value().join();
  CHECK(is_cancelled(&word));
  CHECK(*word.address() == 1);
  word.clear();
  CHECK_FALSE(word.is_set());
}
