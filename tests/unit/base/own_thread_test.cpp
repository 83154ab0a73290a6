#include "base/own_thread.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/cancel.h"

using namespace deepseam;

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

// Not of this library, but what its tests rest on: tests/unit/main.cpp says which compiler needs help with it.
TEST_CASE("threads that wrote a message of doctest end like any others") {
  std::atomic<int> ended{0};
  for (int round = 0; round < 50; ++round) {
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&ended, i] {
        INFO("thread ", i);
        ++ended;
      });
    for (std::thread &thread : threads) thread.join();
  }
  CHECK(ended == 200);
}
