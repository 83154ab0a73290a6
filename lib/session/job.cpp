// Both sides of a Job. Host code runs in deliver_one and in announce, never under the job's mutex.
#include "session/job.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <new>

#include "session/engine.h"
#include "session/job_feed.h"
#include "session/model.h"
#include "text/utf8_stream.h"

namespace deepseam::session {
namespace {

constexpr uint64_t kProgressEveryNs = 20'000'000;

}  // namespace

Job::Job(std::shared_ptr<RuntimeState> runtime, bool makes_model)
    : runtime_(std::move(runtime)), makes_model_(makes_model) {}

Job::~Job() = default;

// ---- For hosts

JobState Job::poll() {
  std::lock_guard lock(mutex_);
  woken_ = false;
  return state_;
}

Status Job::read(uint32_t choice, std::span<char> into, uint64_t *size) {
  std::lock_guard lock(mutex_);
  woken_ = false;
  *size = 0;
  if (choice >= choices_.size())
    return fail(DS_E_ARGUMENT, "session", "choice %u: the job has %zu", choice, choices_.size());
  std::string &unread = choices_[choice].unread;
  const size_t n = text::whole_characters(std::string_view(unread).substr(0, into.size()));
  std::memcpy(into.data(), unread.data(), n);
  unread.erase(0, n);
  *size = n;
  return {};
}

Progress Job::progress() const {
  std::lock_guard lock(mutex_);
  return progress_;
}

Status Job::wait(uint64_t timeout_ns) {
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  const bool forever = timeout_ns > uint64_t{1} << 62;
  const auto end = forever ? start : start + std::chrono::nanoseconds(timeout_ns);
  std::unique_lock lock(mutex_);
  for (;;) {
    if (delivery_ != Delivery::kSpontaneous && !delivering_ && has_events()) {
      lock.unlock();
      deliver();
      lock.lock();
      continue;
    }
    if (state_ == JobState::kDone && !delivering_ && !has_events()) {
      if (dropped_) return {};
      if (!dropping_ && !waking_) {
        lock.unlock();
        drop_callbacks();
        lock.lock();
        continue;
      }
    }
    if (forever)
      changed_.wait(lock);
    else if (changed_.wait_until(lock, end) == std::cv_status::timeout && Clock::now() >= end)
      return dropped_ ? Status() : Status(DS_E_TIMEOUT);
  }
}

void Job::cancel() noexcept {
  cancel_.set();
  std::shared_ptr<Engine> engine;
  {
    std::lock_guard lock(mutex_);
    engine = engine_.lock();
    changed_.notify_all();
  }
  if (engine) engine->wake();
}

Status Job::take_result(std::unique_ptr<ResultData> *result) {
  std::lock_guard lock(mutex_);
  if (makes_model_) return fail(DS_E_ARGUMENT, "session", "this job opens a model and has no result");
  if (state_ != JobState::kDone) return Status(DS_E_PENDING);
  if (taken_) return fail(DS_E_ARGUMENT, "session", "the job's result was taken before");
  taken_ = true;
  *result = std::move(result_);
  return status_;
}

Status Job::take_model(std::shared_ptr<Model> *model) {
  std::lock_guard lock(mutex_);
  if (!makes_model_) return fail(DS_E_ARGUMENT, "session", "this job generates and has no model");
  if (state_ != JobState::kDone) return Status(DS_E_PENDING);
  if (taken_) return fail(DS_E_ARGUMENT, "session", "the job's model was taken before");
  taken_ = true;
  *model = std::move(model_);
  return status_;
}

void Job::abandon() noexcept {
  {
    std::lock_guard lock(mutex_);
    abandoned_ = true;
    changed_.notify_all();
  }
  cancel();
}

bool Job::should_stop(uint64_t now) const noexcept { return host_cancelled() || (deadline_ && now >= deadline_); }

// ---- Delivering

bool Job::has_text_event(const ChoiceOut &choice) const {
  if (!callbacks_.on_text || stop_asked_) return false;
  return !choice.event_text.empty() || !choice.event_ids.empty() ||
         (choice.finish != Finish::kNone && !choice.finish_told);
}

bool Job::has_events() const {
  if (abandoned_) return false;
  if (turn_ && !turn_->answered) return true;
  if (progress_due_ && callbacks_.on_progress && !stop_asked_) return true;
  return std::ranges::any_of(choices_, [&](const ChoiceOut &choice) { return has_text_event(choice); });
}

// Runs one callback, if one is due. Returns whether it did.
bool Job::deliver_one(std::unique_lock<std::mutex> &lock) {
  if (abandoned_) return false;
  bool go_on = true;
  if (progress_due_ && callbacks_.on_progress && !stop_asked_) {
    progress_due_ = false;
    const Progress now = progress_;
    lock.unlock();
    go_on = callbacks_.on_progress(now);
    lock.lock();
    if (go_on) return true;
    stop_asked_ = true;
    if (std::shared_ptr<Model> unwanted = take_back_model()) {
      lock.unlock();  // a model's threads are not waited for under the mutex
      unwanted.reset();
      lock.lock();
    }
    return true;
  }
  for (uint32_t i = 0; i < choices_.size(); ++i) {
    if (!has_text_event(choices_[i])) continue;
    const std::string visible = std::exchange(choices_[i].event_text, {});
    const std::vector<uint32_t> ids = std::exchange(choices_[i].event_ids, {});
    const Finish finish = choices_[i].finish;
    choices_[i].finish_told = finish != Finish::kNone;
    lock.unlock();
    go_on = callbacks_.on_text({i, visible, ids, finish});
    lock.lock();
    if (!go_on) {
      stop_asked_ = choices_[i].stopped = true;
      mark_stopped_choices();
    }
    return true;
  }
  if (!turn_ || turn_->answered) return false;
  const std::shared_ptr<HostTurn> turn = turn_;
  lock.unlock();
  if (callbacks_.on_mask) go_on = callbacks_.on_mask(turn->choice, turn->mask, turn->ids);
  if (go_on && callbacks_.on_logits) go_on = callbacks_.on_logits(turn->choice, turn->logits, turn->ids);
  lock.lock();
  turn->answered = true;
  turn->stop = !go_on;
  stop_asked_ |= !go_on;
  return true;
}

// The engine may reach the end of a text while the host still reads an earlier part of it. Whether it did must not
// show: a choice whose reader answered stop ends for that reason.
void Job::mark_stopped_choices() {
  if (!result_) return;
  for (size_t i = 0; i < std::min(choices_.size(), result_->choices.size()); ++i) {
    Finish &finish = result_->choices[i].finish;
    const bool by_itself =
        finish == Finish::kEnd || finish == Finish::kStop || finish == Finish::kLength || finish == Finish::kContext;
    if (choices_[i].stopped && by_itself) finish = Finish::kCallback;
  }
}

// The same for a model that was open before the host's stop or cancel was read: the host is not to get it.
std::shared_ptr<Model> Job::take_back_model() {
  if (state_ != JobState::kDone || !model_ || taken_ || !(stop_asked_ || host_cancelled())) return nullptr;
  status_ = Status(stop_asked_ ? DS_E_STOPPED : DS_E_CANCELLED);
  return std::exchange(model_, nullptr);
}

uint64_t Job::deliver() {
  const auto self = shared_from_this();
  std::unique_lock lock(mutex_);
  if (delivering_) return 0;
  delivering_ = true;
  woken_ = queued_ = false;
  struct Done {  // also if a callback throws
    Job &job;
    std::unique_lock<std::mutex> &lock;
    ~Done() {
      if (!lock.owns_lock()) lock.lock();
      job.delivering_ = false;
      job.changed_.notify_all();
    }
  };
  uint64_t n = 0;
  {
    const Done done{*this, lock};
    while (deliver_one(lock)) ++n;
  }
  const bool over = state_ == JobState::kDone && !has_events();
  const std::shared_ptr<Engine> engine = n ? engine_.lock() : nullptr;
  lock.unlock();
  if (over) drop_callbacks();
  if (engine) engine->wake();
  return n;
}

// After the last callback: what the host gave for them goes back to it. Who comes too early leaves it to the others.
void Job::drop_callbacks() noexcept {
  JobCallbacks callbacks;
  std::shared_ptr<void> keep_alive;
  std::unique_lock lock(mutex_);
  if (delivering_ || waking_ || dropping_ || state_ != JobState::kDone) return;
  dropping_ = true;
  callbacks = std::move(callbacks_);
  callbacks_ = JobCallbacks{};
  keep_alive = std::move(keep_alive_);
  lock.unlock();
  callbacks = JobCallbacks{};
  keep_alive.reset();
  lock.lock();
  dropped_ = true;
  changed_.notify_all();
}

// ---- The writer's side

Result<std::shared_ptr<Job>> JobFeed::make(const std::shared_ptr<RuntimeState> &runtime, GenerateOptions *options,
                                           bool makes_model) {
  const std::shared_ptr<Job> job = retiring(std::unique_ptr<Job>(new Job(runtime, makes_model)), runtime->service());
  job->choices_.resize(makes_model ? 0 : options->n_choices);
  job->callbacks_ = options->callbacks;
  job->delivery_ = options->delivery;
  job->external_cancel_ = options->cancel;
  const uint64_t now = now_ns();
  if (options->deadline_ns) job->deadline_ = options->deadline_ns < UINT64_MAX - now ? now + options->deadline_ns : 0;
  DS_TRY(runtime->add_job(job));
  job->keep_alive_ = std::move(options->keep_alive);
  return job;
}

void JobFeed::set_engine(Job &job, const std::shared_ptr<Engine> &engine) {
  std::lock_guard lock(job.mutex_);
  job.engine_ = engine;
}

void JobFeed::running(Job &job) {
  std::lock_guard lock(job.mutex_);
  if (job.state_ == JobState::kQueued) job.state_ = JobState::kRunning;
}

void JobFeed::text(Job &job, uint32_t choice, std::string_view visible, std::span<const uint32_t> ids) {
  {
    std::lock_guard lock(job.mutex_);
    auto &out = job.choices_[choice];
    out.unread += visible;
    if (job.callbacks_.on_text) {
      out.event_text += visible;
      out.event_ids.insert(out.event_ids.end(), ids.begin(), ids.end());
    }
  }
  announce(job);
}

void JobFeed::finish_choice(Job &job, uint32_t choice, Finish finish) {
  {
    std::lock_guard lock(job.mutex_);
    job.choices_[choice].finish = finish;
  }
  announce(job);
}

void JobFeed::progress(Job &job, const Progress &progress) {
  {
    std::lock_guard lock(job.mutex_);
    const bool stage_changed = job.progress_.stage != progress.stage;
    job.progress_ = progress;
    const uint64_t now = now_ns();
    if (!stage_changed && now - job.progress_told_ns_ < kProgressEveryNs && progress.done != progress.total) return;
    job.progress_told_ns_ = now;
    job.progress_due_ = true;
    if (!job.callbacks_.on_progress) return;
  }
  announce(job);
}

void JobFeed::ask(Job &job, std::shared_ptr<HostTurn> turn) {
  {
    std::lock_guard lock(job.mutex_);
    job.turn_ = std::move(turn);
  }
  announce(job);
}

bool JobFeed::answered(Job &job, const HostTurn &turn) {
  std::lock_guard lock(job.mutex_);
  return turn.answered;
}

bool JobFeed::stop_asked(const Job &job) {
  std::lock_guard lock(job.mutex_);
  return job.stop_asked_;
}

void JobFeed::finish(Job &job, Status status, std::unique_ptr<ResultData> result) {
  {
    std::lock_guard lock(job.mutex_);
    job.result_ = std::move(result);
    job.mark_stopped_choices();
  }
  end(job, std::move(status));
}

void JobFeed::finish_model(Job &job, Status status, std::shared_ptr<Model> model) {
  {
    std::lock_guard lock(job.mutex_);
    job.model_ = std::move(model);
  }
  end(job, std::move(status));
}

void JobFeed::end(Job &job, Status status) {
  std::shared_ptr<Model> unwanted;
  {
    std::lock_guard lock(job.mutex_);
    job.status_ = std::move(status);
    job.turn_ = nullptr;
    job.state_ = JobState::kDone;
    unwanted = job.take_back_model();
  }
  unwanted.reset();
  try {
    announce(job);
  } catch (const std::bad_alloc &) {  // who waits has been told; a queue that has no room for the news misses it
  }
  bool silent = false;
  {
    std::lock_guard lock(job.mutex_);
    silent = !job.has_events();
  }
  if (silent) job.drop_callbacks();
}

void JobFeed::drop_callbacks(Job &job) { job.drop_callbacks(); }

// Tells everybody who may be waiting, each at most once until they looked.
void JobFeed::announce(Job &job) {
  std::function<void()> wake;
  bool queue = false, spontaneous = false;
  {
    std::lock_guard lock(job.mutex_);
    job.changed_.notify_all();
    if (job.abandoned_) return;
    if (!job.woken_ && job.callbacks_.wake) {
      wake = job.callbacks_.wake;
      job.woken_ = true;
      ++job.waking_;
    }
    const bool events = job.has_events();
    spontaneous = events && job.delivery_ == Delivery::kSpontaneous;
    queue = events && job.delivery_ == Delivery::kQueued && !job.queued_;
    if (queue) job.queued_ = true;
  }
  if (wake) {
    wake();
    wake = nullptr;
    std::lock_guard lock(job.mutex_);
    --job.waking_;
    job.changed_.notify_all();
  }
  if (queue) job.runtime_->queue_events(job.shared_from_this());
  if (spontaneous) job.deliver();
}

}  // namespace deepseam::session
