// See runtime_state.h.
#include "session/runtime_state.h"

#include <algorithm>
#include <chrono>

#include "runtime/device.h"
#include "runtime/plugin_file.h"
#include "runtime/registry.h"
#include "session/engine.h"
#include "session/job.h"
#include "session/job_feed.h"
#include "session/model.h"

namespace deepseam::session {
namespace {

constexpr uint64_t kMostWaitNs = uint64_t{1} << 62;

// Forgets what is gone, then adds. Amortised by looking only when the list would grow.
template <typename T>
void add_weak(std::vector<std::weak_ptr<T>> *list, const std::shared_ptr<T> &one) {
  if (list->size() == list->capacity()) std::erase_if(*list, [](const auto &entry) { return entry.expired(); });
  list->push_back(one);
}

template <typename T>
std::vector<std::shared_ptr<T>> living(const std::vector<std::weak_ptr<T>> &list) {
  std::vector<std::shared_ptr<T>> alive;
  for (const auto &entry : list)
    if (auto one = entry.lock()) alive.push_back(std::move(one));
  return alive;
}

}  // namespace

struct RuntimeParts {
  std::shared_ptr<TaskRunner> runner;
  std::unique_ptr<runtime::Registry> registry;
  bool searched = false;
};

Result<std::shared_ptr<RuntimeState>> RuntimeState::create(RuntimeOptions options) {
  for (const std::string &folder : options.plugin_dirs)
    if (!runtime::is_absolute(folder))
      return fail(DS_E_ARGUMENT, "session", "plugin folder \"%s\" is not an absolute path", folder.c_str());
  DS_TRY_VALUE(std::shared_ptr<Service> service, Service::start());
  std::unique_ptr<RuntimeState> state;
  try {
    state.reset(new RuntimeState(std::move(options), service));
    state->parts_ = std::make_unique<RuntimeParts>();
    return retiring(std::move(state), service);
  } catch (const std::bad_alloc &) {
    state.reset();
    service->stop();
    return Status(DS_E_MEMORY);
  }
}

RuntimeState::RuntimeState(RuntimeOptions options, std::shared_ptr<Service> service)
    : options_(std::move(options)), service_(std::move(service)) {}

// Runs on the service thread, or anywhere after shutdown(); every child is gone.
RuntimeState::~RuntimeState() {
  parts_.reset();
  service_->finish();
}

Status RuntimeState::check_open() const {
  if (!is_shut_down()) return {};
  return fail(DS_E_SHUT_DOWN, "session", "the runtime was shut down");
}

// ---- Backends and threads

Result<TaskRunner *> RuntimeState::task_runner() {
  std::lock_guard lock(mutex_);
  DS_TRY(check_open());
  if (!parts_->runner) {
    if (options_.task_runner) {
      parts_->runner = options_.task_runner;
    } else {
      DS_TRY_VALUE(auto pool, make_thread_pool(options_.n_threads, options_.spin));
      parts_->runner = std::move(pool);
    }
  }
  return parts_->runner.get();
}

// The registry without a search.
Status RuntimeState::open_registry() {
  DS_TRY(task_runner().status());
  std::lock_guard lock(mutex_);
  DS_TRY(check_open());
  if (parts_->registry) return {};
  runtime::HostOptions host;
  host.allocator = options_.allocator;
  host.log = options_.log;
  host.tasks = parts_->runner;
  host.library_folders = options_.plugin_dirs;
  host.isa_cap = options_.isa_cap;
  parts_->registry = std::make_unique<runtime::Registry>(std::move(host));
  return {};
}

namespace {

runtime::VerifyPlugin verify_function(const RuntimeOptions &options) {
  if (!options.verify_plugin) return {};
  return [ask = options.verify_plugin](const runtime::VerifyRequest &request) {
    const ds_status answer = ask(request.manifest.name, request.path, request.binary, request.manifest.signature);
    if (answer == DS_OK) return Status();
    return fail(DS_E_PLUGIN, "session", "the host's verify_plugin answered %s", status_name(answer));
  };
}

}  // namespace

Result<runtime::Registry *> RuntimeState::registry() {
  DS_TRY(open_registry());
  runtime::Registry *registry = nullptr;
  bool search = false;
  {
    std::lock_guard lock(mutex_);
    DS_TRY(check_open());
    registry = parts_->registry.get();
    search = !parts_->searched;
  }
  if (search) {  // two threads may search at once: what one found, the other does not load again
    runtime::LoaderOptions loader;
    loader.folders = options_.plugin_dirs;
    loader.own_folder = options_.default_plugins;
    loader.verify = verify_function(options_);
    registry->search(loader);
    for (const auto &found : registry->report())
      if (!found.loaded)
        log_message(options_.log, LogLevel::kInfo, "plugin", "%s is not used: %s", found.path.c_str(),
                    found.reason.c_str());
    std::lock_guard lock(mutex_);
    parts_->searched = true;
  }
  return registry;
}

Status RuntimeState::load_plugin(const std::string &manifest_path) {
  DS_TRY(open_registry());
  return parts_->registry->load(manifest_path, verify_function(options_));
}

Status RuntimeState::register_backend(const dsb_root *root) {
  if (!root) return fail(DS_E_ARGUMENT, "session", "the backend's entry returned NULL");
  DS_TRY(open_registry());
  return parts_->registry->add_linked(root);
}

Result<Facts> RuntimeState::plugin_report() {
  DS_TRY_VALUE(runtime::Registry * registry, this->registry());
  Facts facts;
  const auto report = registry->report();
  facts.add("plugins", uint64_t{report.size()});
  for (size_t i = 0; i < report.size(); ++i) {
    const std::string key = "plugins." + std::to_string(i) + ".";
    facts.add(key + "name", report[i].name);
    facts.add(key + "path", report[i].path);
    facts.add(key + "state", std::string(report[i].loaded ? "ready" : runtime::plugin_stage_name(report[i].stage)));
    facts.add(key + "reason", report[i].reason);
    facts.add(key + "version", report[i].version);
  }
  return facts;
}

Result<uint32_t> RuntimeState::device_count() {
  DS_TRY_VALUE(runtime::Registry * registry, this->registry());
  size_t n = 0;
  for (const auto &backend : registry->backends()) n += backend->devices().size();
  return static_cast<uint32_t>(n);
}

Result<Facts> RuntimeState::device_facts(uint32_t index) {
  DS_TRY_VALUE(runtime::Registry * registry, this->registry());
  uint32_t left = index;
  for (const auto &backend : registry->backends()) {
    const auto &devices = backend->devices();
    if (left >= devices.size()) {
      left -= static_cast<uint32_t>(devices.size());
      continue;
    }
    const runtime::DeviceInfo &info = devices[left];
    Facts facts;
    facts.add("name", info.name);
    facts.add("backend", backend->name());
    facts.add("kind", std::string(info.kind == DSB_DEVICE_GPU ? "gpu" : "cpu"));
    facts.add("uuid", info.uuid);
    facts.add("luid", std::string());
    facts.add("pci", info.pci);
    facts.add("isa", info.arch);
    uint64_t total = info.memory_bytes, free = info.memory_bytes;
    if (auto device = runtime::Device::open(backend, info.index, {}); device.ok())
      if (auto memory = device.value()->memory(); memory.ok()) total = memory->total_bytes, free = memory->free_bytes;
    facts.add("memory.total", total);
    facts.add("memory.free", free);
    return facts;
  }
  return fail(DS_E_ARGUMENT, "session", "device %u: there are %u", index, index - left);
}

// ---- Events

void RuntimeState::queue_events(const std::shared_ptr<Job> &job) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    events_.push_back(job);
    wake = !woken_ && options_.wake;
    woken_ = true;
    events_changed_.notify_one();
  }
  if (wake) options_.wake();
}

Result<uint64_t> RuntimeState::process_events(uint64_t timeout_ns) {
  DS_TRY(check_open());
  const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(std::min(timeout_ns, kMostWaitNs));
  uint64_t n = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    woken_ = false;
    while (!events_.empty()) {
      const std::shared_ptr<Job> job = events_.front().lock();
      events_.pop_front();
      lock.unlock();
      if (job) n += job->deliver();
      lock.lock();
    }
    if (n || is_shut_down()) return n;
    if (events_changed_.wait_until(lock, end) == std::cv_status::timeout && events_.empty()) return n;
  }
}

// ---- Children

Status RuntimeState::add_model(const std::shared_ptr<Model> &model) {
  std::lock_guard lock(mutex_);
  DS_TRY(check_open());
  add_weak(&models_, model);
  return {};
}

Status RuntimeState::add_job(const std::shared_ptr<Job> &job) {
  std::lock_guard lock(mutex_);
  DS_TRY(check_open());
  add_weak(&jobs_, job);
  return {};
}

Status RuntimeState::enter_thread() {
  std::lock_guard lock(mutex_);
  DS_TRY(check_open());
  ++n_threads_;
  return {};
}

void RuntimeState::leave_thread() noexcept {
  std::lock_guard lock(mutex_);
  --n_threads_;
  threads_changed_.notify_all();
}

// Every job cancelled, every engine ended, every thread gone, before the deadline.
Status RuntimeState::stop_children(uint64_t deadline) {
  std::vector<std::shared_ptr<Model>> models;
  std::vector<std::shared_ptr<Job>> jobs;
  {
    std::lock_guard lock(mutex_);
    models = living(models_);
    jobs = living(jobs_);
    events_changed_.notify_all();
  }
  for (const auto &model : models)
    if (model->engine() && model->engine()->on_own_thread()) return Status(DS_E_REENTRANT);
  for (const auto &job : jobs) job->cancel();
  for (const auto &model : models)
    if (model->engine()) model->engine()->ask_stop();
  for (const auto &model : models)
    if (!model->close(deadline)) return Status(DS_E_TIMEOUT);
  std::unique_lock lock(mutex_);
  while (n_threads_) {
    const uint64_t now = now_ns();
    if (now >= deadline) return Status(DS_E_TIMEOUT);
    threads_changed_.wait_for(lock, std::chrono::nanoseconds(deadline - now));
  }
  lock.unlock();
  for (const auto &job : jobs) JobFeed::drop_callbacks(*job);
  return {};
}

Status RuntimeState::shutdown(uint64_t timeout_ns) {
  if (service_->on_own_thread()) return Status(DS_E_REENTRANT);
  const uint64_t now = now_ns();
  const uint64_t deadline = now + std::min(timeout_ns, kMostWaitNs);
  shut_down_.store(true, std::memory_order_release);
  {
    std::unique_lock lock(mutex_);
    while (ending_) {  // by another thread
      const uint64_t left = deadline > now_ns() ? deadline - now_ns() : 0;
      if (!left) return Status(DS_E_TIMEOUT);
      threads_changed_.wait_for(lock, std::chrono::nanoseconds(left));
    }
    if (ended_) return {};
    ending_ = true;
  }
  struct Done {
    RuntimeState &state;
    ~Done() {
      const std::lock_guard lock(state.mutex_);
      state.ending_ = false;
      state.threads_changed_.notify_all();
    }
  } done{*this};
  DS_TRY(stop_children(deadline));
  runtime::Registry *registry = nullptr;
  {
    std::lock_guard lock(mutex_);
    registry = parts_->registry.get();
  }
  if (registry) {
    const uint64_t left = deadline > now_ns() ? deadline - now_ns() : 1;
    if (Status status = registry->quiesce(left); !status.ok())
      log_message(options_.log, LogLevel::kWarning, "session", "a backend did not end its work: %s", status.message());
  }
  service_->stop();
  std::unique_ptr<RuntimeParts> parts;
  std::vector<std::shared_ptr<void>> keep_alive;
  {
    std::lock_guard lock(mutex_);
    parts = std::exchange(parts_, std::make_unique<RuntimeParts>());
    keep_alive = std::move(options_.keep_alive);
    options_.wake = nullptr;
    options_.task_runner.reset();
    options_.verify_plugin = nullptr;
  }
  parts.reset();
  const std::lock_guard lock(mutex_);
  ended_ = true;
  return {};
}

}  // namespace deepseam::session
