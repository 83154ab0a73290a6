// How work is spread over threads: by the host's own task runner or by a pool of ours that parks when idle.
//
// run(n, f) calls f(0) … f(n-1), in any order, on any threads, and returns when all are done. Tasks must not wait for
// each other unless concurrent() is true (then up to width() of them may): a host may run them one after another on one
// thread. A task must not call run() of its own runner. Several threads may call run() at once; a pool takes them in
// turn.
#pragma once

#include <cstdint>
#include <memory>

#include "base/status.h"

namespace deepseam {

class TaskRunner {
 public:
  virtual ~TaskRunner() = default;
  virtual uint32_t width() const = 0;   // tasks that can make progress at once, at least 1
  virtual bool concurrent() const = 0;  // whether `width` tasks really run at the same time
  // If tasks throw, the rest still run and the first exception is thrown on the caller's thread.
  virtual void run(uint32_t n, void (*task)(void *user, uint32_t index), void *user) = 0;
};

// A pool of n_threads - 1 threads; the caller of run() is the last one. Threads block all signals, carry the library's
// floating-point environment, and sleep when idle; `spin` lets them poll for about 50 µs first. 0: one per usable core.
Result<std::unique_ptr<TaskRunner>> make_thread_pool(uint32_t n_threads, bool spin);

}  // namespace deepseam
