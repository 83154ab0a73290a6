// The engine thread's own: requests under way, block-table slots, and one step at a time.
//
// engine_state.cpp decides what happens to whom, engine_step.cpp forms and runs steps, engine_text.cpp turns drawn
// tokens into text and results.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/allocator.h"
#include "session/device_model.h"
#include "session/engine.h"
#include "session/scheduler.h"
#include "session/work.h"

namespace deepseam::session {

// Rows of one branch in a step.
struct StepUnit {
  Work *work = nullptr;
  Branch *branch = nullptr;
  uint32_t n_rows = 0;
  uint32_t n_logits = 0;  // of the last rows, how many want logits or a sample
  bool samples = false;
};

// One step being put together, and its results. Kept between steps for its memory.
struct StepDraft {
  std::vector<StepUnit> units;
  std::vector<dsb_row> rows;
  std::vector<dsb_seq> seqs;
  std::vector<kv::RowCopy> copies;
  std::vector<Job *> jobs;
  std::vector<uint32_t> ids, top_ids;
  std::vector<float> logprobs, top_logprobs;
  uint32_t n_logit_rows = 0, n_samples = 0, n_top = 0;
  bool wants_logits = false, wants_logprobs = false;
  void clear();
};

enum class StepEnd { kDone, kCancelled, kFailed };

struct EngineState {
  EngineState(Engine *owner, std::unique_ptr<DeviceModel> model, std::shared_ptr<kv::KvStore> kv);

  // One round: takes in, cleans up, runs at most one step. *until_ns gets when to look again if nothing could be done.
  bool turn(std::vector<std::unique_ptr<Work>> arrived, uint64_t *until_ns);
  void end_all(ds_status eval_status) noexcept;

  // ---- engine_state.cpp
  void take_in(std::vector<std::unique_ptr<Work>> arrived);
  Status prepare(Work &work);
  void watch_jobs();
  void end_stopped(uint64_t now);
  bool serve(Work &work);  // false: the work has ended
  bool admit(Work &work, Branch &branch);
  bool anybody_holds_blocks() const;
  void ask_hosts(Work &work);
  std::vector<BranchView> view(uint64_t now, std::vector<StepUnit> *list, uint64_t *until_ns);
  void make_room();
  void preempt(Branch &branch);
  void finish(Work &work, Status status, Finish rest) noexcept;  // the work is gone afterwards
  void end(std::unique_ptr<Work> gone, Status status, Finish rest) noexcept;
  void let_go(Branch &branch) noexcept;

  // ---- engine_step.cpp
  bool forward(std::span<const Share> shares, const std::vector<StepUnit> &list);
  bool sample();
  bool add_unit(Work &work, Branch &branch, uint32_t rows);
  void add_seq(Branch &branch, const uint32_t *mask);
  uint32_t take_slot(Branch &branch);
  Status copy_rows();
  Status make_room_for_outputs(bool needs_logits);
  StepEnd run(uint32_t entry, bool needs_logits, Status *status);
  void step_failed(const Status &status);
  void take_results();
  void take_logits(const StepUnit &unit, const float *logits);

  // ---- engine_text.cpp
  void set_mask(const Work &work, Branch &branch);
  Status make_sampler(Work &work, Branch &branch);
  std::shared_ptr<HostTurn> turn_of(const Work &work, const Branch &branch, const float *from);
  void prompt_done(Work &work, Branch &branch, const float *logits);
  void take_token(Work &work, Branch &branch, uint32_t id, const TokenLogprob *logprobs);
  void finish_branch(Work &work, Branch &branch, Finish finish);
  std::unique_ptr<ResultData> result_of(Work &work, Finish rest);

  Engine *engine;
  std::unique_ptr<DeviceModel> device;
  std::shared_ptr<kv::KvStore> store;
  std::vector<std::unique_ptr<Work>> works;
  std::vector<Branch *> slots;  // who has which block table of the program
  StepDraft draft;
  Buffer logits;  // [max_logit_rows, V]
  StepLimits limits;
  EngineFacts facts;
  uint64_t next_order = 0;
  uint64_t ends = 0;  // branches that have ended, so that a preempted one knows when to try again
};

inline uint32_t weight_of(Priority priority) {
  return priority == Priority::kInteractive ? 16 : priority == Priority::kBackground ? 1 : 4;
}

}  // namespace deepseam::session
