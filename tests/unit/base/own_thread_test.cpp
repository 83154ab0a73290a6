#include "base/own_thread.h"

#include <doctest/doctest.h>

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
