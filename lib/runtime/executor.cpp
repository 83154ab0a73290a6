#include "runtime/executor.h"

#include <algorithm>
#include <cstring>

namespace deepseam::runtime {
namespace {

constexpr const char *kDomain = "runtime";
constexpr uint32_t kMostLanes = 16;

const dsb_row &row_of(const dsb_step &step, uint32_t index) {
  const auto *bytes = reinterpret_cast<const uint8_t *>(step.rows);
  return *reinterpret_cast<const dsb_row *>(bytes + size_t{index} * step.row_stride);
}

}  // namespace

Result<std::shared_ptr<Executor>> Executor::create(std::vector<std::shared_ptr<Program>> programs, uint32_t max_rows,
                                                   uint32_t n_lanes, uint32_t hidden_size) {
  if (programs.empty() || n_lanes == 0 || n_lanes > kMostLanes)
    return fail(DS_E_ARGUMENT, kDomain, "an executor of %zu programs and %u lanes: expected at least 1, and 1 to %u",
                programs.size(), n_lanes, kMostLanes);
  std::shared_ptr<Executor> executor(new Executor);
  executor->programs_ = std::move(programs);
  executor->hidden_size_ = hidden_size;
  DS_TRY(executor->check_programs(max_rows));
  for (uint32_t i = 0; i < n_lanes; ++i) {
    auto lane = std::make_unique<Lane>();
    for (const std::shared_ptr<Program> &program : executor->programs_) {
      DS_TRY_VALUE(std::shared_ptr<Exec> exec, Exec::create(program, max_rows));
      lane->execs.push_back(std::move(exec));
    }
    executor->lanes_.push_back(std::move(lane));
  }
  return executor;
}

Status Executor::check_programs(uint32_t max_rows) const {
  if (programs_.size() == 1) return {};
  if (hidden_size_ == 0) return fail(DS_E_ARGUMENT, kDomain, "a plan of several segments needs the hidden size");
  for (size_t segment = 0; segment < programs_.size(); ++segment) {
    const PlanOptions &options = programs_[segment]->layout()->options();
    const char *name = programs_[segment]->backend()->name().c_str();
    if (options.max_rows < max_rows)
      return fail(DS_E_ARGUMENT, kDomain, "segment %zu on %s is planned for %u rows, expected %u", segment, name,
                  options.max_rows, max_rows);
    if (segment + 1 < programs_.size() && options.max_logit_rows < max_rows)
      return fail(DS_E_ARGUMENT, kDomain,
                  "segment %zu on %s hands on every row: max_logit_rows: expected at least %u, found %u", segment, name,
                  max_rows, options.max_logit_rows);
  }
  return {};
}

Status Executor::check_step(const dsb_step &step, size_t n_pools) const {
  if (n_pools != programs_.size())
    return fail(DS_E_ARGUMENT, kDomain, "a plan of %zu segments was given %zu pools", programs_.size(), n_pools);
  if (programs_.size() == 1) return {};
  if (step.repeat > 1 || (step.entry & DSB_ENTRY_ACCEPT))
    return fail(DS_E_UNSUPPORTED, kDomain, "a plan of %zu segments runs neither repeat nor accept", programs_.size());
  if (!step.rows || step.row_stride < sizeof(dsb_row) || !step.outputs)
    return fail(DS_E_ARGUMENT, kDomain, "a step of several segments without rows or outputs");
  return {};
}

Result<std::unique_ptr<Run>> Executor::submit(uint32_t lane, const dsb_step &step, std::vector<dsb_pool *> pools) {
  if (lane >= lanes_.size())
    return fail(DS_E_ARGUMENT, kDomain, "lane: expected less than %zu, found %u", lanes_.size(), lane);
  DS_TRY(check_step(step, pools.size()));
  std::unique_ptr<Run> run(new Run);
  run->step_ = step;
  run->pools_ = std::move(pools);
  if (lanes_[lane]->busy.exchange(true)) return fail(DS_E_BUSY, kDomain, "lane %u has a step in flight", lane);
  run->executor_ = shared_from_this();  // from here on the run's end frees the lane
  run->lane_ = lane;
  // A step that only samples needs the segment that has the logits.
  run->segment_ = (step.entry & DSB_ENTRY_FORWARD) ? 0 : programs_.size() - 1;
  DS_TRY(run->start_segment());
  return run;
}

Run::~Run() {
  ticket_.reset();
  if (executor_) executor_->lanes_[lane_]->busy.store(false);
}

// All rows hand their hidden state on, and take the one of the segment before.
void Run::fill_inner_rows(bool first, bool last) {
  rows_.resize(step_.n_rows);
  for (uint32_t i = 0; i < step_.n_rows; ++i) {
    dsb_row row = row_of(step_, i);
    if (!last) row.want = DSB_WANT_HIDDEN;
    if (!first) {
      row.hidden_row = i;
      if (!last) row.token_source = DSB_TOKEN_HOST;
    }
    rows_[i] = row;
  }
}

Status Run::start_segment() {
  const size_t n = executor_->programs_.size();
  dsb_step &step = current_ = step_;
  step.pool = pools_[segment_];
  if (n > 1 && (step_.entry & DSB_ENTRY_FORWARD)) {
    const bool first = segment_ == 0, last = segment_ + 1 == n;
    fill_inner_rows(first, last);
    step.rows = rows_.data();
    step.row_stride = sizeof(dsb_row);
    const size_t floats = size_t{step_.n_rows} * executor_->hidden_size_;
    if (!first) {
      step.hidden_in = hidden_[(segment_ - 1) % 2].data();
      step.n_hidden_in = step_.n_rows;
    }
    if (!last) {
      step.entry = DSB_ENTRY_FORWARD;
      hidden_[segment_ % 2].resize(floats);
      std::memset(&outputs_, 0, sizeof outputs_);
      outputs_.struct_size = sizeof outputs_;
      outputs_.hidden = hidden_[segment_ % 2].data();
      outputs_.expert_counts = step_.outputs->expert_counts;  // each segment writes the layers that it has
      outputs_.route_ids = step_.outputs->route_ids;
      outputs_.route_weights = step_.outputs->route_weights;
      outputs_.op_ns = step_.outputs->op_ns;
      step.outputs = &outputs_;
    }
  }
  DS_TRY_VALUE(std::unique_ptr<Ticket> ticket, executor_->lanes_[lane_]->execs[segment_]->submit(step));
  ticket_ = std::move(ticket);
  return {};
}

// DONE of a segment before the last starts the next one and is RUNNING for the caller.
Result<TicketState> Run::proceed(Result<TicketState> state) {
  if (state.ok() && *state == TicketState::kDone && segment_ + 1 < executor_->programs_.size()) {
    ticket_.reset();
    ++segment_;
    failed_ = start_segment();
    if (!failed_.ok()) return failed_;
    return TicketState::kRunning;
  }
  return state;
}

Result<TicketState> Run::poll() { return ticket_ ? proceed(ticket_->poll()) : failed_; }

Result<TicketState> Run::wait(uint64_t timeout_ns) {
  while (ticket_) {
    const size_t segment = segment_;
    Result<TicketState> state = proceed(ticket_->wait(timeout_ns));
    if (!state.ok() || segment == segment_) return state;
  }
  return failed_;
}

Status Run::resume() {
  if (!ticket_) return fail(DS_E_ARGUMENT, kDomain, "there is no step to resume");
  return executor_->lanes_[lane_]->execs[segment_]->resume(*ticket_);
}

Status check_borders(const graph::Graph &graph, std::span<const graph::Segment> segments) {
  for (size_t i = 0; i + 1 < segments.size(); ++i) {
    const std::vector<uint32_t> &outputs = segments[i].outputs;
    const std::vector<uint32_t> &next = segments[i + 1].inputs;
    const bool one = outputs.size() == 1 && next.size() == 1 && next[0] == outputs[0];
    if (!one)
      return fail(DS_E_UNSUPPORTED, kDomain,
                  "border after segment %zu: expected one activation, found %zu out and %zu in", i, outputs.size(),
                  next.size());
    const graph::Tensor &tensor = graph.tensors[outputs[0]];
    if (tensor.dtype != DType::kF32 || tensor.shape.size() != 2 || tensor.shape[0] != graph::kRows)
      return fail(DS_E_UNSUPPORTED, kDomain, "border after segment %zu: %s is not a float32 activation of all rows", i,
                  tensor.name.c_str());
  }
  return {};
}

}  // namespace deepseam::runtime
