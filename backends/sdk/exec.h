// An exec: scratch for one step at a time, and the step that is on its way. It is its own ticket.
//
// A step is cut into units (one node over some rows, the draws of one repeat); between two of them it can be cancelled
// or yield. Whatever a step changes outside its scratch (samplers, kv_len words, expert counts) happens when it is done
// or is taken back. exec.cpp runs nodes; exec_draw.cpp draws, accepts and ends.
#pragma once

#include <vector>

#include "sdk/step.h"

namespace deepseam::sdk {

class Exec {
 public:
  static Result<Exec *> make(Program &program, uint32_t max_rows);

  Status submit(const dsb_step *step);
  Status resume();
  Status poll(uint32_t *state);
  Status wait(uint64_t timeout_ns, uint32_t *state);
  void release();  // of the ticket
  bool busy() const { return phase_ != Phase::kIdle; }

 private:
  enum class Phase { kIdle, kStart, kNodes, kDraw, kEnded };
  // A row of the current repeat that wants a sample.
  struct Draw {
    uint32_t seq = 0;
    uint32_t row = 0;  // in rows_
    uint32_t logits_row = 0;
    uint32_t place = 0;  // among the step's rows that want a sample
    uint32_t token = 0;
  };
  // What a sequence has come to.
  struct Progress {
    uint32_t kv_len = 0;  // rows visible from before the step or stored by earlier repeats
    uint32_t position = 0, kv_row = 0, last_token = 0;  // of its last row
    uint32_t n_stored = 0, n_drawn = 0;
    uint32_t place = 0;  // of its first draw, see Draw
    bool going = false;  // draws again in the next repeat
    Sampler::Mark mark;
    std::vector<Draw *> draws;  // of this repeat, in row order
    Status failure;
  };

  Exec(Program &program, uint32_t max_rows)
      : program_(program),
        layout_(program.layout),
        max_rows_(max_rows),
        tasks_(program.device.instance.host, nullptr, nullptr) {}
  Status reserve();

  Status advance(uint64_t deadline, bool one_unit);
  Status unit(uint64_t slice_end);
  void end(uint32_t state);
  Status fail_with(Status failure);
  uint64_t now() const;
  uint64_t clock() const;
  void count_time(graph::Op op, uint64_t begin);

  // exec.cpp
  Status start();
  Status start_seq(uint32_t seq);
  Result<uint32_t> token_of(const dsb_row &row, const CheckedSeq &seq) const;
  void first_rows();
  void next_rows();
  void gather();
  void touch_blocks();
  Status run_nodes(uint64_t slice_end);
  uint32_t rows_of(const PlannedNode &node) const;
  void keep_routes(const PlannedNode &node);

  // exec_draw.cpp
  void load_logits();
  void give_results();
  Status draw();
  void draw_seq(Progress *progress, const CheckedSeq &seq);
  Status draw_row(Draw *draw, const CheckedSeq &seq, uint64_t ahead);
  void give_draws();
  bool stops(const CheckedSeq &seq, uint32_t token) const;
  void accept();
  void accept_seq(uint32_t seq);
  void commit();
  void take_back();

  Program &program_;
  const Layout &layout_;
  const uint32_t max_rows_;
  Memory memory_;
  std::vector<void *> tensors_;  // by tensor index
  float *logits_ = nullptr;      // [logit_rows(max_rows), V]
  std::byte *scratch_ = nullptr;

  CheckedStep step_;
  Phase phase_ = Phase::kIdle;
  uint32_t state_ = DSB_TICKET_RUNNING;
  Status failure_;
  Tasks tasks_;
  uint32_t repeat_ = 0;  // which one is running
  uint32_t node_ = 0, node_row_ = 0;
  std::vector<double> row_ns_;  // per node: time a row took last
  std::vector<Row> rows_;
  std::vector<Seq> seqs_;
  std::vector<Progress> progress_;
  std::vector<uint32_t> gathered_;  // rows with logits or samples first
  uint32_t n_logit_rows_ = 0;
  std::vector<uint32_t> logit_places_;   // per logits row of the first repeat: its place in outputs.logits
  std::vector<uint32_t> hidden_places_;  // per hidden output in row order: its place in gathered_
  std::vector<Draw> draws_;
  std::vector<uint32_t> expert_counts_;  // [MoE layers][E], added to outputs at the end
  uint32_t n_experts_ = 0;
  bool any_adapter_ = false;
};

}  // namespace deepseam::sdk
