// One sequence of tokens of a model, and the settings its jobs run under.
//
// A session remembers token ids only; their rows lie in the model's store and are found again by value, so a session
// that was idle for long costs no device memory and loses nothing but time. Its calls are serial: a second one while a
// job runs is DS_E_BUSY. Settings may change at any time.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/allocator.h"
#include "base/cancel.h"
#include "base/status.h"
#include "session/facts.h"
#include "session/job.h"

namespace deepseam::session {

enum class Priority : uint32_t { kBalanced = 0, kBackground = 1, kInteractive = 2 };  // DS_PRIORITY_*

struct SessionSettings {
  Priority priority = Priority::kBalanced;
  uint32_t max_slice_us = 0;     // longest uninterrupted device work; 0: no limit
  uint32_t context_length = 0;   // 0: the model's; fixed at creation
  double tokens_per_second = 0;  // cap on decoding; 0: none
  bool suspended = false;        // jobs stand still, keeping what they computed
};

enum class Want : uint32_t { kLast = 0, kAll = 1, kNone = 2 };  // DS_WANT_*

struct EvalRequest {
  std::span<const uint32_t> ids;  // appended to the session's; at least 1
  Want want = Want::kLast;
  uint32_t chunk = 0;  // rows in a step; 0: the scheduler's choice
  bool no_store = false, no_reuse = false;
  float *logits = nullptr;  // [rows, V] of the caller; nullptr: the session's own buffer
  uint64_t capacity = 0;    // floats in logits
  std::string salt;
  std::shared_ptr<const Adapter> adapter;  // of the same model; nullptr: none
  std::shared_ptr<const CancelWord> cancel;
};
struct EvalResult {
  const float *logits = nullptr;  // the session's own are valid until its next eval, rewind, run or release
  uint64_t rows = 0, vocab = 0, n_computed = 0;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  // DS_E_ARGUMENT: settings out of range (context_length above the model's, NaN).
  static Result<std::shared_ptr<Session>> create(std::shared_ptr<Model> model, const SessionSettings &settings);

  // Starts a generation; the prompt replaces the session's sequence. Checks everything that can be checked before any
  // work: DS_E_ARGUMENT, DS_E_CONTEXT_FULL, DS_E_BUSY, DS_E_SHUT_DOWN. With Delivery::kWaiter somebody must wait().
  Result<std::shared_ptr<Job>> start(Prompt prompt, GenerateOptions options);

  // Appends tokens and gives logits; waits. On failure, cancel included, nothing was appended.
  // DS_E_BUFFER: bytes_needed says how many bytes of floats; told before anything is computed.
  Result<EvalResult> eval(const EvalRequest &request);
  Status rewind(uint64_t length);  // DS_E_ARGUMENT: longer than the sequence

  Status set(const SessionSettings &settings);  // context_length must stay
  SessionSettings settings() const;
  Facts facts() const;  // keys of ds_session_info
  std::vector<uint32_t> tokens() const;
  uint64_t length() const;
  const std::shared_ptr<Model> &model() const { return model_; }

 private:
  friend struct EngineState;
  Session(std::shared_ptr<Model> model, const SessionSettings &settings);
  bool take() noexcept { return !busy_.exchange(true, std::memory_order_acquire); }
  void give_back() noexcept { busy_.store(false, std::memory_order_release); }

  const std::shared_ptr<Model> model_;
  std::atomic<bool> busy_{false};
  mutable std::mutex mutex_;
  SessionSettings settings_;
  std::vector<uint32_t> tokens_;
  uint64_t n_computed_ = 0, n_cached_ = 0;
  Buffer logits_;
};

// All jobs are submitted before any of them is looked at, so that they share steps; then waits for all, delivering
// their callbacks here. jobs[i] may be nullptr (its start failed).
void wait_all(std::span<const std::shared_ptr<Job>> jobs);

}  // namespace deepseam::session
