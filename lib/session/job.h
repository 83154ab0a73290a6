// A request under way, seen from outside: state, text so far, events for the host, and finally a result or a model.
//
// The engine (or the thread that opens a model) writes, any number of host threads read; one mutex of the job guards
// both sides. Callbacks never run under it, and those of one job never run two at a time: the caller of wait() runs
// them, or process_events, or, if asked for, the library's own thread. Where a callback's answer is needed before the
// next token (logits, mask), the job stands still until somebody delivers it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/allocator.h"
#include "base/cancel.h"
#include "base/status.h"
#include "session/facts.h"
#include "session/sampler.h"
#include "session/service.h"

namespace deepseam::session {

class Adapter;
class Model;
class Session;
class Engine;
class RuntimeState;

// Values of the public DS_FINISH_*.
enum class Finish : uint32_t {
  kNone = 0,
  kEnd = 1,
  kStop = 2,
  kLength = 3,
  kContext = 4,
  kCancelled = 5,
  kDeadline = 6,
  kCallback = 7,
  kPrefill = 8,
  kError = 9,
};
enum class JobState : uint32_t { kQueued = 1, kRunning = 2, kDone = 3 };  // DS_JOB_*
enum class Stage : uint32_t { kRead = 1, kLoad = 2, kCompile = 3, kPrefill = 4, kDecode = 5, kWrite = 6, kVerify = 7 };

struct Progress {
  Stage stage = Stage::kRead;
  uint64_t done = 0, total = 0;
};
using ProgressFunction = std::function<bool(const Progress &)>;  // false: stop

// New text of one choice, valid during the call.
struct TextEvent {
  uint32_t choice = 0;
  std::string_view text;
  std::span<const uint32_t> ids;
  Finish finish = Finish::kNone;
};

// All answer false to stop. `ids`: prompt and generated tokens so far.
struct JobCallbacks {
  std::function<bool(const TextEvent &)> on_text;
  std::function<bool(uint32_t choice, std::span<float> logits, std::span<const uint32_t> ids)> on_logits;
  std::function<bool(uint32_t choice, std::span<uint32_t> mask, std::span<const uint32_t> ids)> on_mask;
  ProgressFunction on_progress;  // at most 50 times a second
  std::function<void()> wake;    // something is ready; any thread, coalesced until the next poll, read or delivery
};

// On which threads callbacks run (wake runs anywhere).
enum class Delivery : uint32_t {
  kWaiter,       // a thread inside Job::wait: blocking calls
  kQueued,       // Job::wait or RuntimeState::process_events
  kSpontaneous,  // as they arise, on the library's threads
};

// How to generate. Defaults mean what the public ds_params says of zero.
struct GenerateOptions {
  SamplingParams sampling;
  uint32_t n_choices = 1;
  uint32_t max_tokens = 0;   // 0: up to the context's end
  uint32_t n_logprobs = 0;   // at most 20
  bool logprobs = false;     // record the chosen token's even if n_logprobs is 0
  uint64_t deadline_ns = 0;  // from submit on; 0: none
  std::vector<std::string> stops;
  std::vector<uint32_t> stop_ids;  // besides the prompt's own
  std::string salt;
  std::shared_ptr<const Adapter> adapter;  // of the same model; nullptr: none
  bool prefill_only = false, no_store = false, no_reuse = false, ignore_end = false;
  std::shared_ptr<const CancelWord> cancel;
  JobCallbacks callbacks;
  std::shared_ptr<void> keep_alive;  // released exactly once, after the last callback
  Delivery delivery = Delivery::kWaiter;
};

// What to go on from, as model/prompt functions of request.h make it.
struct Prompt {
  std::vector<uint32_t> ids;
  std::string healing;             // bytes the generated text must begin with; they are not shown
  std::vector<uint32_t> stop_ids;  // where this kind of prompt ends by itself
};

struct TokenLogprob {
  uint32_t id = 0;
  float logprob = 0;
};

struct ChoiceResult {
  std::string text;           // valid UTF-8
  std::vector<uint32_t> ids;  // without the token that ended it
  Finish finish = Finish::kNone;
  std::vector<TokenLogprob> logprobs;  // rows of 1 + n_logprobs, one per id
};
struct ResultData {
  std::vector<ChoiceResult> choices;
  uint32_t logprob_width = 0;  // 0: none recorded
  Facts facts;                 // keys of ds_result_info
};

// A question to the host that a choice waits for: edit logits, mask tokens. Whoever delivers it shares it, so it
// outlives a job that is cancelled meanwhile.
struct HostTurn {
  uint32_t choice = 0;
  std::vector<float> logits;   // [V]
  std::vector<uint32_t> mask;  // bit id % 32 of word id / 32; empty without on_mask
  std::vector<uint32_t> ids;   // prompt and generated tokens so far
  bool answered = false;       // guarded by the job's mutex
  bool stop = false;
};

class Job : public Retirable, public std::enable_shared_from_this<Job> {
 public:
  ~Job() override;

  // ---- For hosts. [any-thread]
  JobState poll();
  // Whole characters of a choice not read before, as many as fit. DS_E_ARGUMENT: no such choice.
  Status read(uint32_t choice, std::span<char> into, uint64_t *size);
  Progress progress() const;
  // Until done and all its callbacks have run, delivering them here. DS_E_TIMEOUT; UINT64_MAX: no limit.
  Status wait(uint64_t timeout_ns);
  void cancel() noexcept;
  // Once each. DS_E_PENDING before the end; DS_E_ARGUMENT if taken or of the other kind. On failure of the job the
  // status is the job's, and the result holds what was produced (no choices if nothing was).
  Status take_result(std::unique_ptr<ResultData> *result);
  Status take_model(std::shared_ptr<Model> *model);
  // Runs waiting callbacks on this thread; returns how many.
  uint64_t deliver();
  // The handle is gone: cancelled if not done, nothing is delivered any more.
  void abandon() noexcept;

  // ---- For the library.
  bool should_stop(uint64_t now) const noexcept;  // cancelled by anyone, or past its deadline
  bool host_cancelled() const noexcept { return cancel_.is_set() || (external_cancel_ && external_cancel_->is_set()); }
  bool has_clock() const noexcept { return external_cancel_ || deadline_; }  // has to be looked at from time to time

 private:
  friend class Engine;
  friend class RuntimeState;
  friend struct JobFeed;  // job_feed.h: what writers do
  Job(std::shared_ptr<RuntimeState> runtime, bool makes_model);

  struct ChoiceOut {
    std::string unread;      // for read()
    std::string event_text;  // for on_text
    std::vector<uint32_t> event_ids;
    Finish finish = Finish::kNone;
    bool finish_told = false;
    bool stopped = false;  // on_text answered stop
  };
  std::shared_ptr<HostTurn> pending_turn() const;
  bool has_text_event(const ChoiceOut &choice) const;
  bool has_events() const;
  bool deliver_one(std::unique_lock<std::mutex> &lock);
  void mark_stopped_choices();
  std::shared_ptr<Model> take_back_model();
  void drop_callbacks() noexcept;

  const std::shared_ptr<RuntimeState> runtime_;
  const bool makes_model_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  JobState state_ = JobState::kQueued;
  Status status_;
  std::unique_ptr<ResultData> result_;
  std::shared_ptr<Model> model_;
  bool taken_ = false, abandoned_ = false, delivering_ = false, woken_ = false, queued_ = false;
  bool dropping_ = false, dropped_ = false;  // callbacks and keep_alive are going, or gone
  uint32_t waking_ = 0;                      // threads inside callbacks_.wake
  bool stop_asked_ = false;                  // a callback answered stop
  std::vector<ChoiceOut> choices_;
  std::shared_ptr<HostTurn> turn_;  // nullptr: none
  Progress progress_;
  bool progress_due_ = false;
  uint64_t progress_told_ns_ = 0;
  JobCallbacks callbacks_;
  std::shared_ptr<void> keep_alive_;
  Delivery delivery_ = Delivery::kWaiter;
  CancelWord cancel_;
  std::shared_ptr<const CancelWord> external_cancel_;
  uint64_t deadline_ = 0;         // absolute; 0: none
  std::weak_ptr<Engine> engine_;  // to be woken by cancel and answers
};

}  // namespace deepseam::session
