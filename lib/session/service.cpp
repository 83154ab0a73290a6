// See service.h.
#include "session/service.h"

#include <algorithm>
#include <chrono>

#include "base/own_thread.h"

namespace deepseam::session {

uint64_t now_ns() noexcept {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
          .count());
}

Result<std::shared_ptr<Service>> Service::start() {
  auto service = std::make_shared<Service>();
  service->watchers_.reserve(64);
  DS_TRY_VALUE(service->thread_, start_own_thread([service] { service->loop(); }));
  service->thread_id_ = service->thread_.get_id();
  return service;
}

// Takes what waits, newest first; destruction of one thing may hand over the next.
void Service::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (Retirable *first = std::exchange(retired_, nullptr)) {
      lock.unlock();
      while (first) delete std::exchange(first, first->next_retired_);
      lock.lock();
      continue;
    }
    if (ending_) break;
    if (watchers_.empty()) {
      changed_.wait(lock);
      continue;
    }
    changed_.wait_for(lock, std::chrono::nanoseconds(kTickNs));
    const uint64_t now = now_ns();
    for (size_t i = 0; i < watchers_.size(); ++i) {
      Watcher *watcher = watchers_[i];
      ticking_ = watcher;
      lock.unlock();
      watcher->tick(now);
      lock.lock();
      ticking_ = nullptr;
      ticked_.notify_all();
    }
  }
  ended_ = true;
}

void Service::retire(Retirable *object) noexcept {
  if (!object) return;
  {
    std::lock_guard lock(mutex_);
    if (!ended_) {
      object->next_retired_ = retired_;
      retired_ = object;
      object = nullptr;
      changed_.notify_one();
    }
  }
  delete object;
}

void Service::watch(Watcher *watcher) {
  std::lock_guard lock(mutex_);
  if (std::ranges::find(watchers_, watcher) != watchers_.end()) return;
  watchers_.push_back(watcher);
  changed_.notify_one();
}

void Service::unwatch(Watcher *watcher) noexcept {
  std::unique_lock lock(mutex_);
  std::erase(watchers_, watcher);
  while (ticking_ == watcher && !on_own_thread()) ticked_.wait(lock);
}

void Service::stop() noexcept {
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_one();
  }
  if (thread_.joinable() && !on_own_thread()) thread_.join();
}

void Service::finish() noexcept {
  std::lock_guard lock(mutex_);
  ending_ = true;
  changed_.notify_one();
  if (thread_.joinable()) thread_.detach();
}

}  // namespace deepseam::session
