// The end of a step: results to the host, draws, accepting drafts, and what becomes of state outside the exec.
#include <algorithm>
#include <cstring>

#include "sdk/exec.h"

namespace deepseam::sdk {

// Sample without forward: the logits are the host's.
void Exec::load_logits() {
  std::memcpy(logits_, step_.outputs.logits, layout_.logit_cols() * sizeof(float) * n_logit_rows_);
}

void Exec::give_results() {
  const dsb_outputs &outputs = step_.outputs;
  if (outputs.logits && n_logit_rows_)
    std::memcpy(outputs.logits, logits_, layout_.logit_cols() * sizeof(float) * n_logit_rows_);
  if (!outputs.hidden || hidden_places_.empty()) return;
  const uint64_t cols = layout_.hidden_cols();
  const auto *hidden = static_cast<const float *>(tensors_[layout_.graph.hidden]);
  for (size_t i = 0; i < hidden_places_.size(); ++i)
    std::copy_n(hidden + hidden_places_[i] * cols, cols, outputs.hidden + i * cols);
}

// One draw. The logits are used up, so what is told of them is told first.
Status Exec::draw_row(Draw *draw, const CheckedSeq &seq, uint64_t ahead) {
  const dsb_outputs &outputs = step_.outputs;
  const uint64_t cols = layout_.logit_cols(), n_top = outputs.n_top;
  const uint64_t place = uint64_t{repeat_} * step_.n_samples + draw->place;
  float *logits = logits_ + draw->logits_row * cols;
  const bool wants_top = n_top && (outputs.top_ids || outputs.top_logprobs);
  double log_sum = 0;
  std::vector<float> raw;
  if (wants_top || outputs.logprobs) {
    log_sum = log_sum_exp(logits, cols);
    raw.assign(logits, logits + cols);
  }
  DS_TRY_VALUE(draw->token, seq.sampler->draw(logits, cols, seq.desc.token_mask, ahead));
  if (outputs.logprobs) outputs.logprobs[place] = static_cast<float>(raw[draw->token] - log_sum);
  if (wants_top)
    top_logprobs(raw.data(), cols, log_sum, outputs.n_top, outputs.top_ids ? outputs.top_ids + place * n_top : nullptr,
                 outputs.top_logprobs ? outputs.top_logprobs + place * n_top : nullptr);
  return {};
}

// All draws of a sequence in this repeat. Without accept each draw is taken before the next. With accept a row at depth
// d draws as the run without drafts would have: after the tokens on its path, with number c + d.
void Exec::draw_seq(Progress *progress, const CheckedSeq &seq) {
  for (Draw *draw : progress->draws) {
    if (tasks_.cancelled()) return;
    if (!step_.has(DSB_ENTRY_ACCEPT)) {
      progress->failure = draw_row(draw, seq, 0);
      if (!progress->failure.ok()) return;
      seq.sampler->take(draw->token);
      continue;
    }
    std::vector<uint32_t> path;  // tokens from this row up to, and without, its root
    for (uint32_t at = draw->row - seq.first_row;;) {
      const uint32_t parent = parent_of(step_, step_.rows[seq.first_row + at], at);
      if (parent == DSB_NONE) break;
      path.push_back(rows_[seq.first_row + at].token);
      at = parent;
    }
    const Sampler::Mark mark = seq.sampler->mark();
    for (size_t i = path.size(); i-- > 0;) seq.sampler->see(path[i]);
    progress->failure = draw_row(draw, seq, path.size());
    seq.sampler->roll_back(mark);
    if (!progress->failure.ok()) return;
  }
}

Status Exec::draw() {
  if (tasks_.cancelled()) return {};
  const auto one = [this](uint32_t i) {
    if (!progress_[i].draws.empty()) draw_seq(&progress_[i], step_.seqs[i]);
  };
  tasks_.parallel(static_cast<uint32_t>(progress_.size()), one);
  DS_TRY(tasks_.failure());
  for (Progress &progress : progress_)
    if (!progress.failure.ok()) return std::move(progress.failure);
  return {};
}

bool Exec::stops(const CheckedSeq &seq, uint32_t token) const {
  const uint32_t *end = seq.desc.stop_ids + seq.desc.n_stop_ids;
  return std::find(seq.desc.stop_ids, end, token) != end;
}

void Exec::give_draws() {
  const dsb_outputs &outputs = step_.outputs;
  for (const Draw &draw : draws_) {
    Progress &progress = progress_[draw.seq];
    const CheckedSeq &seq = step_.seqs[draw.seq];
    progress.last_token = draw.token;
    ++progress.n_drawn;
    progress.going = !stops(seq, draw.token) && (!seq.desc.max_new || progress.n_drawn < seq.desc.max_new);
    if (outputs.ids) outputs.ids[uint64_t{repeat_} * step_.n_samples + draw.place] = draw.token;
  }
  if (outputs.n_steps) __atomic_store_n(outputs.n_steps, repeat_ + 1, __ATOMIC_RELEASE);
}

void Exec::accept() {
  for (uint32_t i = 0; i < step_.seqs.size(); ++i)
    if (step_.seqs[i].n_rows) accept_seq(i);
}

// Walks from the root along drafts that equal what was drawn, moving each accepted row behind the one before.
void Exec::accept_seq(uint32_t index) {
  const CheckedSeq &seq = step_.seqs[index];
  Progress &progress = progress_[index];
  const dsb_outputs &outputs = step_.outputs;
  const uint32_t tokens = layout_.options.block_tokens;
  const std::vector<uint32_t> &table = program_.tables[seq.desc.seq_slot];
  const Row *rows = rows_.data() + seq.first_row;
  uint32_t at = 0, n_accepted = 0;
  for (;;) {
    const uint32_t token = progress.draws[at]->token;
    if (outputs.accepted_ids) outputs.accepted_ids[seq.first_row + n_accepted] = token;
    seq.sampler->take(token);
    if (stops(seq, token)) break;
    uint32_t next = at + 1;
    while (next < seq.n_rows &&
           (rows[next].token != token || parent_of(step_, step_.rows[seq.first_row + next], next) != at))
      ++next;
    if (next == seq.n_rows) break;
    at = next;
    ++n_accepted;
    const uint32_t from = rows[at].kv_row, to = rows[0].kv_row + n_accepted;
    if (layout_.kv.rank && from != to)
      step_.pool->move_row(table[from / tokens], from % tokens, table[to / tokens], to % tokens);
  }
  if (outputs.n_accepted) outputs.n_accepted[index] = n_accepted;
  progress.n_stored = n_accepted + 1;
}

void Exec::commit() {
  for (uint32_t i = 0; i < step_.seqs.size(); ++i) {
    const dsb_seq &desc = step_.seqs[i].desc;
    if (desc.kv_len_source == DSB_KV_LEN_DEVICE && step_.has(DSB_ENTRY_FORWARD | DSB_ENTRY_ACCEPT))
      __atomic_add_fetch(desc.kv_len_word, progress_[i].n_stored, __ATOMIC_ACQ_REL);
  }
  if (!step_.outputs.expert_counts) return;
  for (size_t i = 0; i < expert_counts_.size(); ++i) step_.outputs.expert_counts[i] += expert_counts_[i];
}

void Exec::take_back() {
  for (uint32_t i = 0; i < progress_.size(); ++i)
    if (step_.seqs[i].sampler) step_.seqs[i].sampler->roll_back(progress_[i].mark);
}

}  // namespace deepseam::sdk
