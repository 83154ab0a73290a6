// What a handle of the C API is: the address of a slot in a fixed table plus the slot's generation, never a real
// object.
//
// So any value a host passes (stale, foreign, of another kind, from another copy of the library) can be told from a
// live handle without touching memory that may be gone. Looking up pins the object; releasing makes the handle dead at
// once and the object goes when the last pin does. Nothing here locks, waits or allocates: it all works in signal
// handlers, under loader locks and after a fork. The table is zero-initialised data; it needs no constructor and leaks
// nothing.
//
// How an object is destroyed is its own business (Object::retire): those that own threads, device memory or memory of
// the host's allocator leave that to a thread of ours, so that a release never blocks and never calls back.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "base/status.h"

namespace deepseam::capi {

enum class HandleKind : uint32_t { kRuntime = 1, kModel, kSession, kJob, kResult, kInfo, kCancel, kCache, kAdapter };

const char *handle_kind_name(HandleKind kind) noexcept;  // "runtime", …

// The base of what handles name. retire() is called exactly once, when neither the handle nor a pin is left.
class Object {
 public:
  Object() = default;
  Object(const Object &) = delete;
  Object &operator=(const Object &) = delete;
  virtual ~Object() = default;
  virtual void retire() noexcept { delete this; }
};

inline constexpr uint32_t kMostHandles = 32768;

// Takes the object over and returns its new handle; NULL when the table is full (the object is then destroyed).
void *handle_publish(HandleKind kind, std::unique_ptr<Object> object) noexcept;

// The object behind a handle, pinned, or NULL with *why set to DS_E_HANDLE or DS_E_FORKED.
Object *handle_pin(const void *handle, HandleKind kind, ds_status *why) noexcept;
void handle_unpin(const void *handle) noexcept;

// Makes the handle dead. Nothing happens for NULL, a handle that is not live, or one of a forked child's parent.
void handle_release(const void *handle, HandleKind kind) noexcept;

uint64_t handle_count() noexcept;  // live handles of this process

// A pinned object for the length of a call. Type::kKind names the kind of its handles.
template <typename Type>
class Pinned {
 public:
  explicit Pinned(const void *handle) noexcept
      : object_(static_cast<Type *>(handle_pin(handle, Type::kKind, &why_))), handle_(handle) {}
  ~Pinned() {
    if (object_) handle_unpin(handle_);
  }
  Pinned(const Pinned &) = delete;
  Pinned &operator=(const Pinned &) = delete;

  Status status() const noexcept;
  Type *operator->() const noexcept { return object_; }
  Type &operator*() const noexcept { return *object_; }

 private:
  ds_status why_ = DS_OK;
  Type *object_;
  const void *handle_;
};

Status handle_failure(ds_status why, HandleKind kind, bool is_null) noexcept;

template <typename Type>
Status Pinned<Type>::status() const noexcept {
  return object_ ? Status() : handle_failure(why_, Type::kKind, handle_ == nullptr);
}

}  // namespace deepseam::capi
