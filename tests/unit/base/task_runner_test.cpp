#include "base/task_runner.h"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <new>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

using namespace deepseam;

namespace {

std::unique_ptr<TaskRunner> make_pool(uint32_t n_threads, bool spin = false) {
  Result<std::unique_ptr<TaskRunner>> pool = make_thread_pool(n_threads, spin);
  REQUIRE(pool.ok());
  return std::move(pool).value();
}

template <typename Body>
void run(TaskRunner &runner, uint32_t n, Body body) {
  runner.run(
      n, [](void *user, uint32_t index) { (*static_cast<Body *>(user))(index); }, &body);
}

}  // namespace

TEST_CASE("every task runs exactly once, for any number of tasks and threads") {
  for (const uint32_t threads : {1u, 2u, 3u, 8u})
    for (const bool spin : {false, true}) {
      const std::unique_ptr<TaskRunner> pool = make_pool(threads, spin);
      CHECK(pool->width() == threads);
      for (const uint32_t n : {0u, 1u, 2u, 3u, 7u, 1000u}) {
        std::vector<std::atomic<int>> count(n);
        run(*pool, n, [&](uint32_t index) { count[index].fetch_add(1); });
        int wrong = 0;
        for (const std::atomic<int> &one : count) wrong += one != 1;
        CHECK(wrong == 0);
      }
    }
}

TEST_CASE("thousands of short batches in a row lose nothing") {
  const std::unique_ptr<TaskRunner> pool = make_pool(4);
  uint64_t expected = 0;
  std::atomic<uint64_t> sum{0};
  for (uint32_t round = 0; round < 3000; ++round) {
    const uint32_t n = round % 9;
    for (uint32_t i = 0; i < n; ++i) expected += i + 1;
    run(*pool, n, [&](uint32_t index) { sum += index + 1; });
  }
  CHECK(sum == expected);
}

TEST_CASE("width() tasks run at the same time: a barrier among them is passed") {
  const std::unique_ptr<TaskRunner> pool = make_pool(4);
  REQUIRE(pool->concurrent());
  for (int round = 0; round < 200; ++round) {
    std::atomic<uint32_t> arrived{0};
    run(*pool, 4, [&](uint32_t) {
      arrived.fetch_add(1);
      while (arrived.load() < 4) std::this_thread::yield();
    });
    CHECK(arrived == 4);
  }
}

TEST_CASE("several callers take turns") {
  const std::unique_ptr<TaskRunner> pool = make_pool(3);
  std::atomic<uint64_t> sum{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller)
    callers.emplace_back([&] {
      for (int round = 0; round < 200; ++round) run(*pool, 10, [&](uint32_t index) { sum += index; });
    });
  for (std::thread &caller : callers) caller.join();
  CHECK(sum == uint64_t{4} * 200 * 45);
}

TEST_CASE("an exception in a task reaches the caller after all other tasks ran; the pool works on") {
  for (const uint32_t threads : {1u, 3u}) {
    const std::unique_ptr<TaskRunner> pool = make_pool(threads);
    std::atomic<int> ran{0};
    CHECK_THROWS_AS(run(*pool, 20,
                        [&](uint32_t index) {
                          ran.fetch_add(1);
                          if (index % 5 == 0) throw std::bad_alloc();
                        }),
                    std::bad_alloc);
    CHECK(ran == 20);
    run(*pool, 5, [&](uint32_t) { ran.fetch_add(1); });
    CHECK(ran == 25);
  }
}

#if defined(__x86_64__)
TEST_CASE("tasks see round-to-nearest with denormals kept, and the caller gets its own environment back") {
  const std::unique_ptr<TaskRunner> pool = make_pool(3);
  const unsigned saved = _mm_getcsr();
  const unsigned hostile = 0x1f80u | 0x8000u | 0x40u | 0x6000u;  // flush to zero, denormals are zero, toward zero
  _mm_setcsr(hostile);
  std::atomic<int> wrong{0};
  run(*pool, 30, [&](uint32_t) { wrong += (_mm_getcsr() & ~0x3fu) != 0x1f80u; });
  const unsigned after = _mm_getcsr();
  _mm_setcsr(saved);
  CHECK(wrong == 0);
  CHECK(after == hostile);
}
#endif

TEST_CASE("an absurd number of threads is refused") {
  CHECK(make_thread_pool(1u << 20, false).status().code() == DS_E_ARGUMENT);
}

TEST_CASE("an idle pool goes away at once") {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) make_pool(4, i % 2 == 1);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(10));
}
