// A flag that any thread, or a signal handler, may set to ask a running call to stop.
//
// Long work polls it at every task border; nobody sleeps on it. A deadline is part of it, so that one test covers both.
#pragma once

#include <atomic>
#include <cstdint>

namespace deepseam {

// The word itself is what backends read (dsb_step.cancel_word), so it has a fixed layout and lock-free access.
class CancelWord {
 public:
  void set() noexcept { word_.store(1, std::memory_order_release); }
  void clear() noexcept { word_.store(0, std::memory_order_release); }
  bool is_set() const noexcept { return word_.load(std::memory_order_acquire) != 0; }
  const uint32_t *address() const noexcept { return reinterpret_cast<const uint32_t *>(&word_); }

 private:
  std::atomic<uint32_t> word_{0};
  static_assert(sizeof(std::atomic<uint32_t>) == 4 && std::atomic<uint32_t>::is_always_lock_free);
};

// NULL means: cannot be cancelled.
inline bool is_cancelled(const CancelWord *word) noexcept { return word && word->is_set(); }

}  // namespace deepseam
