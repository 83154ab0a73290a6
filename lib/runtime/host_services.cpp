#include "runtime/host_services.h"

#include <atomic>
#include <chrono>
#include <cstring>

#include "base/fp_env.h"
#include "runtime/plugin_file.h"

namespace deepseam::runtime {
namespace {

constexpr uint64_t kMostAlignment = 4096;
constexpr size_t kMostMessage = 1000;

const HostServices &host_of(void *user) { return *static_cast<const HostServices *>(user); }

void DS_CALL write_log(void *user, uint32_t level, const char *message) noexcept {
  if (!user || !message) return;
  const HostServices &host = host_of(user);
  const uint32_t known = level >= DSB_LOG_ERROR && level <= DSB_LOG_DEBUG ? level : DSB_LOG_INFO;
  log_message(host.options().log, static_cast<LogLevel>(known), host.backend().c_str(), "%.*s",
              static_cast<int>(strnlen(message, kMostMessage)), message);
}

bool is_alignment(uint64_t alignment) {
  return alignment != 0 && alignment <= kMostAlignment && (alignment & (alignment - 1)) == 0;
}

uint32_t known_tag(uint32_t tag) { return tag <= DSB_TAG_SCRATCH ? tag : DSB_TAG_OTHER; }

void *DS_CALL allocate(void *user, uint64_t size, uint64_t alignment, uint32_t tag) noexcept {
  if (!user || !is_alignment(alignment) || size > SIZE_MAX / 2) return nullptr;
  const Allocator &allocator = host_of(user).options().allocator;
  const uint64_t asked = size ? size : 1;
  void *memory = allocator.allocate(allocator.user, asked, alignment, known_tag(tag));
  if (memory && reinterpret_cast<uintptr_t>(memory) % alignment != 0) {
    allocator.release(allocator.user, memory, asked, known_tag(tag));
    return nullptr;
  }
  return memory;
}

void DS_CALL release(void *user, void *memory, uint64_t size, uint32_t tag) noexcept {
  if (!user || !memory) return;
  const Allocator &allocator = host_of(user).options().allocator;
  allocator.release(allocator.user, memory, size ? size : 1, known_tag(tag));
}

// Tasks take their index from a counter, not from the runner: each runs once even if a runner calls too often, and the
// caller makes up for calls that never came.
struct Batch {
  std::atomic<uint32_t> next{0};
  uint32_t n = 0;
  dsb_task task = nullptr;
  void *arg = nullptr;

  bool run_one() noexcept {
    uint32_t index = next.load(std::memory_order_relaxed);
    do {
      if (index >= n) return false;
    } while (!next.compare_exchange_weak(index, index + 1, std::memory_order_relaxed));
    const FpEnv environment;
    task(arg, index);
    return true;
  }
};

void DS_CALL parallel(void *user, uint32_t n, dsb_task task, void *arg) noexcept {
  if (!user || !task) return;
  const HostServices &host = host_of(user);
  Batch batch;
  batch.n = n;
  batch.task = task;
  batch.arg = arg;
  if (n > 1 && host.options().tasks) {
    try {
      host.options().tasks->run(
          n, [](void *pointer, uint32_t) { static_cast<Batch *>(pointer)->run_one(); }, &batch);
    } catch (...) {
      log_message(host.options().log, LogLevel::kWarning, host.backend().c_str(),
                  "the task runner failed; the rest of %u tasks runs on the calling thread", n);
    }
  }
  while (batch.run_one()) {
  }
}

uint64_t DS_CALL clock_ns(void *) noexcept {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

void *DS_CALL library_open(void *user, const char *name) noexcept {
  if (!user || !name || strnlen(name, 256) > 255) return nullptr;
  try {
    if (!is_bare_file_name(name)) return nullptr;
    for (const std::string &path : host_of(user).options().library_folders) {
      const Judged<TrustedFolder> folder = TrustedFolder::open(path);
      if (!folder.value) continue;
      const Judged<TrustedFile> file = folder.value->file(name, true);
      if (!file.value) continue;
      // By path, since vendor libraries find their own parts beside themselves.
      if (void *library = open_library_at(file.value->path())) return library;
    }
  } catch (...) {
    return nullptr;
  }
  return open_system_library(name);
}

void *DS_CALL find_symbol(void *, void *library, const char *symbol) noexcept {
  return library && symbol ? library_symbol(library, symbol) : nullptr;
}

void DS_CALL library_close(void *, void *library) noexcept {
  if (library) close_library(library);
}

}  // namespace

HostServices::HostServices(std::shared_ptr<const HostOptions> options, std::string backend)
    : options_(std::move(options)), backend_(std::move(backend)) {
  const TaskRunner *tasks = options_->tasks.get();
  table_.struct_size = sizeof table_;
  table_.abi_version = DSB_ABI_VERSION;
  table_.flags = tasks && tasks->concurrent() ? DSB_HOST_CONCURRENT : 0;
  table_.width = tasks && tasks->width() > 1 ? tasks->width() : 1;
  table_.user = this;
  table_.log = write_log;
  table_.allocate = allocate;
  table_.release = release;
  table_.parallel = parallel;
  table_.clock_ns = clock_ns;
  table_.library_open = library_open;
  table_.library_symbol = find_symbol;
  table_.library_close = library_close;
  table_.isa_cap = options_->isa_cap.c_str();
}

}  // namespace deepseam::runtime
