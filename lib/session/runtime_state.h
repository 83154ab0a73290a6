// What one ds_runtime owns: log, allocator, threads, backends, the models and jobs that run on them, and events that
// wait for the host.
//
// Everything below holds a share of it, so it lives as long as its last child. shutdown() is the one call that waits:
// it cancels jobs, ends engine and service threads, destroys what is on devices, unloads backends. From its start on
// new work is DS_E_SHUT_DOWN. Without it the last release hands everything to the service thread, which ends by itself.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/allocator.h"
#include "base/log.h"
#include "base/status.h"
#include "base/task_runner.h"
#include "kv/kv_store.h"
#include "session/facts.h"
#include "session/service.h"

struct dsb_root;

namespace deepseam::runtime {
class Registry;
}

namespace deepseam::session {

class Job;
class Model;
struct RuntimeParts;  // runtime_state.cpp

struct RuntimeOptions {
  LogSink log;
  Allocator allocator = default_allocator();
  std::shared_ptr<TaskRunner> task_runner;  // the host's; nullptr: an own pool, made when first needed
  uint32_t n_threads = 0;                   // of the own pool; 0: one per usable core
  bool spin = false;
  bool default_plugins = true;           // search the library's own folder as well
  std::vector<std::string> plugin_dirs;  // absolute
  std::string isa_cap;                   // "" for none
  // DS_OK lets a plugin load. name, path, the file's content, signature bytes. Empty: not asked.
  std::function<ds_status(const std::string &name, const std::string &path, std::span<const uint8_t> binary,
                          std::span<const uint8_t> signature)>
      verify_plugin;
  std::function<void()> wake;                     // something waits for process_events; any thread, coalesced
  std::vector<std::shared_ptr<void>> keep_alive;  // released when the runtime no longer calls the host
};

class RuntimeState : public Retirable, public std::enable_shared_from_this<RuntimeState> {
 public:
  static Result<std::shared_ptr<RuntimeState>> create(RuntimeOptions options);
  ~RuntimeState() override;

  // Waits at most timeout_ns; DS_E_TIMEOUT leaves it under way. DS_E_REENTRANT on one of our own threads. Later calls
  // return DS_OK. [any-thread]
  Status shutdown(uint64_t timeout_ns);
  bool is_shut_down() const noexcept { return shut_down_.load(std::memory_order_acquire); }
  Status check_open() const;  // DS_E_SHUT_DOWN from the start of shutdown() on

  // Backends. The search runs once, at the first call that needs it.
  Result<runtime::Registry *> registry();
  Status load_plugin(const std::string &manifest_path);
  Status register_backend(const dsb_root *root);  // of a linked-in plugin, valid forever
  Result<Facts> plugin_report();
  Result<uint32_t> device_count();
  Result<Facts> device_facts(uint32_t index);  // DS_E_ARGUMENT beyond the count

  const LogSink &log() const { return options_.log; }
  const Allocator &allocator() const { return options_.allocator; }
  Result<TaskRunner *> task_runner();
  const std::shared_ptr<Service> &service() const { return service_; }

  // Events of jobs that are delivered by the host's own threads (ds_process_events).
  void queue_events(const std::shared_ptr<Job> &job);
  // Delivers on this thread; waits up to timeout_ns for the first. Returns how many callbacks ran.
  Result<uint64_t> process_events(uint64_t timeout_ns);

  // Who has to be told of a shutdown. Children that are gone fall out by themselves.
  Status add_model(const std::shared_ptr<Model> &model);
  Status add_job(const std::shared_ptr<Job> &job);
  // Threads that run for a job of their own; shutdown waits until each has left.
  Status enter_thread();
  void leave_thread() noexcept;

 private:
  RuntimeState(RuntimeOptions options, std::shared_ptr<Service> service);
  Status open_registry();
  Status stop_children(uint64_t deadline);
  RuntimeOptions options_;
  std::shared_ptr<Service> service_;
  std::atomic<bool> shut_down_{false};
  mutable std::mutex mutex_;
  std::condition_variable events_changed_, threads_changed_;
  std::unique_ptr<RuntimeParts> parts_;  // registry and pool, made when first needed
  std::vector<std::weak_ptr<Model>> models_;
  std::vector<std::weak_ptr<Job>> jobs_;
  std::deque<std::weak_ptr<Job>> events_;
  uint32_t n_threads_ = 0;
  bool woken_ = false;
  bool ending_ = false, ended_ = false;  // a thread shuts down; it is done
};

}  // namespace deepseam::session
