// The host's side as the library sees it: its user pointers, allocator, task runner, files, threads' CPUs.
//
// Every call out to the host runs inside a CallbackScope, and what the host answers is checked like any input. A
// HostUser remembers that a user_free is due; it is armed only when the call that brought it has succeeded.
#pragma once

#include <memory>
#include <vector>

#include "base/allocator.h"
#include "base/file.h"
#include "base/task_runner.h"
#include "deepseam/deepseam.h"

namespace deepseam::capi {

// The `user` of some callbacks. When the last share goes, user_free is called if arm() was; so a share is held until
// the outcome of the call is known.
class HostUser {
 public:
  HostUser(void *user, ds_free_fn user_free) noexcept : user_(user), free_(user_free) {}
  ~HostUser();
  HostUser(const HostUser &) = delete;
  HostUser &operator=(const HostUser &) = delete;
  void arm() noexcept { armed_ = true; }
  void *user() const noexcept { return user_; }

 private:
  void *const user_;
  const ds_free_fn free_;
  bool armed_ = false;
};

// Several HostUsers that are armed together.
class HostUsers {
 public:
  std::shared_ptr<HostUser> add(void *user, ds_free_fn user_free) {
    users_.push_back(std::make_shared<HostUser>(user, user_free));
    return users_.back();
  }
  void arm() noexcept {
    for (auto &user : users_) user->arm();
  }
  const std::vector<std::shared_ptr<HostUser>> &list() const { return users_; }

 private:
  std::vector<std::shared_ptr<HostUser>> users_;
};

// All fields of the records are checked; they are copied, and what is made from them holds a share of `user`.
Result<Allocator> host_allocator(const ds_allocator &record);
Result<std::shared_ptr<TaskRunner>> host_task_runner(const ds_task_runner &record, std::shared_ptr<HostUser> user);
// A folder over the host's read-at callbacks.
Result<std::shared_ptr<const Folder>> host_folder(const ds_source_io &record, std::shared_ptr<HostUser> user);
// One file in the host's memory.
Result<std::shared_ptr<Source>> host_memory(const ds_source_memory &record, std::shared_ptr<HostUser> user);

// While it lives, this thread and the threads it starts run on `cpus` only. Empty: does nothing.
class AffinityScope {
 public:
  explicit AffinityScope(const std::vector<uint32_t> &cpus) noexcept;
  ~AffinityScope();
  AffinityScope(const AffinityScope &) = delete;
  AffinityScope &operator=(const AffinityScope &) = delete;

  // DS_E_UNSUPPORTED where threads cannot be pinned, DS_E_ARGUMENT naming a CPU that this process may not use.
  static Status check(const std::vector<uint32_t> &cpus);

 private:
  struct Saved;
  std::unique_ptr<Saved> saved_;
};

}  // namespace deepseam::capi
