#include "capi/host.h"

#include <cerrno>
#include <mutex>
#include <new>

#include "base/fp_env.h"
#include "capi/wall.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace deepseam::capi {
namespace {

class HostTaskRunner final : public TaskRunner {
 public:
  HostTaskRunner(const ds_task_runner &record, std::shared_ptr<HostUser> user)
      : record_(record), user_(std::move(user)) {}
  uint32_t width() const override { return record_.width; }
  bool concurrent() const override { return record_.flags & DS_TASKS_CONCURRENT; }
  void run(uint32_t n, void (*task)(void *user, uint32_t index), void *user) override {
    Call call{task, user};
    const CallbackScope scope;
    record_.run(record_.user, n, &HostTaskRunner::call, &call);
  }

 private:
  struct Call {
    void (*task)(void *user, uint32_t index);
    void *user;
  };
  // Runs on the host's threads: our floating-point environment, and no call back into the library.
  static void DS_CALL call(void *data, uint32_t index) {
    const FpEnv fp_env;
    const auto *call = static_cast<const Call *>(data);
    call->task(call->user, index);
  }
  const ds_task_runner record_;
  const std::shared_ptr<HostUser> user_;
};

// The callbacks of one ds_source_io, called one at a time unless the host allows more.
class HostFiles {
 public:
  HostFiles(const ds_source_io &record, std::shared_ptr<HostUser> user) : record_(record), user_(std::move(user)) {}

  template <typename Call>
  ds_status call(Call &&callback) {
    std::unique_lock lock(mutex_, std::defer_lock);
    if (!(record_.flags & DS_IO_CONCURRENT)) lock.lock();
    const CallbackScope scope;
    return callback(record_);
  }

 private:
  const ds_source_io record_;
  const std::shared_ptr<HostUser> user_;
  std::mutex mutex_;
};

Status host_failure(ds_status code, const char *what, const std::string &name) {
  return fail(code, "host io", "the host's %s of \"%.200s\" answered %s", what, name.c_str(), status_name(code))
      .at(name);
}

class HostSource final : public Source {
 public:
  static Result<std::shared_ptr<Source>> open(const std::shared_ptr<HostFiles> &files, const std::string &name) {
    auto source = std::make_shared<HostSource>(files);
    source->name_ = name;
    void *file = nullptr;
    ds_status code = files->call([&](const ds_source_io &io) { return io.open(io.user, name.c_str(), &file); });
    if (code != DS_OK) return host_failure(code, "open", name);
    source->file_ = file;
    source->is_open_ = true;
    uint64_t size = 0;
    code = files->call([&](const ds_source_io &io) { return io.size(io.user, file, &size); });
    if (code != DS_OK) return host_failure(code, "size", name);
    if (size > uint64_t{1} << 50)
      return fail(DS_E_FORMAT, "host io", "the host says that \"%.200s\" has %llu bytes, expected at most 2^50",
                  name.c_str(), static_cast<unsigned long long>(size));
    source->size_ = size;
    return std::shared_ptr<Source>(std::move(source));
  }

  explicit HostSource(std::shared_ptr<HostFiles> files) : files_(std::move(files)) {}
  ~HostSource() override {
    if (is_open_) files_->call([&](const ds_source_io &io) { return io.close(io.user, file_), DS_OK; });
  }

  Status read_at(uint64_t offset, std::span<uint8_t> into) const override {
    if (offset > size_ || into.size() > size_ - offset)
      return fail(DS_E_IO, "host io", "a read of %zu bytes at %llu goes beyond the %llu bytes of \"%.200s\"",
                  into.size(), static_cast<unsigned long long>(offset), static_cast<unsigned long long>(size_),
                  name_.c_str())
          .at(name_, offset);
    if (into.empty()) return Status();
    const ds_status code = files_->call(
        [&](const ds_source_io &io) { return io.read_at(io.user, file_, offset, into.data(), into.size()); });
    return code == DS_OK ? Status() : host_failure(code, "read_at", name_).at(name_, offset);
  }

 private:
  const std::shared_ptr<HostFiles> files_;
  void *file_ = nullptr;
  bool is_open_ = false;
};

class HostFolder final : public Folder {
 public:
  explicit HostFolder(std::shared_ptr<HostFiles> files) : files_(std::move(files)) {}
  Result<std::shared_ptr<Source>> open(const std::string &name) const override {
    return HostSource::open(files_, name);
  }
  Result<std::vector<std::string>> list() const override { return std::vector<std::string>(); }
  const std::string &path() const override { return path_; }

 private:
  const std::shared_ptr<HostFiles> files_;
  const std::string path_ = "(host)";
};

}  // namespace

HostUser::~HostUser() {
  if (!armed_ || !free_) return;
  const CallbackScope scope;
  free_(user_);
}

Result<Allocator> host_allocator(const ds_allocator &record) {
  DS_TRY(check_flags(record.flags, 0, "ds_allocator.flags"));
  if (!record.allocate || !record.release)
    return fail(DS_E_ARGUMENT, "capi", "ds_allocator.%s is NULL", record.allocate ? "release" : "allocate");
  return Allocator{record.allocate, record.release, record.user};
}

Result<std::shared_ptr<TaskRunner>> host_task_runner(const ds_task_runner &record, std::shared_ptr<HostUser> user) {
  DS_TRY(check_flags(record.flags, DS_TASKS_CONCURRENT, "ds_task_runner.flags"));
  DS_TRY(check_reserved(record.reserved, "ds_task_runner.reserved"));
  if (!record.run) return fail(DS_E_ARGUMENT, "capi", "ds_task_runner.run is NULL");
  if (!record.width || record.width > 4096)
    return fail(DS_E_ARGUMENT, "capi", "ds_task_runner.width is %u, expected 1 to 4096", record.width);
  return std::shared_ptr<TaskRunner>(std::make_shared<HostTaskRunner>(record, std::move(user)));
}

Result<std::shared_ptr<const Folder>> host_folder(const ds_source_io &record, std::shared_ptr<HostUser> user) {
  DS_TRY(check_flags(record.flags, DS_IO_CONCURRENT, "ds_source_io.flags"));
  DS_TRY(check_reserved(record.reserved, "ds_source_io.reserved"));
  if (!record.open || !record.size || !record.read_at || !record.close)
    return fail(DS_E_ARGUMENT, "capi", "ds_source_io.open, size, read_at or close is NULL");
  auto files = std::make_shared<HostFiles>(record, std::move(user));
  return std::shared_ptr<const Folder>(std::make_shared<HostFolder>(std::move(files)));
}

Result<std::shared_ptr<Source>> host_memory(const ds_source_memory &record, std::shared_ptr<HostUser> user) {
  if (!record.data || !record.size)
    return fail(DS_E_ARGUMENT, "capi", "ds_source_memory has no bytes: data is %s and size is %llu",
                record.data ? "set" : "NULL", static_cast<unsigned long long>(record.size));
  const auto *bytes = static_cast<const uint8_t *>(record.data);
  DS_TRY_VALUE(auto source, open_memory("(memory)", {bytes, record.size}));
  Source *view = source.get();
  return std::shared_ptr<Source>(view, [source = std::move(source), user = std::move(user)](Source *) {});
}

#if defined(__linux__)
struct AffinityScope::Saved {
  cpu_set_t set;
};

AffinityScope::AffinityScope(const std::vector<uint32_t> &cpus) noexcept {
  if (cpus.empty()) return;
  std::unique_ptr<Saved> before(new (std::nothrow) Saved);
  if (!before || ::pthread_getaffinity_np(::pthread_self(), sizeof before->set, &before->set)) return;
  saved_ = std::move(before);
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  for (uint32_t cpu : cpus) CPU_SET(cpu, &wanted);
  ::pthread_setaffinity_np(::pthread_self(), sizeof wanted, &wanted);
}

AffinityScope::~AffinityScope() {
  if (saved_) ::pthread_setaffinity_np(::pthread_self(), sizeof saved_->set, &saved_->set);
}

Status AffinityScope::check(const std::vector<uint32_t> &cpus) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed))
    return fail(DS_E_UNSUPPORTED, "capi", "the system does not tell which CPUs may be used").os(errno);
  for (uint32_t cpu : cpus)
    if (cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &allowed))
      return fail(DS_E_ARGUMENT, "capi", "ds_runtime_options.cpus has CPU %u, which this process may not use", cpu);
  return Status();
}
#else
struct AffinityScope::Saved {};
AffinityScope::AffinityScope(const std::vector<uint32_t> &) noexcept {}
AffinityScope::~AffinityScope() = default;
Status AffinityScope::check(const std::vector<uint32_t> &cpus) {
  if (cpus.empty()) return Status();
  return fail(DS_E_UNSUPPORTED, "capi", "threads cannot be pinned on this system");
}
#endif

}  // namespace deepseam::capi
