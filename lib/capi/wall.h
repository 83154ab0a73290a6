// The wall between C callers and C++: what every entry of the C API passes, and every callback on its way out.
//
// An entry sets our floating-point environment, forbids thread cancellation inside, refuses blocking calls made from
// one of our callbacks, and turns exceptions into statuses. A callback runs inside a CallbackScope, which is how a
// later entry on the same thread knows, and with the host's signal mask. Nothing else about a thread is remembered.
#pragma once

#include <new>
#include <utility>

#include "base/fp_env.h"
#include "base/own_thread.h"
#include "base/status.h"
#include "capi/structs.h"

#if !defined(_WIN32)
#include <pthread.h>
#endif

namespace deepseam::capi {

// Whether this thread is inside a callback of this library.
bool in_callback() noexcept;

class CallbackScope {
 public:
  CallbackScope() noexcept;
  ~CallbackScope() noexcept;
  CallbackScope(const CallbackScope &) = delete;
  CallbackScope &operator=(const CallbackScope &) = delete;

 private:
  const HostSignals signals_;
};

// pthread_cancel would unwind through noexcept frames and end the process; it waits until we are out.
class NoThreadCancel {
 public:
#if defined(_WIN32)
  NoThreadCancel() noexcept {}
#else
  NoThreadCancel() noexcept { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &saved_); }
  ~NoThreadCancel() { pthread_setcancelstate(saved_, nullptr); }

 private:
  int saved_ = 0;
#endif
};

Status reentrant_call() noexcept;
Status unexpected_exception(const char *what) noexcept;

// Runs `body` (→ Status) as a [callback-safe] entry.
template <typename Body>
ds_status entry(ds_error *error, Body &&body) noexcept {
  const FpEnv fp_env;
  const NoThreadCancel no_cancel;
  try {
    const Status status = std::forward<Body>(body)();
    return report(status, error);
  } catch (const std::bad_alloc &) {
    return report(Status(DS_E_MEMORY), error);
  } catch (const std::exception &exception) {
    return report(unexpected_exception(exception.what()), error);
  } catch (...) {
    return report(unexpected_exception("of no known type"), error);
  }
}

// As above, for calls that block or deliver callbacks: they are refused inside a callback.
template <typename Body>
ds_status blocking_entry(ds_error *error, Body &&body) noexcept {
  if (in_callback()) return report(reentrant_call(), error);
  return entry(error, std::forward<Body>(body));
}

}  // namespace deepseam::capi
