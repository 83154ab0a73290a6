// Threads of the library: every signal stays with the host's threads, and failure to start one is a Status. While one
// of them runs code of the host (HostSignals), it has the host's signal mask.
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

#if !defined(_WIN32)
// On a thread of ours: the mask of the host's thread that started it, directly or through another of ours. Else
// nullptr.
inline constinit thread_local const sigset_t *host_signals = nullptr;
#endif

// For as long as it lives, a thread of ours has the host's signal mask. Threads that the host's code starts in there
// inherit it, and a garbage collector can reach the thread by its signals. Does nothing on other threads.
class HostSignals {
 public:
#if defined(_WIN32)
  HostSignals() noexcept {}
#else
  HostSignals() noexcept {
    if (host_signals) ::pthread_sigmask(SIG_SETMASK, host_signals, &saved_);
  }
  ~HostSignals() {
    if (host_signals) ::pthread_sigmask(SIG_SETMASK, &saved_, nullptr);
  }
#endif
  HostSignals(const HostSignals &) = delete;
  HostSignals &operator=(const HostSignals &) = delete;

#if !defined(_WIN32)
 private:
  sigset_t saved_;
#endif
};

// Runs `body` (noexcept in effect: nothing may leave it) on a new thread that blocks all signals and has the library's
// floating-point environment. The mask is set before the thread exists, so none can slip in.
template <typename Body>
Result<std::thread> start_own_thread(Body body) {
#if !defined(_WIN32)
  sigset_t all, saved;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &saved);
  const sigset_t host = host_signals ? *host_signals : saved;
#endif
  std::thread thread;
  int os_code = 0;
  try {
#if defined(_WIN32)
    thread = std::thread([body = std::move(body)]() mutable {
#else
    thread = std::thread([body = std::move(body), host]() mutable {
      host_signals = &host;
#endif
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
