// Runs the steps of a plan: its segments' programs one after another, on several lanes at once.
//
// With one segment a run is that program's own ticket and offers all that the backend does. With more, the activation
// between two segments goes through host memory; that works where each border is one [T,H] activation (check_borders),
// and such runs take plain FORWARD and SAMPLE steps only (no repeat, no accept). A lane is one exec per segment and
// runs one step at a time; lanes run at the same time.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <vector>

#include "graph/plan.h"
#include "runtime/pool.h"

namespace deepseam::runtime {

class Executor;

// A step on its way. Not for two threads at once. Destroyed early, it cancels and waits.
class Run {
 public:
  ~Run();
  Run(const Run &) = delete;
  Run &operator=(const Run &) = delete;

  Result<TicketState> poll();
  Result<TicketState> wait(uint64_t timeout_ns = UINT64_MAX);
  Status resume();  // after kYielded

 private:
  friend class Executor;
  Run() = default;
  Status start_segment();
  Result<TicketState> proceed(Result<TicketState> state);
  void fill_inner_rows(bool first, bool last);

  std::shared_ptr<Executor> executor_;
  uint32_t lane_ = 0;
  size_t segment_ = 0;
  dsb_step step_{};     // the caller's
  dsb_step current_{};  // what the segment got; alive as long as its ticket
  std::vector<dsb_pool *> pools_;
  // What a segment among several gets instead of the caller's rows and outputs.
  std::vector<dsb_row> rows_;
  std::vector<float> hidden_[2];  // [T,H], out of even and odd segments
  dsb_outputs outputs_{};
  Status failed_;                   // once a segment could not start, there is no ticket
  std::unique_ptr<Ticket> ticket_;  // last: goes first
};

class Executor : public std::enable_shared_from_this<Executor> {
 public:
  // One program per segment, in order; hidden_size is H, looked at only with more than one.
  static Result<std::shared_ptr<Executor>> create(std::vector<std::shared_ptr<Program>> programs, uint32_t max_rows,
                                                  uint32_t n_lanes = 2, uint32_t hidden_size = 0);
  Executor(const Executor &) = delete;
  Executor &operator=(const Executor &) = delete;

  uint32_t n_lanes() const { return static_cast<uint32_t>(lanes_.size()); }
  size_t n_segments() const { return programs_.size(); }
  const std::shared_ptr<Program> &program(size_t segment = 0) const { return programs_[segment]; }

  // One pool per segment (NULL for one without attention); step.pool is ignored. `step` is copied, what it points to
  // is not. DS_E_BUSY if the lane has a run.
  Result<std::unique_ptr<Run>> submit(uint32_t lane, const dsb_step &step, std::vector<dsb_pool *> pools);

 private:
  friend class Run;
  Executor() = default;
  struct Lane {
    std::vector<std::shared_ptr<Exec>> execs;
    std::atomic<bool> busy{false};
  };
  Status check_programs(uint32_t max_rows) const;
  Status check_step(const dsb_step &step, size_t n_pools) const;
  std::vector<std::shared_ptr<Program>> programs_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  uint32_t hidden_size_ = 0;
};

// Whether an Executor can run these segments of the graph: DS_E_UNSUPPORTED names the border that is not one float32
// activation [T,H], used by the next segment only.
Status check_borders(const graph::Graph &graph, std::span<const graph::Segment> segments);

}  // namespace deepseam::runtime
