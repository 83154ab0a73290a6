// Handles: what is live, what is not, and who destroys what when.
#include "capi/handles.h"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#if !defined(_WIN32)
#include <sys/wait.h>
#include <unistd.h>
#endif

using namespace deepseam;
using namespace deepseam::capi;

namespace {

struct Counted final : Object {
  static constexpr HandleKind kKind = HandleKind::kCancel;
  explicit Counted(std::atomic<int> *count) : alive(count) { ++*alive; }
  ~Counted() override { --*alive; }
  std::atomic<int> *alive;
};

void *make(std::atomic<int> *count) { return handle_publish(HandleKind::kCancel, std::make_unique<Counted>(count)); }

ds_status status_of(const void *handle, HandleKind kind) {
  ds_status why = DS_OK;
  if (handle_pin(handle, kind, &why)) handle_unpin(handle);
  return why;
}

}  // namespace

TEST_CASE("a live handle is pinned, a released one is not") {
  std::atomic<int> alive{0};
  void *handle = make(&alive);
  REQUIRE(handle);
  CHECK(status_of(handle, HandleKind::kCancel) == DS_OK);
  handle_release(handle, HandleKind::kCancel);
  CHECK(status_of(handle, HandleKind::kCancel) == DS_E_HANDLE);
  CHECK(alive == 0);
}

TEST_CASE("a handle of another kind is refused and cannot be released as that kind") {
  std::atomic<int> alive{0};
  void *handle = make(&alive);
  CHECK(status_of(handle, HandleKind::kModel) == DS_E_HANDLE);
  handle_release(handle, HandleKind::kModel);
  CHECK(alive == 1);
  handle_release(handle, HandleKind::kCancel);
  CHECK(alive == 0);
}

TEST_CASE("values that never were handles are refused") {
  int here = 0;
  CHECK(status_of(nullptr, HandleKind::kCancel) == DS_E_HANDLE);
  CHECK(status_of(&here, HandleKind::kCancel) == DS_E_HANDLE);
  CHECK(status_of(reinterpret_cast<void *>(uintptr_t{1}), HandleKind::kCancel) == DS_E_HANDLE);
  CHECK(status_of(reinterpret_cast<void *>(UINTPTR_MAX), HandleKind::kCancel) == DS_E_HANDLE);
  handle_release(&here, HandleKind::kCancel);
}

TEST_CASE("neighbouring addresses of a live handle are refused") {
  std::atomic<int> alive{0};
  char *handle = static_cast<char *>(make(&alive));
  for (int offset = -64; offset <= 64; ++offset)
    if (offset) CHECK(status_of(handle + offset, HandleKind::kCancel) == DS_E_HANDLE);
  handle_release(handle, HandleKind::kCancel);
}

TEST_CASE("a released handle stays dead when its slot is used again") {
  std::atomic<int> alive{0};
  void *stale = make(&alive);
  handle_release(stale, HandleKind::kCancel);
  for (uint32_t i = 0; i < 2 * kMostHandles; ++i) {
    void *handle = make(&alive);
    REQUIRE(handle);
    REQUIRE(status_of(stale, HandleKind::kCancel) == DS_E_HANDLE);
    handle_release(handle, HandleKind::kCancel);
  }
  CHECK(alive == 0);
}

TEST_CASE("a pin keeps the object until it goes") {
  std::atomic<int> alive{0};
  void *handle = make(&alive);
  {
    const Pinned<Counted> pinned(handle);
    REQUIRE(pinned.status().ok());
    handle_release(handle, HandleKind::kCancel);
    CHECK(alive == 1);
    CHECK(status_of(handle, HandleKind::kCancel) == DS_E_HANDLE);
  }
  CHECK(alive == 0);
}

TEST_CASE("a full table refuses the next handle and destroys its object") {
  std::atomic<int> alive{0};
  std::vector<void *> handles;
  for (void *handle = make(&alive); handle; handle = make(&alive)) handles.push_back(handle);
  CHECK(handles.size() + 0 == kMostHandles - (handle_count() - handles.size()));
  CHECK(alive == static_cast<int>(handles.size()));
  for (void *handle : handles) handle_release(handle, HandleKind::kCancel);
  CHECK(alive == 0);
  CHECK(handle_count() == 0);
}

TEST_CASE("one of many threads releasing at once destroys the object") {
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> alive{0};
    void *handle = make(&alive);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
      threads.emplace_back([&] {
        for (int k = 0; k < 20; ++k) static_cast<void>(status_of(handle, HandleKind::kCancel));
        handle_release(handle, HandleKind::kCancel);
      });
    for (auto &thread : threads) thread.join();
    REQUIRE(alive == 0);
  }
  CHECK(handle_count() == 0);
}

#if !defined(_WIN32)
TEST_CASE("a forked child is told so, and its releases do nothing") {
  std::atomic<int> alive{0};
  void *handle = make(&alive);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool forked = status_of(handle, HandleKind::kCancel) == DS_E_FORKED;
    handle_release(handle, HandleKind::kCancel);
    ::_exit(forked && alive == 1 ? 0 : 1);
  }
  int state = -1;
  REQUIRE(::waitpid(child, &state, 0) == child);
  CHECK(state == 0);
  CHECK(status_of(handle, HandleKind::kCancel) == DS_OK);
  handle_release(handle, HandleKind::kCancel);
}
#endif
