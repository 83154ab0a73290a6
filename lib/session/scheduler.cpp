// See scheduler.h.
#include "session/scheduler.h"

#include <algorithm>

namespace deepseam::session {
namespace {

// What is left of a step while shares are given out.
struct Room {
  uint32_t rows, seqs, logit_rows;
};

// As many of `rows` prompt rows as the room for logits allows: the last `wants_logits` of all wanted rows want some.
uint32_t fit_logits(const BranchView &branch, uint32_t rows, uint32_t room) {
  const uint32_t silent = branch.wanted - std::min(branch.wanted, branch.wants_logits);
  return rows > silent && rows - silent > room ? silent + room : rows;
}

bool give(const BranchView &branch, uint32_t index, uint32_t rows, Room *room, std::vector<Share> *shares) {
  rows = std::min({rows, branch.wanted, room->rows});
  if (branch.chunk) rows = std::min(rows, branch.chunk);
  rows = fit_logits(branch, rows, room->logit_rows);
  if (rows == 0 || room->seqs == 0) return false;
  const uint32_t silent = branch.wanted - std::min(branch.wanted, branch.wants_logits);
  room->logit_rows -= rows > silent ? rows - silent : 0;
  room->rows -= rows;
  --room->seqs;
  shares->push_back({index, rows});
  return true;
}

// Rows for prompts in a step that should end within the slice.
uint32_t prompt_rows(std::span<const BranchView> branches, const StepLimits &limits, bool decoding) {
  uint32_t slice_us = decoding ? limits.slice_us : 0;
  for (const BranchView &branch : branches)
    if (branch.wanted && branch.slice_us) slice_us = slice_us ? std::min(slice_us, branch.slice_us) : branch.slice_us;
  if (!slice_us || limits.row_us <= 0) return limits.max_rows;
  const double rows = slice_us / limits.row_us;
  if (rows >= limits.max_rows) return limits.max_rows;
  return std::max(limits.least_chunk, static_cast<uint32_t>(rows));
}

}  // namespace

std::vector<Share> schedule(std::span<const BranchView> branches, const StepLimits &limits) {
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < branches.size(); ++i)
    if (branches[i].wanted) order.push_back(i);
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return branches[a].served < branches[b].served; });

  std::vector<Share> shares;
  if (order.empty()) return shares;
  Room room{limits.max_rows, limits.max_seqs, limits.max_logit_rows};
  const bool prompts = std::ranges::any_of(order, [&](uint32_t i) { return !branches[i].decoding; });
  const bool decoding = std::ranges::any_of(order, [&](uint32_t i) { return branches[i].decoding; });
  const bool narrow = room.rows < 2 || room.seqs < 2 || room.logit_rows < 2;
  const bool prompts_only = prompts && decoding && narrow && !branches[order[0]].decoding;
  // Text may not lock prompts out: if any waits, one sequence and one row (that may want logits) stay free for it. A
  // step without room for both goes to whoever was served least.
  const uint32_t kept = prompts && decoding && !narrow ? 1 : 0;
  if (!prompts_only) {
    room = {room.rows - kept, room.seqs - kept, room.logit_rows - kept};
    for (uint32_t i : order)
      if (branches[i].decoding) give(branches[i], i, 1, &room, &shares);
    room = {room.rows + kept, room.seqs + kept, room.logit_rows + kept};
  }
  room.rows = std::min(room.rows, prompt_rows(branches, limits, decoding && !prompts_only));
  for (uint32_t i : order)
    if (!branches[i].decoding) give(branches[i], i, branches[i].wanted, &room, &shares);
  return shares;
}

double start_level(std::span<const BranchView> branches) {
  double least = -1;
  for (const BranchView &branch : branches)
    if (branch.wanted && (least < 0 || branch.served < least)) least = branch.served;
  return std::max(least, 0.0);
}

}  // namespace deepseam::session
