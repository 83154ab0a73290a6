// moe_experts: rows sorted by expert, so that each expert's weights are read once for all of its rows, and the shared
// experts as one dense layer.
//
// Every (row, slot) pair has places of its own in scratch for gate, up and down; sums are taken per row in slot order
// at the end. So a row's numbers depend on no other row, and any set of threads may compute the pairs.
//
// Small experts take another way to the same bits when there are many rows: a task takes some rows of one expert
// through all three products, so that what lies between them never leaves the first cache.
#include <algorithm>
#include <cstring>

#include "ops.h"

namespace deepseam::onednn {
namespace {

constexpr uint64_t kRowsAtOnce = 512;         // bounds scratch for long prefills
constexpr uint64_t kSmallExpert = 256 << 10;  // bytes that stay in the second cache
constexpr uint32_t kRowsPerTask = 64;         // of a small expert

uint64_t aligned(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

struct Shape {
  uint64_t hidden = 0, width = 0, shared_width = 0, experts = 0, k = 0;
  int64_t begin = 0, count = 0;  // this node's share of the experts
};

Shape shape_of(const sdk::PlanNode &plan) {
  Shape s;
  s.hidden = plan.input_cols(0);
  s.k = plan.input_cols(1);
  s.experts = static_cast<uint64_t>(plan.node.get_int(graph::Attr::kNumExperts));
  s.width = static_cast<uint64_t>(plan.input(3).shape[1]);
  s.begin = plan.node.get_int(graph::Attr::kExpertBegin, 0);
  s.count = plan.node.get_int(graph::Attr::kExpertCount, plan.input(3).shape[0]);
  if (plan.has_input(6)) s.shared_width = static_cast<uint64_t>(plan.input(6).shape[0]);
  return s;
}

// Memory of one run, carved out of the kernel's scratch.
struct Workspace {
  float *gate, *up, *down;                  // [pairs, I], [pairs, I], [pairs, H]
  float *shared_gate, *shared_up, *shared;  // [rows, Is] x2, [rows, H]
  std::byte *quant_x, *quant_h, *multiply;  // int8 copies of the rows and of the pairs
  uint64_t bytes = 0;
};

Workspace workspace(const sdk::PlanNode &plan, const Shape &s, uint64_t rows, std::byte *base) {
  Workspace w{};
  const auto take = [&](uint64_t bytes) {
    std::byte *at = base ? base + w.bytes : nullptr;
    w.bytes += aligned(bytes);
    return at;
  };
  const uint64_t pairs = rows * s.k, size = sizeof(float);
  w.gate = reinterpret_cast<float *>(take(pairs * s.width * size));
  w.up = reinterpret_cast<float *>(take(pairs * s.width * size));
  w.down = reinterpret_cast<float *>(take(pairs * s.hidden * size));
  w.shared_gate = reinterpret_cast<float *>(take(rows * s.shared_width * size));
  w.shared_up = reinterpret_cast<float *>(take(rows * s.shared_width * size));
  w.shared = reinterpret_cast<float *>(take(s.shared_width ? rows * s.hidden * size : 0));
  w.quant_x = take(quant_bytes(rows, s.hidden));
  w.quant_h = take(quant_bytes(pairs, s.width));
  uint64_t most = 0;
  for (size_t input = 6; input < 9 && plan.has_input(input); ++input) {
    Matrix m;
    m.pack = pack_of(plan.input(input).dtype);
    m.rows = static_cast<uint64_t>(plan.input(input).shape[0]);
    m.cols = plan.input_cols(input);
    most = std::max(most, multiply_scratch(m, rows, plan.target.width, plan.deterministic()));
  }
  w.multiply = take(most);
  return w;
}

// One expert's pairs: [begin, end) of the sorted list.
struct Group {
  uint32_t expert = 0;  // counted from this node's first
  uint32_t begin = 0, end = 0;
};

struct Sorted {
  std::vector<uint32_t> pairs;  // row * K + slot, ordered by expert, then by pair
  std::vector<Group> groups;
};

Sorted sort_pairs(const Shape &s, const int32_t *ids, uint64_t n_pairs) {
  std::vector<uint32_t> at(s.experts + 1);
  for (uint64_t p = 0; p < n_pairs; ++p) ++at[static_cast<uint32_t>(ids[p]) + 1];
  Sorted sorted;
  for (uint64_t e = 0; e < s.experts; ++e) {
    const bool ours = static_cast<int64_t>(e) >= s.begin && static_cast<int64_t>(e) < s.begin + s.count;
    const uint32_t own = static_cast<uint32_t>(static_cast<int64_t>(e) - s.begin);
    if (at[e + 1] && ours) sorted.groups.push_back({own, at[e], at[e] + at[e + 1]});
    at[e + 1] += at[e];
  }
  sorted.pairs.resize(n_pairs);
  for (uint64_t p = 0; p < n_pairs; ++p) sorted.pairs[at[static_cast<uint32_t>(ids[p])]++] = static_cast<uint32_t>(p);
  return sorted;
}

// One piece of a stacked multiplication: tiles of one expert's matrix for all of its pairs.
struct Piece {
  const Group *group;
  uint64_t first_tile, count;
};

// y[pair] = W_expert x[pair] for all pairs, where pair p's input is row x_row(p) of x.
struct Stacked {
  sdk::RunContext &run;
  const Machine &machine;
  const Sorted &sorted;

  template <class XRow>
  void multiply(size_t input, const sdk::Weight &weight, Rows x, const QuantRows &xq, const XRow &x_row, float *y) {
    const Matrix any = matrix_of(run.plan, weight, input, 0);
    std::vector<Piece> pieces;
    for (const Group &group : sorted.groups) {
      const uint64_t per_task = tiles_per_task(any, group.end - group.begin);
      for (uint64_t tile = 0; tile < tiles(any.rows); tile += per_task)
        pieces.push_back({&group, tile, std::min(per_task, tiles(any.rows) - tile)});
    }
    for_chunks(run.tasks, pieces.size(), [&](uint32_t, uint64_t index) {
      const Piece &piece = pieces[index];
      const Matrix w = matrix_of(run.plan, weight, input, piece.group->expert);
      for (uint32_t at = piece.group->begin; at < piece.group->end; at += kMaxRows) {
        const float *xs[kMaxRows];
        float *ys[kMaxRows];
        QuantRow qs[kMaxRows];
        const uint32_t n = std::min<uint32_t>(kMaxRows, piece.group->end - at);
        for (uint32_t i = 0; i < n; ++i) {
          const uint32_t pair = sorted.pairs[at + i];
          xs[i] = x[x_row(pair)];
          if (quantised(w.pack)) qs[i] = xq[x_row(pair)];
          ys[i] = y + pair * w.rows;
        }
        multiply_tiles(*machine.kernels, w, piece.first_tile, piece.count, xs, qs, ys, n);
      }
    });
    if (run.any_adapter) add_deltas(input, any, x, x_row, y);
  }

  template <class XRow>
  void add_deltas(size_t input, const Matrix &w, Rows x, const XRow &x_row, float *y) {
    const uint32_t k = static_cast<uint32_t>(run.plan.input_cols(1));
    run.tasks.parallel(static_cast<uint32_t>(sorted.groups.size()), [&](uint32_t g) {
      const Group &group = sorted.groups[g];
      for (uint32_t at = group.begin; at < group.end && !run.tasks.cancelled(); ++at) {
        const uint32_t pair = sorted.pairs[at];
        if (const sdk::Lora *lora = run.lora(run.first_row + offset + pair / k, input, group.expert))
          add_lora(*machine.kernels, *lora, x[x_row(pair)], y + pair * w.rows);
      }
    });
  }

  uint32_t offset = 0;  // first row of this part, from run.first_row
};

void add_row_deltas(sdk::RunContext &run, const Kernels &kernels, uint32_t first, uint32_t n, size_t input, Rows x,
                    float *y, uint64_t out) {
  run.tasks.parallel(n, [&](uint32_t i) {
    if (const sdk::Lora *lora = run.lora(first + i, input)) add_lora(kernels, *lora, x[i], y + i * out);
  });
}

// The shared experts: a dense gated layer over all rows.
void run_shared(sdk::RunContext &run, const Shape &s, uint32_t first, uint32_t n, const Workspace &w,
                const QuantRows &xq) {
  const Machine &machine = machine_of(run.plan);
  const Multiply how{machine, run.plan.deterministic(), w.multiply};
  const Rows x{run.input(0) + first * s.hidden, s.hidden}, h{w.shared_gate, s.shared_width};
  multiply(run.tasks, how, matrix_of(run.plan, *run.weights[3], 6), x, n, w.shared_gate, s.shared_width, xq);
  multiply(run.tasks, how, matrix_of(run.plan, *run.weights[4], 7), x, n, w.shared_up, s.shared_width, xq);
  if (run.any_adapter) {
    add_row_deltas(run, *machine.kernels, first, n, 6, x, w.shared_gate, s.shared_width);
    add_row_deltas(run, *machine.kernels, first, n, 7, x, w.shared_up, s.shared_width);
  }
  each_row(run.tasks, n, [&](uint64_t i) {
    float *gate = w.shared_gate + i * s.shared_width;
    machine.kernels->silu_mul(gate, w.shared_up + i * s.shared_width, gate, s.shared_width);
  });
  multiply(run.tasks, how, matrix_of(run.plan, *run.weights[5], 8), h, n, w.shared, s.hidden);
  if (run.any_adapter) add_row_deltas(run, *machine.kernels, first, n, 8, h, w.shared, s.hidden);
}

// The three matrices of an expert or of all shared ones; from weight input `first` on.
struct Gated {
  Matrix gate, up, down;
  Gated(const sdk::RunContext &run, size_t first, uint64_t index)
      : gate(matrix_of(run.plan, *run.weights[first - 3], first, index)),
        up(matrix_of(run.plan, *run.weights[first - 2], first + 1, index)),
        down(matrix_of(run.plan, *run.weights[first - 1], first + 2, index)) {}
  bool small() const {
    uint64_t bytes = 0;
    for (const Matrix *m : {&gate, &up, &down}) bytes += packed_bytes(m->pack, m->rows, m->cols);
    return bytes <= kSmallExpert;
  }
};

// One worker's places between the products of kMaxRows rows.
struct Between {
  float *gate, *up;
  QuantRows quant;
  Between(float *gates, float *ups, std::byte *quants, uint64_t width, uint32_t worker, uint32_t workers)
      : gate(gates + worker * kMaxRows * width), up(ups + worker * kMaxRows * width) {
    const QuantRows all = quant_rows_at(quants, uint64_t{workers} * kMaxRows, width);
    const QuantRow own = all[uint64_t{worker} * kMaxRows];
    quant = {const_cast<int8_t *>(own.q), const_cast<float *>(own.scale), const_cast<int32_t *>(own.sum), width};
  }
};

// Rows in, rows out: up to kMaxRows through gate, up, silu and down.
void gated_rows(const Kernels &kernels, const Gated &w, const float *const *x, const QuantRow *xq, uint32_t n,
                const Between &b, float *const *y) {
  const uint64_t width = w.gate.rows;
  float *gates[kMaxRows], *ups[kMaxRows];
  QuantRow qs[kMaxRows];
  for (uint32_t i = 0; i < n; ++i) gates[i] = b.gate + i * width, ups[i] = b.up + i * width;
  multiply_tiles(kernels, w.gate, 0, tiles(width), x, xq, gates, n);
  multiply_tiles(kernels, w.up, 0, tiles(width), x, xq, ups, n);
  const uint64_t per_row = blocks(width);
  for (uint32_t i = 0; i < n; ++i) {
    kernels.silu_mul(gates[i], ups[i], gates[i], width);
    if (!quantised(w.down.pack)) continue;
    kernels.quantise(gates[i], width, b.quant.q + i * per_row * kBlock, b.quant.scale + i * per_row,
                     b.quant.sum + i * per_row);
    qs[i] = b.quant[i];
  }
  multiply_tiles(kernels, w.down, 0, tiles(w.down.rows), gates, qs, y, n);
}

// All experts, and the shared ones, if they are small and the rows many; false: nothing was done.
bool run_small(sdk::RunContext &run, const Shape &s, const Sorted &sorted, uint64_t n, Rows x, const QuantRows &xq,
               const Workspace &w) {
  const uint32_t workers = run.tasks.width();
  if (run.any_adapter || n < kMaxRows * uint64_t{std::max(workers, 4u)} || !Gated(run, 3, 0).small()) return false;
  const bool shared = s.shared_width > 0;
  if (shared && (!Gated(run, 6, 0).small() || (!xq.q && (quantised(pack_of(run.plan.input(6).dtype)) ||
                                                         quantised(pack_of(run.plan.input(7).dtype))))))
    return false;
  struct Part {
    const Group *group;  // NULL: shared, and places are rows
    uint32_t begin, end;
  };
  std::vector<Part> parts;
  const auto split = [&](const Group *group, uint32_t begin, uint32_t end) {
    for (; begin < end; begin += kRowsPerTask) parts.push_back({group, begin, std::min(end, begin + kRowsPerTask)});
  };
  if (shared) split(nullptr, 0, static_cast<uint32_t>(n));
  for (const Group &group : sorted.groups) split(&group, group.begin, group.end);
  for_chunks(run.tasks, parts.size(), [&](uint32_t worker, uint64_t index) {
    const auto &[group, begin, end] = parts[index];
    const Gated expert = group ? Gated(run, 3, group->expert) : Gated(run, 6, 0);
    const Between between = group ? Between(w.gate, w.up, w.quant_h, s.width, worker, workers)
                                  : Between(w.shared_gate, w.shared_up, w.multiply, s.shared_width, worker, workers);
    for (uint32_t at = begin; at < end; at += kMaxRows) {
      const float *xs[kMaxRows];
      float *ys[kMaxRows];
      QuantRow qs[kMaxRows];
      const uint32_t count = std::min(kMaxRows, end - at);
      for (uint32_t i = 0; i < count; ++i) {
        const uint64_t place = group ? sorted.pairs[at + i] : at + i, row = group ? place / s.k : place;
        xs[i] = x[row];
        if (xq.q) qs[i] = xq[row];
        ys[i] = (group ? w.down : w.shared) + place * s.hidden;
      }
      gated_rows(*machine_of(run.plan).kernels, expert, xs, qs, count, between, ys);
    }
  });
  return true;
}

// The same product by product, each over all rows.
void run_stacked(sdk::RunContext &run, const Shape &s, const Sorted &sorted, uint32_t first, uint32_t n, Rows x,
                 const QuantRows &xq, const Workspace &w) {
  const Machine &machine = machine_of(run.plan);
  const Kernels &kernels = *machine.kernels;
  Stacked stacked{run, machine, sorted};
  stacked.offset = first - run.first_row;
  const Rows h{w.gate, s.width};
  QuantRows hq;
  const auto row_of = [&](uint32_t pair) { return pair / s.k; };
  const auto itself = [](uint32_t pair) { return uint64_t{pair}; };
  stacked.multiply(3, *run.weights[0], x, xq, row_of, w.gate);
  stacked.multiply(4, *run.weights[1], x, xq, row_of, w.up);
  const bool quant_h = quantised(pack_of(run.plan.input(5).dtype));
  if (quant_h) hq = quant_rows_at(w.quant_h, n * s.k, s.width);
  run.tasks.parallel(static_cast<uint32_t>(sorted.groups.size()), [&](uint32_t g) {
    for (uint32_t at = sorted.groups[g].begin; at < sorted.groups[g].end; ++at) {
      const uint64_t pair = sorted.pairs[at], b = blocks(s.width);
      float *gate = w.gate + pair * s.width;
      kernels.silu_mul(gate, w.up + pair * s.width, gate, s.width);
      if (quant_h) kernels.quantise(gate, s.width, hq.q + pair * b * kBlock, hq.scale + pair * b, hq.sum + pair * b);
    }
  });
  stacked.multiply(5, *run.weights[2], h, hq, itself, w.down);
  if (s.shared_width) run_shared(run, s, first, n, w, xq);
}

void run_part(sdk::RunContext &run, const Shape &s, uint32_t first, uint32_t n, const Workspace &w) {
  const Kernels &kernels = *machine_of(run.plan).kernels;
  const int32_t *ids = run.input_ids(1) + first * s.k;
  const float *weights = run.input(2) + first * s.k;
  const Sorted sorted = sort_pairs(s, ids, n * s.k);
  const Rows x{run.input(0) + first * s.hidden, s.hidden};
  QuantRows xq;
  if (quantised(pack_of(run.plan.input(3).dtype)) || quantised(pack_of(run.plan.input(4).dtype))) {
    xq = quant_rows_at(w.quant_x, n, s.hidden);
    quantise_rows(run.tasks, kernels, x, n, xq);
  }
  if (!run_small(run, s, sorted, n, x, xq, w)) run_stacked(run, s, sorted, first, n, x, xq, w);

  each_row(run.tasks, n, [&](uint64_t i) {
    float *y = run.output() + (first + i) * s.hidden;
    std::memset(y, 0, s.hidden * sizeof(float));
    for (uint64_t slot = 0; slot < s.k; ++slot) {
      const int64_t expert = ids[i * s.k + slot];
      if (expert < s.begin || expert >= s.begin + s.count) continue;
      kernels.axpy(weights[i * s.k + slot], w.down + (i * s.k + slot) * s.hidden, y, s.hidden);
    }
    if (s.shared_width) kernels.axpy(1, w.shared + i * s.hidden, y, s.hidden);
  });
}

}  // namespace

std::vector<sdk::WeightUse> experts_weights(const sdk::PlanNode &plan) {
  std::vector<sdk::WeightUse> uses;
  for (size_t input = 3; input < 9 && plan.has_input(input); ++input) uses.push_back(use_packed(plan, input));
  return uses;
}

uint64_t experts_scratch(const sdk::PlanNode &plan, uint64_t rows) {
  return workspace(plan, shape_of(plan), std::min(rows, kRowsAtOnce), nullptr).bytes;
}

Status run_moe_experts(sdk::RunContext &run) {
  const Shape s = shape_of(run.plan);
  const Workspace w = workspace(run.plan, s, std::min<uint64_t>(run.max_rows, kRowsAtOnce), run.scratch);
  for (uint32_t row = 0; row < run.n_rows && !run.tasks.cancelled(); row += kRowsAtOnce)
    run_part(run, s, run.first_row + row, static_cast<uint32_t>(std::min<uint64_t>(kRowsAtOnce, run.n_rows - row)), w);
  return {};
}

}  // namespace deepseam::onednn
