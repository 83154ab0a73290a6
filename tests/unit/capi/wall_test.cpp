// The wall: exceptions become statuses, the caller's floating-point environment comes back, callbacks cannot block.
#include "capi/wall.h"

#include <doctest/doctest.h>

#include <stdexcept>
#include <string>

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

using namespace deepseam;
using namespace deepseam::capi;

namespace {
ds_error fresh() {
  ds_error error{};
  error.struct_size = sizeof error;
  return error;
}
}  // namespace

TEST_CASE("exceptions become statuses") {
  ds_error error = fresh();
  CHECK(entry(&error, []() -> Status { throw std::bad_alloc(); }) == DS_E_MEMORY);
  CHECK(error.code == DS_E_MEMORY);
  CHECK(entry(&error, []() -> Status { throw std::runtime_error("what happened"); }) == DS_E_INTERNAL);
  CHECK(std::string(error.message).find("what happened") != std::string::npos);
  CHECK(entry(&error, []() -> Status { throw 7; }) == DS_E_INTERNAL);
}

TEST_CASE("statuses pass with or without a record") {
  CHECK(entry(nullptr, [] { return fail(DS_E_IO, "test", "x"); }) == DS_E_IO);
  CHECK(entry(nullptr, [] { return Status(); }) == DS_OK);
}

TEST_CASE("blocking calls inside a callback are refused, others are not") {
  ds_error error = fresh();
  const CallbackScope scope;
  bool ran = false;
  const auto body = [&] { return ran = true, Status(); };
  CHECK(blocking_entry(&error, body) == DS_E_REENTRANT);
  CHECK_FALSE(ran);
  CHECK(entry(&error, body) == DS_OK);
  CHECK(ran);
}

TEST_CASE("callback scopes nest") {
  CHECK_FALSE(in_callback());
  {
    const CallbackScope outer;
    { const CallbackScope inner; }
    CHECK(in_callback());
  }
  CHECK_FALSE(in_callback());
}

#if defined(__x86_64__)
TEST_CASE("the caller's floating-point control word is set aside and restored") {
  const unsigned before = _mm_getcsr();
  const unsigned hostile = 0x8040 | (0x1f80 & ~0x1c80u);  // flush to zero, traps for division, overflow, invalid
  _mm_setcsr(hostile);
  unsigned inside = 0;
  const ds_status status = entry(nullptr, [&] {
    inside = _mm_getcsr();
    return Status();
  });
  const unsigned after = _mm_getcsr();
  _mm_setcsr(before);
  CHECK(status == DS_OK);
  CHECK((inside & 0xffc0) == 0x1f80);
  CHECK(after == hostile);
}
#endif
