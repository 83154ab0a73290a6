// Which rows run in the next step: a pure function of what every branch wants and what a step may hold.
//
// Decode rows come first, so that a long prompt never makes text stutter; what is left of the step goes to prompts, cut
// into chunks. Who has had least for its weight goes first, so nobody starves: the served work of every branch is
// divided by its priority's weight (16 interactive, 4 balanced, 1 background) and the smallest goes first; new ones
// begin at the level of the least served. While text is being generated, prompt chunks are cut so that the step is
// expected to stay within the slice.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace deepseam::session {

struct BranchView {
  uint32_t wanted = 0;    // rows that could run now: 1 for decode, the rest of the prompt otherwise; 0: not ready
  bool decoding = false;  // its rows are the ones a reader waits for
  uint32_t weight = 4;
  double served = 0;          // rows so far / weight, see start_level
  uint32_t chunk = 0;         // at most so many rows at once; 0: no limit
  uint32_t wants_logits = 0;  // of the wanted rows, how many from the last on want logits
  uint32_t slice_us = 0;      // longest step its session allows; 0: no limit
};

struct StepLimits {
  uint32_t max_rows = 512, max_seqs = 8, max_logit_rows = 8;
  double row_us = 0;           // measured time of a prompt row; 0: not known
  uint32_t slice_us = 50'000;  // longest step while text is being generated
  uint32_t least_chunk = 16;   // a prompt always gets as many rows, so that it goes on
};

struct Share {
  uint32_t branch = 0;  // index into the views
  uint32_t rows = 0;
};

// Shares with rows > 0, decode first. Empty only if nothing is wanted.
std::vector<Share> schedule(std::span<const BranchView> branches, const StepLimits &limits);

// Where a new branch begins: the least served of those that want something, 0 if there are none.
double start_level(std::span<const BranchView> branches);

}  // namespace deepseam::session
