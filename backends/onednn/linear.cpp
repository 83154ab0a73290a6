// linear and lm_head: one packed matrix, an optional bias, low-rank deltas per row.
#include <algorithm>
#include <cmath>

#include "ops.h"

namespace deepseam::onednn {
namespace {

// What a task of pack_whole reads at once: it is packed before it leaves the second-level cache.
constexpr uint64_t kPieceBytes = uint64_t{192} << 10;

Matrix plan_matrix(const sdk::PlanNode &plan, size_t input) {
  const graph::Tensor &w = plan.input(input);
  Matrix m;
  m.pack = pack_of(w.dtype);
  m.rows = static_cast<uint64_t>(w.shape[w.shape.size() - 2]);
  m.cols = static_cast<uint64_t>(w.shape.back());
  return m;
}

void run_multiply(sdk::RunContext &run) {
  const Matrix w = matrix_of(run.plan, *run.weights[0], 1);
  const Multiply how{machine_of(run.plan), run.plan.deterministic(), run.scratch};
  multiply(run.tasks, how, w, {run.input(0) + run.first_row * w.cols, w.cols}, run.n_rows,
           run.output() + run.first_row * w.rows, w.rows);
}

void add_deltas(sdk::RunContext &run) {
  const Kernels &kernels = *machine_of(run.plan).kernels;
  const uint64_t in = run.plan.input_cols(0), out = run.plan.output_cols(0);
  run.tasks.parallel(run.n_rows, [&](uint32_t i) {
    const uint32_t row = run.first_row + i;
    if (const sdk::Lora *lora = run.lora(row, 1))
      add_lora(kernels, *lora, run.input(0) + row * in, run.output() + row * out);
  });
}

}  // namespace

sdk::WeightUse use_stored(const sdk::PlanNode &plan, size_t input) {
  sdk::WeightUse use;
  use.slices = {{plan.node.inputs[input], DSB_NONE, 0, 0}};
  return use;
}

sdk::WeightUse use_packed(const sdk::PlanNode &plan, size_t input) {
  sdk::WeightUse use = use_stored(plan, input);
  const Matrix m = plan_matrix(plan, input);
  const graph::Tensor &w = plan.input(input);
  const uint64_t matrices = w.shape.size() == 3 ? static_cast<uint64_t>(w.shape[0]) : 1;
  use.form = form_of(m.pack);
  use.bytes = matrices * packed_bytes(m.pack, m.rows, m.cols);
  use.pulls = true;
  return use;
}

Status pack_whole(sdk::PackJob &job) {
  const sdk::StoredTensor &from = job.sources[0];
  const Pack pack = static_cast<Pack>(job.use.form);
  const uint64_t bytes = packed_bytes(pack, from.rows, from.cols), n_tiles = tiles(from.rows);
  const char *role = job.plan.graph.tensors[job.use.slices[0].tensor].name.c_str();
  const uint64_t per_task = std::clamp<uint64_t>(kPieceBytes / (kLanes * from.row_bytes), 1, 8);
  const uint64_t chunks = (n_tiles + per_task - 1) / per_task;
  std::vector<Status> failures(job.tasks.width());
  std::vector<std::vector<uint8_t>> buffers(job.tasks.width());
  const auto pack_piece = [&](uint64_t matrix, uint64_t tile, std::vector<uint8_t> *buffer) -> Status {
    const uint64_t count = std::min(per_task, n_tiles - tile), row = tile * kLanes;
    uint8_t *out = job.out + matrix * bytes;
    if (tile == 0) clear_padding(pack, from.rows, from.cols, out);
    if (!from.read) return pack_tiles(from, matrix, pack, tile, count, role, out);
    DS_TRY_VALUE(const sdk::StoredTensor rows,
                 from.pull(matrix, row, std::min(count * kLanes, from.rows - row), buffer));
    return pack_tiles(rows, 0, pack, tile, count, role, out);
  };
  for_chunks(job.tasks, from.n_matrices * chunks, [&](uint32_t worker, uint64_t chunk) {
    if (!failures[worker].ok()) return;
    Status status = pack_piece(chunk / chunks, chunk % chunks * per_task, &buffers[worker]);
    if (!status.ok()) failures[worker] = std::move(status);
  });
  for (Status &failure : failures) DS_TRY(std::move(failure));
  return {};
}

Matrix matrix_of(const sdk::PlanNode &plan, const sdk::Weight &weight, size_t input, uint64_t index) {
  const Matrix m = plan_matrix(plan, input);
  return matrix_at(m.pack, m.rows, m.cols, weight.packed + index * packed_bytes(m.pack, m.rows, m.cols));
}

void add_lora(const Kernels &kernels, const sdk::Lora &lora, const float *x, float *y) {
  std::vector<float> inner(lora.rank);
  for (uint32_t r = 0; r < lora.rank; ++r) inner[r] = lora.scale * kernels.dot(&lora.a[r * lora.in], x, lora.in);
  for (uint64_t row = 0; row < lora.out; ++row)
    y[row] += kernels.dot(&lora.b[row * lora.rank], inner.data(), lora.rank);
}

std::vector<sdk::WeightUse> linear_weights(const sdk::PlanNode &plan) {
  std::vector<sdk::WeightUse> uses{use_packed(plan, 1)};
  if (plan.has_input(2)) uses.push_back(use_stored(plan, 2));
  return uses;
}

uint64_t linear_scratch(const sdk::PlanNode &plan, uint64_t rows) {
  return multiply_scratch(plan_matrix(plan, 1), rows, plan.target.width, plan.deterministic());
}

Status run_linear(sdk::RunContext &run) {
  run_multiply(run);
  if (run.any_adapter) add_deltas(run);
  if (!run.plan.has_input(2)) return {};
  const uint64_t out = run.plan.output_cols(0);
  std::vector<float> bias(out);
  run.weights[1]->stored.decode(0, 0, bias.data());
  for (uint32_t row = run.first_row; row < run.first_row + run.n_rows; ++row)
    machine_of(run.plan).kernels->axpy(1, bias.data(), run.output() + row * out, out);
  return {};
}

Status run_lm_head(sdk::RunContext &run) {
  run_multiply(run);
  if (run.any_adapter) add_deltas(run);
  const uint64_t vocab = run.plan.output_cols(0);
  const uint64_t real =
      static_cast<uint64_t>(run.plan.node.get_int(graph::Attr::kNumVocab, static_cast<int64_t>(vocab)));
  for (uint32_t row = run.first_row; row < run.first_row + run.n_rows; ++row)
    for (uint64_t id = real; id < vocab; ++id) run.output()[row * vocab + id] = -INFINITY;
  return {};
}

}  // namespace deepseam::onednn
