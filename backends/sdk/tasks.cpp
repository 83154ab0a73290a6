#include <atomic>
#include <new>

#include "base/fp_env.h"
#include "sdk/kernel.h"

namespace deepseam::sdk {
namespace {

struct Job {
  Tasks *tasks;
  void (*body)(const void *, uint32_t);
  const void *arg;
  std::atomic<ds_status> failure{DS_OK};
};

void DS_CALL run_one(void *user, uint32_t index) {
  Job &job = *static_cast<Job *>(user);
  if (job.tasks->cancelled() || job.failure.load(std::memory_order_relaxed) != DS_OK) return;
  FpEnv environment;
  try {
    job.body(job.arg, index);
  } catch (const std::bad_alloc &) {
    job.failure.store(DS_E_MEMORY, std::memory_order_relaxed);
  } catch (...) {
    job.failure.store(DS_E_INTERNAL, std::memory_order_relaxed);
  }
}

}  // namespace

bool Tasks::cancelled() const {
  return (cancel_word_ && __atomic_load_n(cancel_word_, __ATOMIC_ACQUIRE) != 0) ||
         (stop_word_ && __atomic_load_n(stop_word_, __ATOMIC_ACQUIRE) != 0);
}

void Tasks::run(uint32_t n, void (*body)(const void *, uint32_t), const void *arg) {
  Job job{this, body, arg, {}};
  if (n == 1)
    run_one(&job, 0);
  else if (n > 1)
    host_->parallel(host_->user, n, run_one, &job);
  if (failure_ == DS_OK) failure_ = job.failure.load(std::memory_order_relaxed);
}

const StoredTensor *RunContext::stored(size_t i) const {
  if (!plan.has_input(i)) return nullptr;
  size_t index = 0;
  for (size_t j = 0; j < i; ++j) index += plan.has_input(j) && plan.input(j).kind == graph::TensorKind::kWeight;
  return &weights[index]->stored;
}

}  // namespace deepseam::sdk
