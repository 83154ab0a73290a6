// Requests between steps: who comes in, who waits, who has to end, who gives way.
#include "session/engine_state.h"

#include <algorithm>
#include <new>

#include "session/job_feed.h"
#include "session/model.h"

namespace deepseam::session {

EngineState::EngineState(Engine *owner, std::unique_ptr<DeviceModel> model, std::shared_ptr<kv::KvStore> kv)
    : engine(owner), device(std::move(model)), store(std::move(kv)), slots(device->max_seqs, nullptr) {
  limits.max_rows = device->max_rows;
  limits.max_seqs = device->max_seqs;
  limits.max_logit_rows = device->max_logit_rows;
}

bool EngineState::turn(std::vector<std::unique_ptr<Work>> arrived, uint64_t *until_ns) {
  try {
    take_in(std::move(arrived));
    if (!until_ns) return false;
    const uint64_t now = now_ns();
    end_stopped(now);
    watch_jobs();
    for (size_t i = 0; i < works.size();) i += serve(*works[i]);
    if (sample()) return true;
    std::vector<StepUnit> list;
    const auto views = view(now, &list, until_ns);
    const auto shares = schedule(views, limits);
    return !shares.empty() && forward(shares, list);
  } catch (const std::bad_alloc &) {
    while (!works.empty()) finish(*works.back(), Status(DS_E_MEMORY), Finish::kError);
  } catch (const std::exception &exception) {
    const Status status = fail(DS_E_INTERNAL, "session", "unexpected: %s", exception.what());
    while (!works.empty()) finish(*works.back(), status, Finish::kError);
  }
  return true;
}

void EngineState::end_all(ds_status eval_status) noexcept {
  while (!works.empty()) {
    const bool eval = works.back()->eval;
    finish(*works.back(), eval ? Status(eval_status) : Status(), Finish::kCancelled);
  }
}

// ---- Coming in

void EngineState::take_in(std::vector<std::unique_ptr<Work>> arrived) {
  try {
    works.reserve(works.size() + arrived.size());
  } catch (const std::bad_alloc &) {  // they must end like all others, or somebody waits for ever
    for (auto &work : arrived) end(std::move(work), Status(DS_E_MEMORY), Finish::kError);
    return;
  }
  for (auto &work : arrived) {
    work->order = next_order++;
    works.push_back(std::move(work));
  }
  for (size_t i = 0; i < works.size();) {
    Status status = works[i]->branches.empty() ? prepare(*works[i]) : Status();
    if (status.ok())
      ++i;
    else
      finish(*works[i], std::move(status), Finish::kError);
  }
}

Status EngineState::prepare(Work &work) {
  auto branch = std::make_unique<Branch>();
  branch->ids = work.prompt.ids;
  branch->ids.reserve(branch->ids.size() + 256);
  branch->stream = text::TextStream(work.stops);
  branch->healing = work.prompt.healing;
  set_mask(work, *branch);
  work.branches.reserve(work.options.n_choices);
  work.branches.push_back(std::move(branch));
  JobFeed::running(*work.job);
  return make_sampler(work, *work.branches[0]);
}

bool EngineState::serve(Work &work) {
  if (work.session->settings().suspended) {
    for (auto &branch : work.branches)
      if (branch->lease) store->abandon(&branch->lease);
    return true;
  }
  ask_hosts(work);
  for (size_t i = 0; i < work.branches.size(); ++i)
    if (work.branches[i]->phase == Phase::kWaiting && !admit(work, *work.branches[i])) return false;
  return true;
}

void EngineState::watch_jobs() {
  std::vector<Job *> jobs;
  for (const auto &work : works)
    if (work->job->has_clock()) jobs.push_back(work->job.get());
  engine->set_watched(std::move(jobs));
}

// Cancelled, out of time, or stopped by a callback.
void EngineState::end_stopped(uint64_t now) {
  for (size_t i = works.size(); i-- > 0;) {
    Work &work = *works[i];
    const bool host = work.job->host_cancelled();
    if (host || work.job->should_stop(now)) {
      const ds_status code = host ? DS_E_CANCELLED : DS_E_TIMEOUT;
      finish(work, work.eval ? Status(code) : Status(), host ? Finish::kCancelled : Finish::kDeadline);
    } else if (JobFeed::stop_asked(*work.job)) {
      finish(work, Status(), Finish::kCallback);
    }
  }
}

// Gives a branch its lease, unless somebody is about to compute a good part of its prefix.
bool EngineState::admit(Work &work, Branch &branch) {
  if (branch.preempted && branch.preempted_at == ends && anybody_holds_blocks()) return true;
  const auto n = static_cast<uint32_t>(branch.ids.size());
  kv::LeaseOptions how;
  how.no_store = work.options.no_store;
  how.no_reuse = work.options.no_reuse && !branch.leased_before;
  how.max_reuse = work.eval ? work.first_wanted() : work.options.prefill_only ? n : n - 1;
  if (!how.no_reuse) {
    const auto found = store->lookup(work.identity, std::span(branch.ids).first(std::min(n, how.max_reuse)));
    if (found.promised >= found.committed + device->block_tokens) return true;
  }
  branch.lease = store->acquire(work.identity, branch.ids, how);
  store->promise(&branch.lease, std::span(branch.ids).subspan(branch.lease.rows()));
  if (!branch.leased_before) work.n_cached += branch.lease.rows();
  branch.leased_before = true;
  branch.table_known = branch.preempted = false;
  branch.phase = Phase::kReady;
  std::vector<BranchView> others;
  for (const auto &other : works)
    for (const auto &one : other->branches)
      if (one->phase == Phase::kReady && one.get() != &branch) others.push_back({1, false, 4, one->served});
  branch.served = std::max(branch.served, start_level(others));
  if (branch.lease.rows() < branch.ids.size()) return true;
  finish(work, Status(), work.eval ? Finish::kNone : Finish::kPrefill);  // nothing to compute, nothing to draw
  return false;
}

bool EngineState::anybody_holds_blocks() const {
  return std::ranges::any_of(works, [](const auto &work) {
    return std::ranges::any_of(work->branches, [](const auto &branch) { return static_cast<bool>(branch->lease); });
  });
}

// One question at a time: the answer of the branch that was asked, then the next one that waits for the host. A branch
// that comes back with a question while another one's is open must not take its place.
void EngineState::ask_hosts(Work &work) {
  const auto waits = [](const auto &branch) { return branch->phase == Phase::kTurn; };
  for (;;) {
    auto next = std::ranges::find_if(work.branches, [&](const auto &branch) { return waits(branch) && branch->asked; });
    if (next == work.branches.end()) next = std::ranges::find_if(work.branches, waits);
    if (next == work.branches.end()) return;
    Branch &branch = **next;
    if (!branch.asked) {
      branch.asked = true;
      JobFeed::ask(*work.job, branch.turn);
    }
    if (!JobFeed::answered(*work.job, *branch.turn) || branch.turn->stop) return;  // stop ends the job next time
    branch.asked = false;
    branch.phase = Phase::kSample;
    JobFeed::ask(*work.job, nullptr);
  }
}

// ---- What could run now

std::vector<BranchView> EngineState::view(uint64_t now, std::vector<StepUnit> *list, uint64_t *until_ns) {
  std::vector<BranchView> views;
  const auto solo = std::ranges::find_if(works, [](const auto &work) { return work->solo; });
  for (const auto &work : works) {
    if (solo != works.end() && work != *solo) continue;
    const SessionSettings settings = work->session->settings();
    if (settings.suspended) continue;
    for (const auto &branch : work->branches) {
      if (branch->phase != Phase::kReady) continue;
      BranchView view;
      view.decoding = branch->ids.size() > work->prompt.ids.size();
      if (view.decoding && now < work->next_token_ns) {
        *until_ns = std::min(*until_ns, work->next_token_ns);
        continue;
      }
      view.wanted = static_cast<uint32_t>(branch->ids.size()) - branch->lease.rows();
      view.decoding = view.decoding && view.wanted == 1;
      view.weight = weight_of(settings.priority);
      view.served = branch->served;
      view.chunk = work->chunk;
      view.slice_us = settings.max_slice_us;
      const uint32_t wanted_from = std::max(work->first_wanted(), branch->lease.rows());
      const auto n = static_cast<uint32_t>(branch->ids.size());
      view.wants_logits = work->eval ? n - wanted_from : work->options.prefill_only ? 0 : 1;
      views.push_back(view);
      list->push_back({work.get(), branch.get(), 0, 0, false});
    }
  }
  return views;
}

// ---- Giving way

void EngineState::let_go(Branch &branch) noexcept {
  branch.lease.release();
  if (branch.slot != kNoSlot) slots[branch.slot] = nullptr;
  branch.slot = kNoSlot;
  branch.table_known = false;
}

// Its rows stay in the cache as long as their blocks are not needed; it takes them up again, or computes them again,
// once some other branch has ended. Not earlier: two that give way to each other would never end.
void EngineState::preempt(Branch &branch) {
  let_go(branch);
  branch.phase = Phase::kWaiting;
  branch.preempted = true;
  branch.preempted_at = ends;
  ++facts.preemptions;
}

// No block is left for anybody: the request that came last gives way. Alone, it cannot go on at all.
void EngineState::make_room() {
  Branch *last = nullptr;
  Work *whose = nullptr;
  uint32_t n = 0;
  for (const auto &work : works)
    for (const auto &branch : work->branches) {
      if (!branch->lease || branch->phase == Phase::kDone) continue;
      ++n;
      if (branch->phase != Phase::kReady) continue;
      if (!last || work->order >= whose->order) last = branch.get(), whose = work.get();
    }
  if (!last) return;
  if (n > 1) {
    preempt(*last);
    return;
  }
  std::vector<kv::RowCopy> copies;
  const auto ids = std::span(last->ids).subspan(last->lease.rows());
  Status status = store->reserve(&last->lease, ids.first(1), &copies);
  if (status.ok()) status = Status(DS_E_CACHE_FULL);
  finish(*whose, std::move(status), Finish::kError);
}

// ---- Ending

void EngineState::finish(Work &work, Status status, Finish rest) noexcept {
  auto place = std::ranges::find_if(works, [&](const auto &entry) { return entry.get() == &work; });
  std::unique_ptr<Work> gone = std::move(*place);
  works.erase(place);
  end(std::move(gone), std::move(status), rest);
}

// The same for a work that is not, or no longer, among `works`.
void EngineState::end(std::unique_ptr<Work> gone, Status status, Finish rest) noexcept {
  std::unique_ptr<ResultData> result;
  try {
    for (auto &branch : gone->branches)
      if (branch->phase != Phase::kDone && !gone->eval) finish_branch(*gone, *branch, rest);
    for (size_t i = gone->branches.size(); i < gone->options.n_choices && !gone->eval; ++i)
      JobFeed::finish_choice(*gone->job, static_cast<uint32_t>(i), rest);
    result = result_of(*gone, rest);
  } catch (const std::bad_alloc &) {
    if (status.ok()) status = Status(DS_E_MEMORY);
  }
  for (auto &branch : gone->branches) {
    let_go(*branch);
    branch->sampler.reset();
  }
  ++ends;
  Session &session = *gone->session;
  {
    const std::lock_guard lock(session.mutex_);
    session.n_computed_ += gone->n_computed;
    session.n_cached_ += gone->n_cached;
    if (!gone->eval && !gone->branches.empty()) session.tokens_ = std::move(gone->branches[0]->ids);
  }
  if (gone->eval_out) gone->eval_out->n_computed = gone->n_computed;
  if (!gone->eval) session.give_back();
  engine->forget(gone->job.get());
  try {
    JobFeed::finish(*gone->job, std::move(status), std::move(result));
  } catch (...) {  // a callback of the host threw, which it must not; the job has ended all the same
  }
}

}  // namespace deepseam::session
