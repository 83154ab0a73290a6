#include "runtime/registry.h"

#include <algorithm>
#include <chrono>

namespace deepseam::runtime {
namespace {

constexpr const char *kDomain = "runtime";

Status closed() { return fail(DS_E_SHUT_DOWN, kDomain, "the runtime was shut down"); }

bool is_auto(const std::string &backend) { return backend.empty() || backend == "auto"; }

// "ref: not asked for; cuda: finds no device on this machine": what a failed choice says.
std::string told(const std::vector<Consideration> &considered, const std::vector<PluginReport> &report) {
  std::string text;
  const auto add = [&text](const std::string &who, const std::string &why) {
    text += (text.empty() ? "" : "; ") + who + ": " + why;
  };
  for (const Consideration &one : considered)
    add(one.device.empty() ? one.backend : one.backend + " device " + one.device, one.reason);
  for (const PluginReport &one : report)
    if (!one.loaded) add(one.name.empty() ? one.path : one.name, one.reason);
  return text.empty() ? "no plugin was found" : text;
}

// Appends what speaks for or against each device of `backend`; the better of it and `best` stays in `best`.
void consider(const std::shared_ptr<Backend> &backend, const std::string &wanted, int32_t index,
              std::vector<Consideration> &considered, Choice &best) {
  if (!is_auto(wanted) && backend->name() != wanted) {
    considered.push_back({backend->name(), "", 0, false, "not asked for"});
    return;
  }
  if (backend->devices().empty()) considered.push_back({backend->name(), "", 0, false, "finds no device here"});
  for (const DeviceInfo &device : backend->devices()) {
    Consideration one{backend->name(), device.name, device.score, false, "another one has a better score"};
    if (index >= 0 && device.index != static_cast<uint32_t>(index)) {
      one.reason = "another device was asked for";
    } else if (!best.backend || device.score > best.device.score) {
      best.backend = backend;
      best.device = device;
      for (Consideration &before : considered) before.chosen = false;
      one.chosen = true;
    } else if (device.score == best.device.score) {
      one.reason = "an equal one was loaded earlier";
    }
    considered.push_back(std::move(one));
  }
}

}  // namespace

Registry::Registry(HostOptions host) : host_(std::make_shared<const HostOptions>(std::move(host))) {}

Status Registry::take(LoadOutcome outcome) {
  PluginReport &report = outcome.report;
  if (outcome.backend) {
    const auto same = [&](const std::shared_ptr<Backend> &other) { return other->name() == outcome.backend->name(); };
    if (std::any_of(backends_.begin(), backends_.end(), same)) {
      report.loaded = false;
      report.why = PluginReason::kDuplicate;
      report.code = DS_E_PLUGIN;
      report.reason = "a backend named " + outcome.backend->name() + " is already loaded";
      outcome.backend.reset();
    }
  }
  Status status;
  if (!outcome.backend)
    status = fail(report.code, kDomain, "%s: %s", report.path.c_str(), report.reason.c_str()).at(report.path);
  else
    backends_.push_back(std::move(outcome.backend));
  report_.push_back(std::move(report));
  return status;
}

void Registry::search(const LoaderOptions &options) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return;
  for (const std::string &folder : search_folders(options)) {
    if (std::find(searched_.begin(), searched_.end(), folder) != searched_.end()) continue;
    searched_.push_back(folder);
    for (LoadOutcome &outcome : load_folder(folder, options.verify, host_))
      static_cast<void>(take(std::move(outcome)));  // told by report()
  }
}

Status Registry::load(const std::string &path, const VerifyPlugin &verify) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return closed();
  return take(load_plugin(path, verify, host_));
}

Status Registry::add_linked(const dsb_root *root) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return closed();
  return take(load_linked(root, host_));
}

std::vector<std::shared_ptr<Backend>> Registry::backends() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return backends_;
}

std::vector<PluginReport> Registry::report() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return report_;
}

Result<Choice> Registry::choose(const std::string &backend, int32_t device) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (closed_) return closed();
  Choice choice;
  std::vector<Consideration> considered;
  for (const std::shared_ptr<Backend> &one : backends_) consider(one, backend, device, considered, choice);
  if (!choice.backend)
    return fail(DS_E_NO_DEVICE, kDomain, "no device fits backend \"%s\"%s: %s",
                is_auto(backend) ? "auto" : backend.c_str(), device >= 0 ? " with that device number" : "",
                told(considered, report_).c_str());
  for (Consideration &one : considered)
    if (one.chosen) one.reason = is_auto(backend) ? "the best score" : "asked for";
  choice.considered = std::move(considered);
  return choice;
}

Status Registry::quiesce(uint64_t timeout_ns) {
  std::vector<std::shared_ptr<Backend>> backends;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    backends.swap(backends_);
  }
  const auto start = std::chrono::steady_clock::now();
  Status first;
  std::vector<std::shared_ptr<Backend>> unquiet;
  for (; !backends.empty(); backends.pop_back()) {
    const Backend &backend = *backends.back();
    const uint64_t spent = static_cast<uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - start).count());
    const uint64_t left = timeout_ns == UINT64_MAX ? UINT64_MAX : timeout_ns > spent ? timeout_ns - spent : 0;
    Status status = backend.call(
        "quiesce", [&](ds_error *error) { return backend.api().quiesce(backend.instance(), left, error); });
    if (status.ok() || !backend.has_slot(offsetof(dsb_api, quiesce))) continue;
    unquiet.insert(unquiet.begin(), backends.back());
    if (first.ok()) first = std::move(status);
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  backends_ = std::move(unquiet);
  return first;
}

}  // namespace deepseam::runtime
