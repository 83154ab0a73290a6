#include "sdk/exec.h"

#include <algorithm>
#include <cstring>

#include "base/fp_env.h"

namespace deepseam::sdk {
namespace {

using graph::Attr;
using graph::Op;

constexpr uint32_t kFirstGuess = 16;  // rows of a node whose speed is not known yet

static_assert(static_cast<uint32_t>(Op::kCopy) < DSB_OP_TIMES);

// Counts a computing call for quiesce.
class Running {
 public:
  explicit Running(Instance &instance) : instance_(instance) { instance_.running.fetch_add(1); }
  ~Running() { instance_.running.fetch_sub(1); }
  Running(const Running &) = delete;
  Running &operator=(const Running &) = delete;

 private:
  Instance &instance_;
};

}  // namespace

Result<Exec *> Exec::make(Program &program, uint32_t max_rows) {
  const Layout &layout = program.layout;
  if (max_rows < 1 || max_rows > layout.options.max_rows)
    return fail(DS_E_ARGUMENT, "backend", "exec: max_rows is %u, expected 1 to the plan's %u", max_rows,
                layout.options.max_rows);
  std::unique_ptr<Exec> exec(new Exec(program, max_rows));
  DS_TRY_VALUE(const graph::Arena arena, graph::plan_arena(layout.arena_graph, max_rows, max_rows));
  DS_TRY_VALUE(const uint64_t bytes, layout.exec_bytes(max_rows));
  DS_TRY_VALUE(exec->memory_, Memory::make(program.device, bytes, 64, DSB_TAG_SCRATCH));
  uint8_t *base = exec->memory_.data();
  exec->tensors_.resize(layout.graph.tensors.size());
  for (size_t i = 0; i < exec->tensors_.size(); ++i)
    if (arena.offset[i] != UINT64_MAX) exec->tensors_[i] = base + arena.offset[i];
  const uint64_t logits = layout.logit_cols() * sizeof(float) * layout.logit_rows(max_rows);
  if (logits) {
    exec->logits_ = reinterpret_cast<float *>(base + arena.bytes);
    exec->tensors_[layout.graph.logits] = exec->logits_;
  }
  exec->scratch_ = reinterpret_cast<std::byte *>(base + arena.bytes + (logits + 63) / 64 * 64);
  DS_TRY(exec->reserve());
  return exec.release();
}

// A step in flight allocates as little as it can.
Status Exec::reserve() {
  const dsb_plan_options &options = layout_.options;
  row_ns_.assign(layout_.nodes.size(), 0);
  rows_.reserve(max_rows_);
  step_.rows.reserve(max_rows_);
  step_.seqs.reserve(options.max_seqs);
  step_.places.reserve(max_rows_);
  seqs_.reserve(options.max_seqs);
  progress_.reserve(options.max_seqs);
  gathered_.reserve(max_rows_);
  hidden_places_.reserve(max_rows_);
  logit_places_.reserve(layout_.logit_rows(max_rows_));
  draws_.reserve(layout_.logit_rows(max_rows_));
  for (const PlannedNode &node : layout_.nodes)
    if (node.plan.node.op == Op::kMoeRoute)
      n_experts_ = std::max(n_experts_, static_cast<uint32_t>(node.plan.node.get_int(Attr::kNumExperts)));
  expert_counts_.assign(size_t{layout_.n_moe_layers} * n_experts_, 0);
  return {};
}

Status Exec::submit(const dsb_step *step) {
  if (busy()) return fail(DS_E_BUSY, "backend", "the exec has a step whose ticket is not released");
  DS_TRY(check_step(program_, max_rows_, step, &step_));
  apply_tables(program_, step_);
  Instance &instance = program_.device.instance;
  tasks_ = Tasks(instance.host, step_.desc.cancel_word, &instance.stop);
  failure_ = Status();
  state_ = DSB_TICKET_RUNNING;
  phase_ = Phase::kStart;
  progress_.clear();
  draws_.clear();
  return {};
}

Status Exec::resume() {
  if (state_ == DSB_TICKET_YIELDED) state_ = DSB_TICKET_RUNNING;
  return {};
}

Status Exec::poll(uint32_t *state) {
  const Status status = advance(UINT64_MAX, true);
  *state = state_;
  return status;
}

Status Exec::wait(uint64_t timeout_ns, uint32_t *state) {
  const uint64_t begin = now();
  const Status status = advance(timeout_ns > UINT64_MAX - begin ? UINT64_MAX : begin + timeout_ns, false);
  *state = state_;
  return status;
}

void Exec::release() {
  if (phase_ != Phase::kIdle && phase_ != Phase::kEnded) end(DSB_TICKET_CANCELLED);
  phase_ = Phase::kIdle;
  for (CheckedSeq &seq : step_.seqs) seq.adapter.reset();
}

uint64_t Exec::now() const {
  const dsb_host &host = program_.device.instance.host;
  return host.clock_ns(host.user);
}

// The time, if the step wants to know how it is spent.
uint64_t Exec::clock() const { return step_.outputs.op_ns ? now() : 0; }

void Exec::count_time(Op op, uint64_t begin) {
  if (step_.outputs.op_ns) step_.outputs.op_ns[static_cast<uint32_t>(op)] += now() - begin;
}

// Units until the step ends or yields, the time is over, or (one_unit) a first one is done.
Status Exec::advance(uint64_t deadline, bool one_unit) {
  if (state_ != DSB_TICKET_RUNNING || phase_ == Phase::kIdle) return failure_;
  const Running running(program_.device.instance);
  const FpEnv environment;
  const uint64_t hint_ns = uint64_t{layout_.options.slice_hint_us} * 1000;
  const uint64_t slice_end = hint_ns ? now() + hint_ns : UINT64_MAX;
  while (state_ == DSB_TICKET_RUNNING) {
    if (tasks_.cancelled()) {
      end(DSB_TICKET_CANCELLED);
      break;
    }
    Status status;
    try {
      status = unit(slice_end);
    } catch (const std::bad_alloc &) {
      status = fail(DS_E_MEMORY, "backend", "the step ran out of memory");
    }
    if (!status.ok()) return fail_with(std::move(status));
    if (state_ != DSB_TICKET_RUNNING) break;
    if (hint_ns ? now() >= slice_end : one_unit) {
      if (hint_ns) state_ = DSB_TICKET_YIELDED;
      break;
    }
    if (deadline != UINT64_MAX && now() >= deadline) break;
  }
  return failure_;
}

Status Exec::fail_with(Status failure) {
  end(DSB_TICKET_FAILED);
  failure_ = std::move(failure);
  return failure_;
}

void Exec::end(uint32_t state) {
  if (state == DSB_TICKET_DONE)
    commit();
  else
    take_back();
  state_ = state;
  phase_ = Phase::kEnded;
}

Status Exec::unit(uint64_t slice_end) {
  switch (phase_) {
    case Phase::kStart:
      DS_TRY(start());
      phase_ = step_.has(DSB_ENTRY_FORWARD) ? Phase::kNodes : Phase::kDraw;
      if (phase_ == Phase::kDraw) load_logits();
      return {};
    case Phase::kNodes:
      DS_TRY(run_nodes(slice_end));
      if (node_ < layout_.nodes.size() || tasks_.cancelled()) return {};
      if (repeat_ == 0) give_results();
      phase_ = Phase::kDraw;
      return {};
    case Phase::kDraw:
      if (step_.has(DSB_ENTRY_SAMPLE)) {
        const uint64_t begin = clock();
        DS_TRY(draw());
        count_time(Op::kSample, begin);
      }
      if (tasks_.cancelled()) return {};
      give_draws();
      if (step_.has(DSB_ENTRY_ACCEPT)) {
        const uint64_t begin = clock();
        accept();
        count_time(Op::kAccept, begin);
      }
      next_rows();
      if (rows_.empty()) end(DSB_TICKET_DONE);
      return {};
    default:
      return {};
  }
}

Result<uint32_t> Exec::token_of(const dsb_row &row, const CheckedSeq &seq) const {
  uint32_t token = row.token_id;
  if (row.token_source == DSB_TOKEN_LAST) {
    if (!seq.sampler->has_last())
      return fail(DS_E_ARGUMENT, "backend", "step: the last token of a sampler that has none");
    token = seq.sampler->last();
  }
  if (row.token_source == DSB_TOKEN_DRAFT) token = seq.desc.draft_ids[row.token_id];
  if (layout_.embed_rows && step_.has(DSB_ENTRY_FORWARD) && token >= layout_.embed_rows)
    return fail(DS_E_ARGUMENT, "backend", "step: token %u, expected below the vocabulary of %u", token,
                layout_.embed_rows);
  return token;
}

Status Exec::start_seq(uint32_t index) {
  const CheckedSeq &seq = step_.seqs[index];
  Progress progress;
  progress.kv_len = seq.desc.kv_len;
  if (seq.desc.kv_len_source == DSB_KV_LEN_DEVICE) {
    progress.kv_len = __atomic_load_n(seq.desc.kv_len_word, __ATOMIC_ACQUIRE);
    if (layout_.kv.rank && step_.has(DSB_ENTRY_FORWARD | DSB_ENTRY_ACCEPT))
      DS_TRY(check_seq_places(program_, step_, index, progress.kv_len, true));
  }
  progress.n_stored = seq.n_rows;
  progress.going = seq.n_samples > 0;
  if (seq.sampler) progress.mark = seq.sampler->mark();
  progress.draws.reserve(seq.n_samples);
  progress_.push_back(std::move(progress));
  seqs_.push_back({seq.first_row, seq.n_rows, progress_.back().kv_len, program_.tables[seq.desc.seq_slot].data()});
  return {};
}

Status Exec::start() {
  progress_.clear();
  seqs_.clear();
  rows_.clear();
  any_adapter_ = false;
  for (uint32_t i = 0; i < step_.seqs.size(); ++i) DS_TRY(start_seq(i));
  for (uint32_t i = 0; i < step_.rows.size(); ++i) {
    const dsb_row &given = step_.rows[i];
    const CheckedSeq &seq = step_.seqs[given.seq];
    Progress &progress = progress_[given.seq];
    const uint32_t shift = progress.kv_len - seq.desc.kv_len;
    Row row;
    row.seq = given.seq;
    row.in_seq = i - seq.first_row;
    row.position = given.position + shift;
    row.kv_row = given.kv_row + shift;
    DS_TRY_VALUE(row.token, token_of(given, seq));
    row.hidden_row = given.hidden_row;
    row.want = given.want;
    if (given.mask_offset != DSB_NONE) row.ancestors = step_.desc.ancestors + given.mask_offset;
    row.adapter = seq.adapter.get();
    any_adapter_ = any_adapter_ || row.adapter;
    progress.position = row.position;
    progress.kv_row = row.kv_row;
    rows_.push_back(row);
  }
  std::fill(expert_counts_.begin(), expert_counts_.end(), 0);
  const dsb_outputs &outputs = step_.outputs;
  if (outputs.ids) std::fill_n(outputs.ids, size_t{step_.repeat} * step_.n_samples, DSB_NONE);
  if (outputs.n_steps) __atomic_store_n(outputs.n_steps, 0, __ATOMIC_RELEASE);
  repeat_ = 0;
  gather();
  if (step_.has(DSB_ENTRY_FORWARD)) touch_blocks();
  return {};
}

// After a draw: the drawn tokens as rows of the next repeat; none if the step is over.
void Exec::next_rows() {
  rows_.clear();
  if (++repeat_ >= step_.repeat) return;
  for (uint32_t i = 0; i < step_.seqs.size(); ++i) {
    Progress &progress = progress_[i];
    seqs_[i].n_rows = 0;
    if (!progress.going) continue;
    progress.kv_len = ++progress.kv_row;
    ++progress.position;
    ++progress.n_stored;
    seqs_[i] = {static_cast<uint32_t>(rows_.size()), 1, progress.kv_len, seqs_[i].table};
    Row row;
    row.seq = i;
    row.position = progress.position;
    row.kv_row = progress.kv_row;
    row.token = progress.last_token;
    row.want = DSB_WANT_SAMPLE;
    row.adapter = step_.seqs[i].adapter.get();
    rows_.push_back(row);
  }
  if (rows_.empty()) return;
  gather();
  touch_blocks();
  phase_ = Phase::kNodes;
}

// Which rows want something, those with logits first, and where their results go.
void Exec::gather() {
  node_ = node_row_ = 0;
  gathered_.clear();
  hidden_places_.clear();
  logit_places_.clear();
  draws_.clear();
  for (Progress &progress : progress_) progress.draws.clear();
  for (uint32_t i = 0; i < rows_.size(); ++i) {
    if (!(rows_[i].want & (DSB_WANT_LOGITS | DSB_WANT_SAMPLE))) continue;
    const uint32_t logits_row = static_cast<uint32_t>(gathered_.size());
    gathered_.push_back(i);
    if (!(rows_[i].want & DSB_WANT_SAMPLE)) continue;
    Progress &progress = progress_[rows_[i].seq];
    const uint32_t place = repeat_ ? progress.place : static_cast<uint32_t>(draws_.size());
    if (!repeat_) progress.place = place;  // of its only draw if there are repeats
    draws_.push_back({rows_[i].seq, i, logits_row, place, 0});
  }
  for (Draw &draw : draws_) progress_[draw.seq].draws.push_back(&draw);
  n_logit_rows_ = static_cast<uint32_t>(gathered_.size());
  for (uint32_t i = 0, next = 0; i < rows_.size(); ++i) {
    const bool has_logits = (rows_[i].want & (DSB_WANT_LOGITS | DSB_WANT_SAMPLE)) != 0;
    if (rows_[i].want & DSB_WANT_HIDDEN)
      hidden_places_.push_back(has_logits ? next : static_cast<uint32_t>(gathered_.size()));
    if (has_logits)
      ++next;
    else if (rows_[i].want)
      gathered_.push_back(i);
  }
}

void Exec::touch_blocks() {
  if (!layout_.kv.rank) return;
  for (const Row &row : rows_) step_.pool->touch(seqs_[row.seq].table[row.kv_row / layout_.options.block_tokens]);
}

uint32_t Exec::rows_of(const PlannedNode &node) const {
  const graph::Tensor &output = node.plan.output(0);
  if (output.shape[0] == graph::kRows) return static_cast<uint32_t>(rows_.size());
  const bool logits = layout_.graph.logits != graph::kAbsent && node.plan.node.outputs[0] == layout_.graph.logits;
  return logits ? n_logit_rows_ : static_cast<uint32_t>(gathered_.size());
}

// One kernel call: the current node over as many rows as the slice has time for.
Status Exec::run_nodes(uint64_t slice_end) {
  const PlannedNode &node = layout_.nodes[node_];
  const uint32_t rows = node.kernel ? rows_of(node) : 0;
  uint32_t count = rows - node_row_;
  const bool whole = !node.kernel || (node.kernel->flags & kKernelWholeStep) || layout_.group;
  const uint64_t begin = slice_end == UINT64_MAX ? clock() : now();
  if (slice_end != UINT64_MAX && !whole && count) {
    const double left = slice_end > begin ? static_cast<double>(slice_end - begin) : 0;
    const double fit = row_ns_[node_] > 0 ? left / row_ns_[node_] : kFirstGuess;
    count = static_cast<uint32_t>(std::min<double>(count, std::max(1.0, fit)));
  }
  if (count) {
    RunContext context{node.plan, tasks_};
    context.first_row = node_row_;
    context.n_rows = count;
    context.max_rows = max_rows_;
    context.tensors = tensors_.data();
    context.weights = program_.node_weights[node_];
    context.state = program_.node_states[node_].get();
    context.scratch = scratch_;
    context.rows = rows_;
    context.seqs = seqs_;
    context.gathered = gathered_;
    if (layout_.kv.rank) context.kv = {step_.pool->shape(), step_.pool->blocks()};
    context.hidden_in = step_.desc.hidden_in;
    context.group = layout_.group ? &layout_.group->desc : nullptr;
    context.any_adapter = any_adapter_;
    DS_TRY(node.kernel->run(context));
    DS_TRY(tasks_.failure());
    count_time(node.plan.node.op, begin);
    if (slice_end != UINT64_MAX) row_ns_[node_] = static_cast<double>(now() - begin) / count;
  }
  node_row_ += count;
  if (node_row_ < rows || tasks_.cancelled()) return {};
  if (node.plan.node.op == Op::kMoeRoute) keep_routes(node);
  ++node_;
  node_row_ = 0;
  return {};
}

// The router's choices to the trace and the counts.
void Exec::keep_routes(const PlannedNode &node) {
  const dsb_outputs &outputs = step_.outputs;
  const uint32_t layer = static_cast<uint32_t>(node.plan.node.get_int(Attr::kMoeLayer));
  const uint64_t n = uint64_t{rows_of(node)} * node.plan.output_cols(0);
  const auto *ids = static_cast<const int32_t *>(tensors_[node.plan.node.outputs[0]]);
  const auto *weights = static_cast<const float *>(tensors_[node.plan.node.outputs[1]]);
  for (uint64_t i = 0; outputs.expert_counts && i < n; ++i)
    ++expert_counts_[size_t{layer} * n_experts_ + static_cast<uint32_t>(ids[i])];
  if (repeat_ > 0) return;
  const uint64_t k = node.plan.output_cols(0), place = uint64_t{layer} * step_.rows.size() * k;
  const bool some = node.plan.output(0).shape[0] != graph::kRows;  // rows that nobody wants are not routed: -1
  if (some && outputs.route_ids) std::fill_n(outputs.route_ids + place, step_.rows.size() * k, -1);
  if (some && outputs.route_weights) std::fill_n(outputs.route_weights + place, step_.rows.size() * k, 0.0f);
  for (uint64_t i = 0; i < n / k; ++i) {
    const uint64_t to = place + (some ? gathered_[i] : i) * k;
    if (outputs.route_ids) std::copy_n(ids + i * k, k, outputs.route_ids + to);
    if (outputs.route_weights) std::copy_n(weights + i * k, k, outputs.route_weights + to);
  }
}

}  // namespace deepseam::sdk
