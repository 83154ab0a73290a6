// The runtime's one housekeeping thread: it destroys what was released, and watches cancel flags while steps run.
//
// A release must neither block nor join nor call the host back, so the last owner of a model, job or callback record
// hands it over here; handing over allocates nothing. While somebody watches, tick() of every watcher runs every few
// milliseconds: that is how a flag that was set in a signal handler, or a deadline, reaches a step that is under way.
// After stop() nothing runs here any more, and what is handed over is destroyed on the spot.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/status.h"

namespace deepseam::session {

// Something that can be handed over. Its destructor may block.
class Retirable {
 public:
  virtual ~Retirable() = default;

 private:
  friend class Service;
  Retirable *next_retired_ = nullptr;
};

class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void tick(uint64_t now_ns) = 0;  // short; no host code
};

class Service {
 public:
  static constexpr uint64_t kTickNs = 3'000'000;

  // The thread owns a share of the Service and ends when stop() or finish() was called.
  static Result<std::shared_ptr<Service>> start();

  void retire(Retirable *object) noexcept;
  // Every tick until unwatch, which returns only when no tick of it is running (but not from within tick).
  void watch(Watcher *watcher);
  void unwatch(Watcher *watcher) noexcept;

  // Destroys what waits, ends and joins the thread. Callable once everything else has stopped.
  void stop() noexcept;
  // The same without waiting: the thread destroys what waits and ends by itself.
  void finish() noexcept;
  bool on_own_thread() const noexcept { return std::this_thread::get_id() == thread_id_; }

 private:
  void loop();
  std::mutex mutex_;
  std::condition_variable changed_, ticked_;
  Retirable *retired_ = nullptr;
  std::vector<Watcher *> watchers_;
  const Watcher *ticking_ = nullptr;
  bool ending_ = false, ended_ = false;
  std::thread thread_;
  std::thread::id thread_id_;
};

// A shared_ptr whose last owner hands the object to the service instead of deleting it.
template <typename T>
std::shared_ptr<T> retiring(std::unique_ptr<T> object, std::shared_ptr<Service> service) {
  auto hand_over = [service = std::move(service)](T *gone) { service->retire(gone); };
  return std::shared_ptr<T>(object.release(), std::move(hand_over));  // hands it over, too, if it finds no memory
}

uint64_t now_ns() noexcept;  // monotonic

}  // namespace deepseam::session
