// Threads of the library: every signal stays with the host's threads, and failure to start one is a Status.
#pragma once

#include <system_error>
#include <thread>
#include <utility>

#include "base/fp_env.h"
#include "base/status.h"

#if !defined(_WIN32)
#include <csignal>
#endif

namespace deepseam {

// Runs `body` (noexcept in effect: nothing may leave it) on a new thread that blocks all signals and has the library's
// floating-point environment. The mask is set before the thread exists, so none can slip in.
template <typename Body>
Result<std::thread> start_own_thread(Body body) {
#if !defined(_WIN32)
  sigset_t all, saved;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &saved);
#endif
  std::thread thread;
  int os_code = 0;
  try {
    thread = std::thread([body = std::move(body)]() mutable {
      const FpEnv environment;
      body();
    });
  } catch (const std::system_error &error) {
    os_code = error.code().value();
  } catch (...) {
    os_code = -1;
  }
#if !defined(_WIN32)
  ::pthread_sigmask(SIG_SETMASK, &saved, nullptr);
#endif
  if (os_code) return fail(DS_E_MEMORY, "base", "the system gave no thread").os(os_code);
  return thread;
}

}  // namespace deepseam
