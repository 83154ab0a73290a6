// Kernels without arithmetic of a backend's own: they move rows, inside the exec or between the ranks of a group. Every
// backend lists them behind its own.
//
// all_reduce sums the ranks' parts in order of rank, in float32, so that every rank gets the same bits.
//   all_gather      x [T,D] -> [T, world * D]: the ranks' columns side by side
//   reduce_scatter  x [T,D] -> [T, D / world]: this rank's columns of the sum
//   all_to_all      x [T,D] -> [T,D]: column part j goes to rank j; part i of the result came from rank i
#pragma once

#include "sdk/kernel.h"

namespace deepseam::sdk {

Status run_input_hidden(RunContext &context);
Status run_gather_rows(RunContext &context);
Status run_copy(RunContext &context);
Status run_collective(RunContext &context);
Status accept_collective(const PlanNode &plan);
uint64_t collective_scratch(const PlanNode &plan, uint64_t rows);

// clang-format off
#define DS_MOVE_KERNELS                                                                                              \
  {deepseam::graph::Op::kInputHidden, "input_hidden", deepseam::sdk::run_input_hidden},                              \
  {deepseam::graph::Op::kGatherRows, "gather_rows", deepseam::sdk::run_gather_rows},                                 \
  {deepseam::graph::Op::kCopy, "copy", deepseam::sdk::run_copy},                                                     \
  DS_COLLECTIVE(kAllReduce, "all_reduce"), DS_COLLECTIVE(kAllGather, "all_gather"),                                  \
  DS_COLLECTIVE(kReduceScatter, "reduce_scatter"), DS_COLLECTIVE(kAllToAll, "all_to_all")
#define DS_COLLECTIVE(op, name)                                                                                      \
  {deepseam::graph::Op::op, name, deepseam::sdk::run_collective, deepseam::sdk::kKernelWholeStep,                    \
   deepseam::sdk::accept_collective, nullptr, nullptr, deepseam::sdk::collective_scratch}
// clang-format on

}  // namespace deepseam::sdk
