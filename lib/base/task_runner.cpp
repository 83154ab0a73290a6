// The pool behind make_thread_pool.
//
// One batch of tasks at a time: run() publishes it under the mutex, wakes the threads, takes tasks itself, withdraws
// the batch and waits until every thread that joined has left. A thread that wakes late finds no batch and sleeps
// again, so run() never waits for a thread that has not begun. Tasks are handed out by one atomic counter.
#include "base/task_runner.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/fp_env.h"
#include "base/own_thread.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace deepseam {
namespace {

constexpr uint32_t kMostThreads = 1024;
constexpr std::chrono::microseconds kSpinTime{50};

void relax() noexcept {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// Whether `done` came true within kSpinTime. The clock costs more than a look, so it is read every 64 looks.
template <typename Condition>
bool spin_until(Condition done) {
  const auto end = std::chrono::steady_clock::now() + kSpinTime;
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (done()) return true;
      relax();
    }
    if (std::chrono::steady_clock::now() >= end) return false;
  }
}

uint32_t usable_cores() noexcept {
#if defined(__linux__)
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
    return static_cast<uint32_t>(CPU_COUNT(&set));
#endif
  const unsigned cores = std::thread::hardware_concurrency();
  return cores ? cores : 1;
}

struct Batch {
  void (*task)(void *user, uint32_t index);
  void *user;
  uint32_t count;
  std::atomic<uint32_t> next{0};
  std::atomic<bool> failed{false};
  std::exception_ptr failure;  // written by the one who set `failed` first, read after all have left
};

void work(Batch &batch) noexcept {
  for (;;) {
    // A 32-bit counter cannot wrap: beyond `count` it grows by at most one per thread.
    const uint32_t index = batch.next.fetch_add(1, std::memory_order_relaxed);
    if (index >= batch.count) return;
    try {
      batch.task(batch.user, index);
    } catch (...) {
      if (!batch.failed.exchange(true)) batch.failure = std::current_exception();
    }
  }
}

class ThreadPool final : public TaskRunner {
 public:
  explicit ThreadPool(bool spin) : spin_(spin) {}
  ~ThreadPool() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
      generation_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    for (std::thread &thread : threads_) thread.join();
  }

  Status start(uint32_t n_threads) {
    threads_.reserve(n_threads);
    while (threads_.size() < n_threads) {
      DS_TRY_VALUE(std::thread thread, start_own_thread([this] { serve(); }));
      threads_.push_back(std::move(thread));
    }
    return {};
  }

  uint32_t width() const override { return static_cast<uint32_t>(threads_.size()) + 1; }
  bool concurrent() const override { return true; }
  void run(uint32_t n, void (*task)(void *user, uint32_t index), void *user) override;

 private:
  void serve() noexcept;
  void wait_for_batch(uint64_t seen);

  std::mutex run_mutex_;  // held by the caller whose batch is on; others wait their turn
  std::mutex mutex_;      // guards batch_, joined_, stopping_
  std::condition_variable wake_, left_;
  Batch *batch_ = nullptr;
  bool stopping_ = false;
  const bool spin_;
  std::atomic<uint32_t> joined_{0};      // threads inside batch_; changed under mutex_, spun on without it
  std::atomic<uint64_t> generation_{0};  // changes with every batch; changed under mutex_, spun on without it
  std::vector<std::thread> threads_;
};

void ThreadPool::run(uint32_t n, void (*task)(void *user, uint32_t index), void *user) {
  const FpEnv environment;
  Batch batch{task, user, n, {}, {}, {}};
  if (n <= 1 || threads_.empty()) {
    work(batch);
  } else {
    const std::lock_guard turn(run_mutex_);
    {
      const std::lock_guard lock(mutex_);
      batch_ = &batch;
      generation_.fetch_add(1, std::memory_order_release);
    }
    if (n > threads_.size()) {
      wake_.notify_all();
    } else {
      for (uint32_t i = 1; i < n; ++i) wake_.notify_one();
    }
    work(batch);
    std::unique_lock lock(mutex_);
    batch_ = nullptr;
    const auto all_left = [this] { return joined_.load(std::memory_order_acquire) == 0; };
    if (spin_ && !all_left()) {
      lock.unlock();
      spin_until(all_left);
      lock.lock();
    }
    left_.wait(lock, all_left);
  }
  if (batch.failure) std::rethrow_exception(batch.failure);
}

void ThreadPool::wait_for_batch(uint64_t seen) {
  const auto news = [&] { return generation_.load(std::memory_order_acquire) != seen; };
  if (spin_ && spin_until(news)) return;
  std::unique_lock lock(mutex_);
  wake_.wait(lock, news);
}

void ThreadPool::serve() noexcept {
  uint64_t seen = 0;
  for (;;) {
    wait_for_batch(seen);
    Batch *batch;
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      seen = generation_.load(std::memory_order_relaxed);
      batch = batch_;
      if (!batch) continue;
      joined_.fetch_add(1, std::memory_order_relaxed);
    }
    work(*batch);
    const std::lock_guard lock(mutex_);
    if (joined_.fetch_sub(1, std::memory_order_release) == 1) left_.notify_one();
  }
}

}  // namespace

Result<std::unique_ptr<TaskRunner>> make_thread_pool(uint32_t n_threads, bool spin) {
  if (n_threads > kMostThreads)
    return fail(DS_E_ARGUMENT, "threads", "%u threads wanted, expected at most %u", n_threads, kMostThreads);
  if (n_threads == 0) n_threads = std::min(usable_cores(), kMostThreads);
  auto pool = std::make_unique<ThreadPool>(spin);
  DS_TRY(pool->start(n_threads - 1));
  return std::unique_ptr<TaskRunner>(std::move(pool));
}

}  // namespace deepseam
