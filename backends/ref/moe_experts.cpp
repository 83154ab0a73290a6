// The chosen experts' weighted sum, in the order of the choice, and the shared expert.
//
// Work goes by expert, so that each row of its weights is decoded once for all rows of the step that chose it. A "slot"
// is one (row, choice); the shared expert is one more expert that every row chose with weight 1.
#include <algorithm>
#include <vector>

#include "ref/math.h"
#include "ref/ref.h"
#include "sdk/exact_math.h"

namespace deepseam::ref {
namespace {

using graph::Attr;
using sdk::Lora;

constexpr size_t kGate = 3, kUp = 4, kDown = 5, kSharedGate = 6, kSharedUp = 7, kSharedDown = 8;

struct Slot {
  uint32_t row = 0;     // of the node
  uint64_t hidden = 0;  // where silu(gate x) * up x of the slot lies
  uint32_t choice = 0;
};
struct Expert {
  size_t gate = kGate, up = kUp, down = kDown;  // input numbers
  uint64_t matrix = 0;
  uint32_t lora_expert = DSB_NONE;
  std::vector<Slot> slots;
};

uint64_t expert_width(const sdk::PlanNode &plan) { return static_cast<uint64_t>(plan.input(kGate).shape[1]); }
uint64_t shared_width(const sdk::PlanNode &plan) {
  return plan.has_input(kSharedGate) ? static_cast<uint64_t>(plan.input(kSharedGate).shape[0]) : 0;
}

// Experts that have work, in order, each with its slots.
std::vector<Expert> group(const sdk::RunContext &context) {
  const sdk::PlanNode &plan = context.plan;
  const int64_t begin = plan.node.get_int(Attr::kExpertBegin), count = plan.node.get_int(Attr::kExpertCount);
  const uint64_t k = plan.input_cols(1), width = expert_width(plan);
  std::vector<Expert> experts(static_cast<size_t>(count));
  uint64_t hidden = 0;
  for (uint32_t r = context.first_row; r < context.first_row + context.n_rows; ++r) {
    for (uint32_t choice = 0; choice < k; ++choice) {
      const int64_t expert = context.input_ids(1)[r * k + choice] - begin;
      if (expert < 0 || expert >= count) continue;
      experts[static_cast<size_t>(expert)].slots.push_back({r, hidden, choice});
      hidden += width;
    }
  }
  for (size_t e = 0; e < experts.size(); ++e) experts[e].matrix = experts[e].lora_expert = static_cast<uint32_t>(e);
  if (plan.has_input(kSharedGate)) {
    Expert shared{kSharedGate, kSharedUp, kSharedDown, 0, DSB_NONE, {}};
    for (uint32_t r = context.first_row; r < context.first_row + context.n_rows; ++r) {
      shared.slots.push_back({r, hidden, static_cast<uint32_t>(k)});
      hidden += shared_width(plan);
    }
    experts.push_back(std::move(shared));
  }
  std::erase_if(experts, [](const Expert &expert) { return expert.slots.empty(); });
  return experts;
}

// A range of weight rows of one expert.
struct Piece {
  const Expert *expert;
  uint64_t begin, end;
};
std::vector<Piece> pieces(const sdk::RunContext &context, const std::vector<Expert> &experts, size_t Expert::*weight) {
  std::vector<Piece> list;
  for (const Expert &expert : experts) {
    const sdk::StoredTensor &w = *context.stored(expert.*weight);
    const uint64_t step = weight_rows_per_task(w.cols, expert.slots.size());
    for (uint64_t begin = 0; begin < w.rows; begin += step)
      list.push_back({&expert, begin, std::min(begin + step, w.rows)});
  }
  return list;
}

// hidden[slot] = silu(gate x) * up x for rows [begin, end) of gate and up.
void first_half(const sdk::RunContext &context, const Piece &piece, float *hidden) {
  const Expert &expert = *piece.expert;
  const sdk::StoredTensor &gate = *context.stored(expert.gate), &up = *context.stored(expert.up);
  const uint64_t cols = gate.cols;
  std::vector<float> decoded(2 * cols);
  std::vector<std::vector<float>> projected(2 * expert.slots.size());
  for (uint64_t i = piece.begin; i < piece.end; ++i) {
    if (context.tasks.cancelled()) return;
    gate.decode(expert.matrix, i, decoded.data());
    up.decode(expert.matrix, i, decoded.data() + cols);
    for (size_t s = 0; s < expert.slots.size(); ++s) {
      const Slot &slot = expert.slots[s];
      const float *x = context.input(0) + slot.row * cols;
      float y[2];
      for (size_t half = 0; half < 2; ++half) {
        y[half] = dot(x, decoded.data() + half * cols, cols);
        const Lora *lora =
            context.any_adapter ? context.lora(slot.row, half ? expert.up : expert.gate, expert.lora_expert) : nullptr;
        if (!lora) continue;
        std::vector<float> &ax = projected[2 * s + half];
        if (ax.empty()) ax = project(*lora, x);
        y[half] += delta(*lora, ax, i);
      }
      hidden[slot.hidden + i] = sdk::exact_silu(y[0]) * y[1];
    }
  }
}

// results[slot] = down hidden for rows [begin, end) of down.
void second_half(const sdk::RunContext &context, const Piece &piece, const float *hidden, float *results,
                 uint64_t n_choices) {
  const Expert &expert = *piece.expert;
  const sdk::StoredTensor &down = *context.stored(expert.down);
  std::vector<float> decoded(down.cols);
  std::vector<std::vector<float>> projected(expert.slots.size());
  for (uint64_t o = piece.begin; o < piece.end; ++o) {
    if (context.tasks.cancelled()) return;
    down.decode(expert.matrix, o, decoded.data());
    for (size_t s = 0; s < expert.slots.size(); ++s) {
      const Slot &slot = expert.slots[s];
      const float *x = hidden + slot.hidden;
      float y = dot(x, decoded.data(), down.cols);
      const Lora *lora = context.any_adapter ? context.lora(slot.row, expert.down, expert.lora_expert) : nullptr;
      if (lora) {
        if (projected[s].empty()) projected[s] = project(*lora, x);
        y += delta(*lora, projected[s], o);
      }
      results[((slot.row - context.first_row) * n_choices + slot.choice) * down.rows + o] = y;
    }
  }
}

}  // namespace

// Hidden values of all slots, then their results [rows, K + 1, H].
uint64_t moe_experts_scratch(const sdk::PlanNode &plan, uint64_t rows) {
  const uint64_t k = plan.input_cols(1), h = plan.output_cols(0);
  return rows * (k * expert_width(plan) + shared_width(plan) + (k + 1) * h) * sizeof(float);
}

Status moe_experts(sdk::RunContext &context) {
  const sdk::PlanNode &plan = context.plan;
  const uint64_t k = plan.input_cols(1), h = plan.output_cols(0);
  const bool shared = plan.has_input(kSharedGate);
  auto *hidden = reinterpret_cast<float *>(context.scratch);
  float *results = hidden + context.n_rows * (k * expert_width(plan) + shared_width(plan));
  const std::vector<Expert> experts = group(context);
  const std::vector<Piece> first = pieces(context, experts, &Expert::gate);
  context.tasks.parallel(static_cast<uint32_t>(first.size()),
                         [&](uint32_t i) { first_half(context, first[i], hidden); });
  const std::vector<Piece> second = pieces(context, experts, &Expert::down);
  context.tasks.parallel(static_cast<uint32_t>(second.size()),
                         [&](uint32_t i) { second_half(context, second[i], hidden, results, k + 1); });
  const int64_t begin = plan.node.get_int(Attr::kExpertBegin), count = plan.node.get_int(Attr::kExpertCount);
  context.tasks.parallel(context.n_rows, [&](uint32_t i) {
    const uint64_t r = uint64_t{context.first_row} + i;
    float *y = context.output() + r * h;
    std::fill_n(y, h, 0.0f);
    for (uint64_t choice = 0; choice < k; ++choice) {
      const int64_t expert = context.input_ids(1)[r * k + choice] - begin;
      if (expert >= 0 && expert < count)
        add_scaled(y, results + (i * (k + 1) + choice) * h, context.input(2)[r * k + choice], h);
    }
    if (shared) add_scaled(y, results + (i * (k + 1) + k) * h, 1.0f, h);
  });
  return {};
}

}  // namespace deepseam::ref
