// A step of the host, checked against what the program was planned for.
//
// check_step() reads everything it is given once and changes nothing. What it accepts cannot go out of bounds later;
// the two things that are known only when the step starts (tokens drawn by an earlier step, lengths kept on the device)
// are checked then, by check_places() and by whoever resolves tokens.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "sdk/objects.h"

namespace deepseam::sdk {

struct CheckedSeq {
  dsb_seq desc{};
  uint32_t first_row = 0, n_rows = 0;
  uint32_t n_samples = 0;  // rows that want a sample
  Sampler *sampler = nullptr;
  std::shared_ptr<const Adapter> adapter;
};

struct CheckedStep {
  dsb_step desc{};
  dsb_outputs outputs{};
  Pool *pool = nullptr;
  uint32_t repeat = 1;
  uint32_t n_logits = 0, n_samples = 0, n_hidden = 0;  // rows that want them; logits: or a sample
  std::vector<dsb_row> rows;
  std::vector<CheckedSeq> seqs;
  std::vector<std::pair<uint32_t, uint32_t>> places;  // memory of check_places

  bool has(uint32_t entry) const { return (desc.entry & entry) != 0; }
};

// DS_E_ARGUMENT names the row or sequence, what it holds and what it may. `out` keeps its memory from step to step and
// holds rubbish after a failure.
Status check_step(Program &program, uint32_t max_rows, const dsb_step *step, CheckedStep *out);

// Whether a sequence that has `kv_len` rows when the step starts has blocks for all it reads and stores; `tables`: as
// they are in the program, else with the step's deltas on top.
Status check_seq_places(const Program &program, const CheckedStep &step, uint32_t seq, uint32_t kv_len, bool tables);

// Puts the block table deltas into the program.
void apply_tables(Program &program, const CheckedStep &step);

// Index of the row's parent within its sequence (its nearest ancestor), DSB_NONE for a root.
uint32_t parent_of(const CheckedStep &step, const dsb_row &row, uint32_t in_seq);

}  // namespace deepseam::sdk
