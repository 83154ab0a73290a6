#include "sdk/move_ops.h"

#include <algorithm>
#include <cstring>

#include "base/checked.h"

namespace deepseam::sdk {
namespace {

using graph::Attr;
using graph::Op;

}  // namespace

Status run_input_hidden(RunContext &context) {
  const uint64_t cols = context.plan.output_cols(0);
  for (uint32_t r = context.first_row; r < context.first_row + context.n_rows; ++r)
    std::copy_n(context.hidden_in + context.rows[r].hidden_row * cols, cols, context.output() + r * cols);
  return {};
}

Status run_gather_rows(RunContext &context) {
  const uint64_t cols = context.plan.output_cols(0);
  for (uint32_t r = context.first_row; r < context.first_row + context.n_rows; ++r)
    std::copy_n(context.input(0) + context.gathered[r] * cols, cols, context.output() + r * cols);
  return {};
}

Status run_copy(RunContext &context) {
  const uint64_t cols = context.plan.output_cols(0);
  std::copy_n(context.input(0) + context.first_row * cols, context.n_rows * cols,
              context.output() + context.first_row * cols);
  return {};
}

Status accept_collective(const PlanNode &plan) {
  const uint64_t world = static_cast<uint64_t>(plan.node.get_int(Attr::kWorld));
  if (plan.node.op == Op::kAllToAll && plan.input_cols(0) % world)
    return fail(DS_E_UNSUPPORTED, "backend", "%llu columns cannot be cut into %llu equal parts",
                static_cast<unsigned long long>(plan.input_cols(0)), static_cast<unsigned long long>(world));
  return {};
}

uint64_t collective_scratch(const PlanNode &plan, uint64_t rows) {
  const auto bytes = checked_mul(rows * sizeof(float), plan.input_cols(0));
  const auto all = bytes ? checked_mul(*bytes, static_cast<uint64_t>(plan.node.get_int(Attr::kWorld))) : std::nullopt;
  return all ? *all : UINT64_MAX;
}

// All ranks' inputs are gathered, then each rank takes what it needs.
Status run_collective(RunContext &context) {
  const graph::Node &node = context.plan.node;
  const uint64_t world = static_cast<uint64_t>(node.get_int(Attr::kWorld));
  const uint64_t rank = static_cast<uint64_t>(node.get_int(Attr::kRank));
  const uint64_t cols = context.plan.input_cols(0), out_cols = context.plan.output_cols(0), rows = context.n_rows;
  const dsb_group_desc *group = context.group;
  if (world > 1 && (!group || group->world != world || group->rank != rank))
    return fail(DS_E_ARGUMENT, "backend", "node %s is of rank %llu of %llu, the program's group is %u of %u",
                node.name.c_str(), static_cast<unsigned long long>(rank), static_cast<unsigned long long>(world),
                group ? group->rank : 0, group ? group->world : 1);
  auto *all = reinterpret_cast<float *>(context.scratch);  // [world, rows, cols]
  std::copy_n(context.input(0), rows * cols, all + rank * rows * cols);
  if (world > 1) {
    const ds_status code = group->exchange(group->exchange_user, 1, all, rows * cols * sizeof(float));
    if (code != DS_OK) return fail(code, "backend", "node %s: the exchange between ranks failed", node.name.c_str());
  }
  const auto part = [&](uint64_t from, uint64_t row) { return all + (from * rows + row) * cols; };
  for (uint64_t row = 0; row < rows; ++row) {
    float *out = context.output() + row * out_cols;
    const uint64_t width = cols / world, begin = node.op == Op::kReduceScatter ? rank * width : 0;
    for (uint64_t from = 0; from < world; ++from) {
      if (node.op == Op::kAllGather) {
        std::copy_n(part(from, row), cols, out + from * cols);
      } else if (node.op == Op::kAllToAll) {
        std::copy_n(part(from, row) + rank * width, width, out + from * width);
      } else if (from == 0) {
        std::copy_n(part(0, row) + begin, out_cols, out);
      } else {
        for (uint64_t i = 0; i < out_cols; ++i) out[i] += part(from, row)[begin + i];
      }
    }
  }
  return {};
}

}  // namespace deepseam::sdk
