#include "capi/wall.h"

namespace deepseam::capi {
namespace {

// Trivially destructible on purpose: thread-local destructors would outlive an unloaded library.
constinit thread_local uint32_t callback_depth = 0;

}  // namespace

bool in_callback() noexcept { return callback_depth != 0; }

CallbackScope::CallbackScope() noexcept { ++callback_depth; }
CallbackScope::~CallbackScope() noexcept { --callback_depth; }

Status reentrant_call() noexcept {
  return fail(DS_E_REENTRANT, "capi", "this call may block and was made inside a callback of the library");
}

Status unexpected_exception(const char *what) noexcept {
  return fail(DS_E_INTERNAL, "capi", "an unexpected exception reached the C API: %s", what);
}

}  // namespace deepseam::capi
