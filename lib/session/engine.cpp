// The thread, its inbox, and how others reach it. What it does is engine_state.h.
#include "session/engine.h"

#include <algorithm>
#include <chrono>

#include "base/own_thread.h"
#include "session/engine_state.h"

namespace deepseam::session {

Engine::Engine(std::shared_ptr<Service> service, std::unique_ptr<DeviceModel> device,
               std::shared_ptr<kv::KvStore> store)
    : service_(std::move(service)), state_(std::make_unique<EngineState>(this, std::move(device), std::move(store))) {}

Engine::~Engine() {
  ask_stop();
  join(UINT64_MAX);
}

Result<std::shared_ptr<Engine>> Engine::start(std::shared_ptr<Service> service, std::unique_ptr<DeviceModel> device,
                                              std::shared_ptr<kv::KvStore> store) {
  std::shared_ptr<Engine> engine(new Engine(std::move(service), std::move(device), std::move(store)));
  const std::lock_guard lock(engine->mutex_);
  DS_TRY_VALUE(engine->thread_, start_own_thread([raw = engine.get()] { raw->loop(); }));
  engine->thread_id_ = engine->thread_.get_id();
  return engine;
}

void Engine::loop() noexcept {
  { const std::lock_guard lock(mutex_); }  // start() has stored the thread
  for (;;) {
    std::vector<std::unique_ptr<Work>> arrived;
    bool stop = false;
    {
      const std::lock_guard lock(mutex_);
      arrived.swap(inbox_);
      woken_ = false;
      stop = stopping_;
      facts_ = state_->facts;
    }
    uint64_t until = UINT64_MAX;
    const bool worked = state_->turn(std::move(arrived), &until);
    if (stop) break;
    if (!worked) rest(until);
  }
  state_->end_all(DS_E_SHUT_DOWN);
  set_watched({});
  std::vector<std::unique_ptr<Work>> late;
  {
    const std::lock_guard lock(mutex_);
    late.swap(inbox_);
  }
  state_->turn(std::move(late), nullptr);
  state_->end_all(DS_E_SHUT_DOWN);
  state_.reset();
  const std::lock_guard lock(mutex_);
  ended_ = true;
  ended_changed_.notify_all();
}

// Sleeps until woken or until a time.
void Engine::rest(uint64_t until_ns) {
  std::unique_lock lock(mutex_);
  const auto due = [&] { return woken_ || stopping_ || !inbox_.empty(); };
  if (until_ns == UINT64_MAX) {
    changed_.wait(lock, due);
    return;
  }
  const uint64_t now = now_ns();
  if (until_ns > now) changed_.wait_for(lock, std::chrono::nanoseconds(until_ns - now), due);
}

Status Engine::submit(std::unique_ptr<Work> work) {
  const std::lock_guard lock(mutex_);
  if (stopping_) return fail(DS_E_SHUT_DOWN, "session", "the runtime was shut down");
  inbox_.push_back(std::move(work));
  changed_.notify_one();
  return {};
}

namespace {

bool any_stops(const std::vector<Job *> &jobs, uint64_t now) {
  return std::ranges::any_of(jobs, [&](const Job *job) { return job->should_stop(now); });
}

}  // namespace

void Engine::wake() noexcept {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  if (step_cancel_ && any_stops(in_step_, now_ns())) step_cancel_->set();
  changed_.notify_one();
}

void Engine::tick(uint64_t now) {
  const std::lock_guard lock(mutex_);
  if (step_cancel_ && any_stops(in_step_, now)) step_cancel_->set();
  if (!any_stops(watched_, now)) return;
  woken_ = true;
  changed_.notify_one();
}

bool Engine::begin_step(const std::vector<Job *> &jobs) {
  const std::lock_guard lock(mutex_);
  in_step_ = jobs;
  step_cancel_ = state_->device->cancel.get();
  step_cancel_->clear();
  if (!stopping_ && !any_stops(in_step_, now_ns())) return true;
  in_step_.clear();
  step_cancel_ = nullptr;
  return false;
}

void Engine::end_step() {
  const std::lock_guard lock(mutex_);
  in_step_.clear();
  step_cancel_ = nullptr;
}

void Engine::set_watched(std::vector<Job *> jobs) {
  bool any = false;
  {
    const std::lock_guard lock(mutex_);
    if (watched_ == jobs && !jobs.empty())
      return;  // none: forget() may have emptied the list while the service watches
    watched_ = std::move(jobs);
    any = !watched_.empty();
  }
  if (any)
    service_->watch(this);
  else
    service_->unwatch(this);
}

void Engine::forget(const Job *job) noexcept {
  const std::lock_guard lock(mutex_);
  std::erase(watched_, job);
  facts_ = state_->facts;
}

void Engine::ask_stop() noexcept {
  const std::lock_guard lock(mutex_);
  stopping_ = true;
  if (step_cancel_) step_cancel_->set();
  changed_.notify_one();
}

bool Engine::join(uint64_t deadline_ns) {
  {
    std::unique_lock lock(mutex_);
    while (!ended_ && thread_.joinable()) {
      const uint64_t now = now_ns();
      if (now >= deadline_ns) return false;
      ended_changed_.wait_for(lock, std::chrono::nanoseconds(std::min<uint64_t>(deadline_ns - now, 1'000'000'000)));
    }
  }
  const std::lock_guard joining(joining_);
  if (thread_.joinable()) thread_.join();
  return true;
}

EngineFacts Engine::facts() const {
  const std::lock_guard lock(mutex_);
  EngineFacts facts = facts_;
  facts.watched = watched_.size();
  return facts;
}

}  // namespace deepseam::session
