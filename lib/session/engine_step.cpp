// Steps: rows and sequences for the backend, copies before, results after.
#include <algorithm>
#include <cstring>

#include "session/adapter.h"
#include "session/engine_state.h"
#include "session/job_feed.h"
#include "session/model.h"

namespace deepseam::session {

void StepDraft::clear() {
  units.clear();
  rows.clear();
  seqs.clear();
  copies.clear();
  jobs.clear();
  n_logit_rows = n_samples = n_top = 0;
  wants_logits = wants_logprobs = false;
}

// ---- Forming

// A slot for a branch's block table: its own, a free one, or that of a branch which is not in this step.
uint32_t EngineState::take_slot(Branch &branch) {
  if (branch.slot != kNoSlot) return branch.slot;
  const auto in_step = [&](const Branch *other) {
    return std::ranges::any_of(draft.units, [&](const StepUnit &unit) { return unit.branch == other; });
  };
  auto place = std::ranges::find(slots, nullptr);
  if (place == slots.end()) place = std::ranges::find_if(slots, [&](const Branch *other) { return !in_step(other); });
  if (*place) {
    (*place)->slot = kNoSlot;
    (*place)->table_known = false;
  }
  *place = &branch;
  branch.slot = static_cast<uint32_t>(place - slots.begin());
  branch.table_known = false;
  return branch.slot;
}

void EngineState::add_seq(Branch &branch, const uint32_t *mask) {
  dsb_seq seq{};
  seq.seq_slot = take_slot(branch);
  seq.kv_len = branch.lease.rows();
  if (!branch.table_known) {
    seq.flags = DSB_SEQ_NEW_TABLE;
    branch.lease.table_forgotten();
  }
  const auto table = branch.lease.table();
  seq.first_block = std::min(branch.lease.changed_from(), static_cast<uint32_t>(table.size()));
  seq.n_blocks = static_cast<uint32_t>(table.size()) - seq.first_block;
  seq.blocks = table.data() + seq.first_block;
  seq.sampler = branch.sampler ? branch.sampler->raw() : nullptr;
  seq.token_mask = mask;
  draft.seqs.push_back(seq);
}

// False if there is no block for it. Its rows are in the draft otherwise.
bool EngineState::add_unit(Work &work, Branch &branch, uint32_t rows) {
  const uint32_t first = branch.lease.rows();
  const auto ids = std::span(branch.ids).subspan(first, rows);
  if (!store->reserve(&branch.lease, ids, &draft.copies).ok()) return false;
  draft.units.push_back({&work, &branch, rows, 0, false});
  StepUnit &unit = draft.units.back();
  const bool last_chunk = first + rows == branch.ids.size();
  const bool split = JobFeed::wants_turns(*work.job) || work.branches.size() < work.options.n_choices;
  unit.samples = !work.eval && !work.options.prefill_only && last_chunk && !split;
  const uint32_t seq = static_cast<uint32_t>(draft.seqs.size());
  for (uint32_t i = 0; i < rows; ++i) {
    dsb_row row{};
    row.seq = seq;
    row.position = row.kv_row = first + i;
    row.token_source = DSB_TOKEN_HOST;
    row.token_id = ids[i];
    row.hidden_row = row.mask_offset = DSB_NONE;
    const bool last = last_chunk && i + 1 == rows;
    if (work.eval)
      row.want = first + i >= work.first_wanted() ? DSB_WANT_LOGITS : 0;
    else if (last && !work.options.prefill_only)
      row.want = unit.samples ? DSB_WANT_SAMPLE : DSB_WANT_LOGITS;
    unit.n_logits += row.want != 0;
    draft.wants_logits |= row.want == DSB_WANT_LOGITS;
    draft.rows.push_back(row);
  }
  draft.n_logit_rows += unit.n_logits;
  if (unit.samples) {
    ++draft.n_samples;
    draft.wants_logprobs |= work.options.logprobs || work.options.n_logprobs;
    draft.n_top = std::max(draft.n_top, work.options.n_logprobs);
  }
  add_seq(branch, branch.mask.empty() ? nullptr : branch.mask.data());
  if (work.options.adapter) draft.seqs.back().adapter_slot = work.options.adapter->slot();
  if (std::ranges::find(draft.jobs, work.job.get()) == draft.jobs.end()) draft.jobs.push_back(work.job.get());
  return true;
}

Status EngineState::copy_rows() {
  if (draft.copies.empty()) return {};
  std::vector<dsb_row_copy> copies;
  for (const kv::RowCopy &copy : draft.copies)
    copies.push_back({copy.from_block, copy.from_row, copy.n_rows, copy.to_block, copy.to_row, 0});
  DS_TRY_VALUE(auto ticket, device->pool->copy_rows(copies));
  return runtime::finish(std::move(ticket));
}

Status EngineState::make_room_for_outputs(bool needs_logits) {
  draft.ids.assign(draft.n_samples, 0);
  draft.logprobs.assign(draft.wants_logprobs ? draft.n_samples : 0, 0);
  draft.top_ids.assign(size_t{draft.n_samples} * draft.n_top, 0);
  draft.top_logprobs.assign(size_t{draft.n_samples} * draft.n_top, 0);
  if (!needs_logits || logits.size()) return {};
  DS_TRY_VALUE(logits, Buffer::make(device->allocator, uint64_t{device->max_logit_rows} * device->vocab * 4,
                                    MemoryTag::kScratch));
  return {};
}

// ---- Running

StepEnd EngineState::run(uint32_t entry, bool needs_logits, Status *status) {
  *status = make_room_for_outputs(needs_logits);
  if (!status->ok()) return StepEnd::kFailed;
  dsb_outputs outputs{};
  outputs.struct_size = sizeof outputs;
  outputs.logits = needs_logits ? reinterpret_cast<float *>(logits.data()) : nullptr;
  outputs.ids = draft.n_samples ? draft.ids.data() : nullptr;
  outputs.logprobs = draft.logprobs.empty() ? nullptr : draft.logprobs.data();
  outputs.n_top = draft.n_top;
  outputs.top_ids = draft.n_top ? draft.top_ids.data() : nullptr;
  outputs.top_logprobs = draft.n_top ? draft.top_logprobs.data() : nullptr;
  outputs.op_ns = device->profile ? facts.op_ns.data() : nullptr;
  dsb_step step{};
  step.struct_size = sizeof step;
  step.entry = entry;
  step.n_rows = static_cast<uint32_t>(draft.rows.size());
  step.n_seqs = static_cast<uint32_t>(draft.seqs.size());
  step.rows = draft.rows.data();
  step.seqs = draft.seqs.data();
  step.row_stride = sizeof(dsb_row);
  step.seq_stride = sizeof(dsb_seq);
  step.pool = device->pool->raw();
  step.repeat = 1;
  step.cancel_word = device->cancel->address();
  step.outputs = &outputs;
  if (!engine->begin_step(draft.jobs)) return StepEnd::kCancelled;
  struct Ended {  // also if something throws: the list of jobs must not outlive the step
    Engine *engine;
    ~Ended() { engine->end_step(); }
  } step_end{engine};
  auto judge = [&]() -> Result<runtime::TicketState> {
    DS_TRY(copy_rows());
    DS_TRY_VALUE(auto running, device->executor->submit(0, step, {device->pool->raw()}));
    for (;;) {
      DS_TRY_VALUE(const runtime::TicketState state, running->wait());
      if (state != runtime::TicketState::kYielded && state != runtime::TicketState::kRunning) return state;
      if (state == runtime::TicketState::kYielded) DS_TRY(running->resume());
    }
  };
  const uint64_t start = now_ns();
  auto ended = judge();
  facts.step_ns += now_ns() - start;
  if (!ended.ok()) {
    *status = std::move(ended).status();
    return status->code() == DS_E_CANCELLED ? StepEnd::kCancelled : StepEnd::kFailed;
  }
  return *ended == runtime::TicketState::kDone ? StepEnd::kDone : StepEnd::kCancelled;
}

// One failing request must not take the others with it: of several, each is tried alone. A lost device ends all.
void EngineState::step_failed(const Status &status) {
  const bool lost = status.code() == DS_E_DEVICE_LOST || status.code() == DS_E_DEVICE_LOST_SHARED;
  std::vector<Work *> failed;
  for (const StepUnit &unit : draft.units)
    if (std::ranges::find(failed, unit.work) == failed.end()) failed.push_back(unit.work);
  if (failed.size() > 1 && !lost) {
    for (Work *work : failed) work->solo = true;
    return;
  }
  if (lost)
    while (!works.empty()) finish(*works.back(), status, Finish::kError);
  else
    finish(*failed[0], status, Finish::kError);
}

bool EngineState::forward(std::span<const Share> shares, const std::vector<StepUnit> &list) {
  draft.clear();
  for (const Share &share : shares) add_unit(*list[share.branch].work, *list[share.branch].branch, share.rows);
  if (draft.units.empty()) {
    make_room();
    return true;
  }
  const uint64_t start = now_ns();
  for (const StepUnit &unit : draft.units)
    if (!unit.work->first_step_ns) unit.work->first_step_ns = start;
  Status status;
  const uint32_t entry = DSB_ENTRY_FORWARD | (draft.n_samples ? DSB_ENTRY_SAMPLE : 0);
  const StepEnd end = run(entry, draft.wants_logits, &status);
  if (end != StepEnd::kDone) {
    facts.cancelled_steps += end == StepEnd::kCancelled;
    for (const StepUnit &unit : draft.units) unit.branch->table_known = false;
    if (end == StepEnd::kFailed) step_failed(status);
    return true;
  }
  const double us = static_cast<double>(now_ns() - start) * 1e-3 / static_cast<double>(draft.rows.size());
  if (draft.rows.size() >= 8) limits.row_us = limits.row_us > 0 ? 0.75 * limits.row_us + 0.25 * us : us;
  ++facts.steps;
  facts.rows += draft.rows.size();
  facts.shared_steps += draft.jobs.size() > 1;
  take_results();
  return true;
}

// ---- After a step

void EngineState::take_results() {
  const auto *rows = reinterpret_cast<const float *>(logits.data());
  // First all bookkeeping, so that what is told to hosts below cannot disturb it.
  for (const StepUnit &unit : draft.units) {
    store->commit(&unit.branch->lease, unit.n_rows);
    unit.branch->lease.table_sent();
    unit.branch->table_known = true;
    unit.branch->served += static_cast<double>(unit.n_rows) / weight_of(unit.work->session->settings().priority);
    unit.work->n_computed += unit.n_rows;
    unit.work->solo = false;
    facts.decode_rows += unit.n_rows == 1 && unit.branch->ids.size() > unit.work->prompt.ids.size();
  }
  const std::vector<StepUnit> units = draft.units;  // a finished request is gone, and its units with it
  const uint32_t n_top = draft.n_top;
  uint32_t logit_row = 0, sample = 0;
  for (const StepUnit &unit : units) {
    Work &work = *unit.work;
    Branch &branch = *unit.branch;
    const uint32_t first_logit = logit_row, at = sample;
    logit_row += unit.n_logits;
    sample += unit.samples;
    if (work.eval) {
      take_logits(unit, rows ? rows + size_t{first_logit} * device->vocab : nullptr);
      continue;
    }
    if (branch.lease.rows() <= work.prompt.ids.size())
      JobFeed::progress(*work.job, {Stage::kPrefill, branch.lease.rows(), work.prompt.ids.size()});
    if (branch.lease.rows() < branch.ids.size()) continue;
    if (work.options.prefill_only) {
      finish_branch(work, branch, Finish::kPrefill);
    } else if (!unit.samples) {
      prompt_done(work, branch, rows + size_t{first_logit} * device->vocab);
    } else {
      std::vector<TokenLogprob> logprobs;
      if (!draft.logprobs.empty()) logprobs.push_back({draft.ids[at], draft.logprobs[at]});
      for (uint32_t i = 0; i < work.options.n_logprobs; ++i)
        logprobs.push_back({draft.top_ids[size_t{at} * n_top + i], draft.top_logprobs[size_t{at} * n_top + i]});
      take_token(work, branch, draft.ids[at], logprobs.data());
    }
  }
}

void EngineState::take_logits(const StepUnit &unit, const float *from) {
  Work &work = *unit.work;
  const uint32_t end = unit.branch->lease.rows();
  if (unit.n_logits) {
    const uint32_t first = end - unit.n_logits - work.first_wanted();
    std::memcpy(work.logits + size_t{first} * device->vocab, from, size_t{unit.n_logits} * device->vocab * 4);
  }
  if (end == unit.branch->ids.size()) finish(work, Status(), Finish::kNone);
}

// Draws for branches whose logits the host has seen, or that share one prompt's.
bool EngineState::sample() {
  draft.clear();
  const uint32_t most = std::min(device->max_seqs, device->max_logit_rows);
  const auto solo = std::ranges::find_if(works, [](const auto &work) { return work->solo; });
  for (const auto &work : works) {
    if (solo != works.end() && work != *solo) continue;
    if (work->session->settings().suspended) continue;
    for (const auto &branch : work->branches) {
      if (branch->phase != Phase::kSample || draft.units.size() == most) continue;
      draft.units.push_back({work.get(), branch.get(), 0, 1, true});
      draft.wants_logprobs |= work->options.logprobs || work->options.n_logprobs;
      draft.n_top = std::max(draft.n_top, work->options.n_logprobs);
      if (draft.jobs.empty() || draft.jobs.back() != work->job.get()) draft.jobs.push_back(work->job.get());
    }
  }
  if (draft.units.empty()) return false;
  draft.n_samples = draft.n_logit_rows = static_cast<uint32_t>(draft.units.size());
  Status status = make_room_for_outputs(true);
  for (uint32_t i = 0; i < draft.units.size() && status.ok(); ++i) {
    Branch &branch = *draft.units[i].branch;
    std::memcpy(logits.data() + size_t{i} * device->vocab * 4, branch.turn->logits.data(), size_t{device->vocab} * 4);
    std::vector<uint32_t> &mask = branch.turn->mask;
    for (size_t word = 0; word < mask.size() && word < branch.mask.size(); ++word) mask[word] &= branch.mask[word];
    dsb_row row{};
    row.seq = i;
    row.position = row.kv_row = branch.lease.rows();
    row.hidden_row = row.mask_offset = DSB_NONE;
    row.want = DSB_WANT_SAMPLE;
    draft.rows.push_back(row);
    const std::vector<uint32_t> &allowed = mask.empty() ? branch.mask : mask;
    dsb_seq seq{};
    seq.seq_slot = i;  // its table stays as it is: a draw reads no rows
    seq.kv_len = branch.lease.rows();
    seq.sampler = branch.sampler->raw();
    seq.token_mask = allowed.empty() ? nullptr : allowed.data();
    draft.seqs.push_back(seq);
  }
  const StepEnd end = status.ok() ? run(DSB_ENTRY_SAMPLE, true, &status) : StepEnd::kFailed;
  facts.cancelled_steps += end == StepEnd::kCancelled;
  if (end == StepEnd::kFailed) step_failed(status);
  if (end != StepEnd::kDone) return true;
  const std::vector<StepUnit> units = draft.units;
  const uint32_t n_top = draft.n_top;
  for (size_t i = 0; i < units.size(); ++i) {
    Work &work = *units[i].work;
    Branch &branch = *units[i].branch;
    work.solo = false;
    branch.turn.reset();
    branch.phase = Phase::kReady;
    std::vector<TokenLogprob> logprobs;
    if (!draft.logprobs.empty()) logprobs.push_back({draft.ids[i], draft.logprobs[i]});
    for (uint32_t j = 0; j < work.options.n_logprobs; ++j)
      logprobs.push_back({draft.top_ids[i * n_top + j], draft.top_logprobs[i * n_top + j]});
    take_token(work, branch, draft.ids[i], logprobs.data());
  }
  return true;
}

}  // namespace deepseam::session
