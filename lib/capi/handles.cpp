// The table behind handles.h.
//
// A slot's state word holds its generation (upper half), a live bit, a busy bit and the number of pins. A slot is free
// when only the generation is nonzero. It is busy while it is being filled, and from its release until its object has
// been handed to retire(); whoever brings a released slot's pins to zero does that. Free slots are taken round robin,
// so a stale handle meets a new owner of its slot only after the whole table has been used, and then the generation's
// low bits, which are part of the handle, differ for another 31 rounds.
#include "capi/handles.h"

#include <atomic>

#if defined(_WIN32)
#include <process.h>
#else
#include <unistd.h>
#endif

namespace deepseam::capi {
namespace {

constexpr uint64_t kLive = uint64_t{1} << 31, kBusy = uint64_t{1} << 30, kPins = kBusy - 1;
constexpr uint64_t kGeneration = uint64_t{1} << 32;

struct alignas(32) Slot {
  std::atomic<uint64_t> state;
  std::atomic<Object *> object;
  std::atomic<uint32_t> kind;
  std::atomic<uint32_t> process;
};

constexpr uintptr_t kTagMask = alignof(Slot) - 1;
static_assert(sizeof(Slot) == 32 && std::atomic<uint64_t>::is_always_lock_free);

constinit Slot slots[kMostHandles] = {};
constinit std::atomic<uint32_t> next_slot{0};
constinit std::atomic<uint64_t> live_handles{0};

uint32_t this_process() noexcept {
#if defined(_WIN32)
  return static_cast<uint32_t>(_getpid());
#else
  return static_cast<uint32_t>(::getpid());
#endif
}

uintptr_t tag_of(uint64_t state) noexcept { return static_cast<uintptr_t>(state >> 32) & kTagMask; }

Slot *slot_of(const void *handle) noexcept {
  const uintptr_t offset = reinterpret_cast<uintptr_t>(handle) - reinterpret_cast<uintptr_t>(&slots[0]);
  return offset < sizeof slots ? &slots[offset / sizeof(Slot)] : nullptr;
}

bool is_live(uint64_t state, const void *handle) noexcept {
  return (state & kLive) && tag_of(state) == (reinterpret_cast<uintptr_t>(handle) & kTagMask);
}

// Called by whoever saw a released slot without pins, which is one thread only.
void free_slot(Slot &slot) noexcept {
  Object *object = slot.object.exchange(nullptr, std::memory_order_acquire);
  const uint64_t state = slot.state.load(std::memory_order_relaxed);
  slot.state.store((state & ~(kGeneration - 1)) + kGeneration, std::memory_order_release);
  if (object) object->retire();
}

}  // namespace

const char *handle_kind_name(HandleKind kind) noexcept {
  switch (kind) {
    case HandleKind::kRuntime:
      return "runtime";
    case HandleKind::kModel:
      return "model";
    case HandleKind::kSession:
      return "session";
    case HandleKind::kJob:
      return "job";
    case HandleKind::kResult:
      return "result";
    case HandleKind::kInfo:
      return "info";
    case HandleKind::kCancel:
      return "cancel";
    case HandleKind::kCache:
      return "cache";
    case HandleKind::kAdapter:
      return "adapter";
  }
  return "?";
}

void *handle_publish(HandleKind kind, std::unique_ptr<Object> object) noexcept {
  for (uint32_t tried = 0; tried < kMostHandles; ++tried) {
    Slot &slot = slots[next_slot.fetch_add(1, std::memory_order_relaxed) % kMostHandles];
    uint64_t state = slot.state.load(std::memory_order_relaxed);
    if (state & (kLive | kBusy | kPins)) continue;
    if (!slot.state.compare_exchange_strong(state, state | kBusy, std::memory_order_acquire)) continue;
    slot.object.store(object.release(), std::memory_order_relaxed);
    slot.kind.store(static_cast<uint32_t>(kind), std::memory_order_relaxed);
    slot.process.store(this_process(), std::memory_order_relaxed);
    live_handles.fetch_add(1, std::memory_order_relaxed);
    slot.state.store(state | kLive, std::memory_order_release);
    return reinterpret_cast<void *>(reinterpret_cast<uintptr_t>(&slot) + tag_of(state));
  }
  object.release()->retire();
  return nullptr;
}

Object *handle_pin(const void *handle, HandleKind kind, ds_status *why) noexcept {
  *why = DS_E_HANDLE;
  Slot *slot = slot_of(handle);
  if (!slot) return nullptr;
  uint64_t state = slot->state.load(std::memory_order_relaxed);
  do {
    if (!is_live(state, handle) || (state & kPins) == kPins) return nullptr;
  } while (!slot->state.compare_exchange_weak(state, state + 1, std::memory_order_acquire, std::memory_order_relaxed));
  if (slot->kind.load(std::memory_order_relaxed) == static_cast<uint32_t>(kind)) {
    if (slot->process.load(std::memory_order_relaxed) == this_process()) {
      *why = DS_OK;
      return slot->object.load(std::memory_order_relaxed);
    }
    *why = DS_E_FORKED;
  }
  handle_unpin(handle);
  return nullptr;
}

void handle_unpin(const void *handle) noexcept {
  Slot *slot = slot_of(handle);
  const uint64_t state = slot->state.fetch_sub(1, std::memory_order_acq_rel) - 1;
  if (!(state & kLive) && !(state & kPins)) free_slot(*slot);
}

void handle_release(const void *handle, HandleKind kind) noexcept {
  ds_status why;
  if (!handle || !handle_pin(handle, kind, &why)) return;
  Slot *slot = slot_of(handle);
  uint64_t state = slot->state.load(std::memory_order_relaxed);
  do {
    if (!(state & kLive)) break;  // two releases at once: the other one was first
  } while (!slot->state.compare_exchange_weak(state, (state & ~kLive) | kBusy, std::memory_order_acq_rel));
  if (state & kLive) live_handles.fetch_sub(1, std::memory_order_relaxed);
  handle_unpin(handle);
}

uint64_t handle_count() noexcept { return live_handles.load(std::memory_order_relaxed); }

Status handle_failure(ds_status why, HandleKind kind, bool is_null) noexcept {
  const char *name = handle_kind_name(kind);
  if (why == DS_E_FORKED)
    return fail(why, "capi", "this %s belongs to the parent process; a forked child cannot use it", name);
  if (is_null) return fail(why, "capi", "the %s is NULL", name);
  return fail(why, "capi", "this is no live %s: it was released, or is something else", name);
}

}  // namespace deepseam::capi
