// Runs the steps of a plan: its segments' programs one after another, on several lanes at once.
//
// With one segment a run is that program's own ticket and offers all that the backend does. With more, the activation
// between two segments goes through host memory; that works where each border is one [T,H] activation of all rows, and
// such runs take plain FORWARD and SAMPLE steps only (no repeat, no accept). A lane is one exec per segment and runs
// one step at a time; lanes run at the same time.
#pragma once

#include <memory>
#include <vector>

#include "runtime/pool.h"

namespace deepseam::runtime {

class Executor;

// A step on its way. Not for two threads at once, but for its cancel word. Destroyed early, it cancels and waits.
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

  std::shared_ptr<Executor> executor_;
  uint32_t lane_ = 0;
  size_t segment_ = 0;
  dsb_step step_{};
  std::vector<dsb_pool *> pools_;
  std::vector<dsb_row> rows_;     // of a segment between others
  std::vector<float> hidden_[2];  // [T,H], in and out by turns
  dsb_outputs outputs_{};
  std::unique_ptr<Ticket> ticket_;
  bool done_ = false;
};

class Executor : public std::enable_shared_from_this<Executor> {
 public:
  // One program per segment, in order. hidden_size: H, looked at only with more than one segment.
  static Result<std::shared_ptr<Executor>> create(std::vector<std::shared_ptr<Program>> programs, uint32_t max_rows,
                                                  uint32_t n_lanes = 2, uint32_t hidden_size = 0);
  Executor(const Executor &) = delete;
  Executor &operator=(const Executor &) = delete;

  uint32_t n_lanes() const { return static_cast<uint32_t>(lanes_.size()); }
  size_t n_segments() const { return programs_.size(); }
  const std::shared_ptr<Program> &program(size_t segment = 0) const { return programs_[segment]; }

  // One pool per segment (NULL for one without attention); step.pool is ignored. DS_E_BUSY if the lane has a run.
  Result<std::unique_ptr<Run>> submit(uint32_t lane, const dsb_step &step, std::vector<dsb_pool *> pools);

 private:
  friend class Run;
  Executor() = default;
  struct Lane {
    std::vector<std::shared_ptr<Exec>> execs;
    bool busy = false;
  };
  Status check_segments() const;
  Status check_step(const dsb_step &step) const;
  std::vector<std::shared_ptr<Program>> programs_;
  std::vector<Lane> lanes_;
  uint32_t hidden_size_ = 0;
};

}  // namespace deepseam::runtime
