#include "attention.h"

#include <cmath>
#include <cstring>

namespace deepseam::onednn {
namespace {

using graph::Attr;

uint64_t aligned(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

// The turn of each interleaved pair at a position, as cos and sin: [dr/2] of each.
void turns_at(const MlaShape &s, uint32_t position, float *cosine, float *sine) {
  for (uint64_t j = 0; j < s.rope / 2; ++j) {
    const double angle = position * s.inv_freq[j];
    cosine[j] = static_cast<float>(std::cos(angle)) * s.rope_scale;
    sine[j] = static_cast<float>(std::sin(angle)) * s.rope_scale;
  }
}

// Turns the pairs (x[2j], x[2j+1]).
void rotate(const MlaShape &s, const float *cosine, const float *sine, float *x) {
  for (uint64_t j = 0; j < s.rope / 2; ++j) {
    const float a = x[2 * j], b = x[2 * j + 1];
    x[2 * j] = a * cosine[j] - b * sine[j];
    x[2 * j + 1] = a * sine[j] + b * cosine[j];
  }
}

// Norms the latent, turns key and queries, stores the row.
void prepare_rows(const Attention &a, const float *norm) {
  sdk::RunContext &run = a.run;
  const MlaShape &s = a.shape;
  each_row(run.tasks, run.n_rows, [&](uint64_t i) {
    const uint32_t r = run.first_row + static_cast<uint32_t>(i);
    const sdk::Row &row = run.rows[r];
    const float *kv_a = run.input(1) + r * s.row_cols();
    std::vector<float> latent(s.row_cols()), turns(s.rope);
    const float *cosine = turns.data(), *sine = turns.data() + s.rope / 2;
    turns_at(s, row.position, turns.data(), turns.data() + s.rope / 2);
    const double mean = static_cast<double>(a.machine.kernels->sum_squares(kv_a, s.rank)) / static_cast<double>(s.rank);
    const float scale = static_cast<float>(1 / std::sqrt(mean + static_cast<double>(s.eps)));
    for (uint64_t j = 0; j < s.rank; ++j) latent[j] = kv_a[j] * scale * norm[j];
    std::memcpy(&latent[s.rank], kv_a + s.rank, s.rope * sizeof(float));
    rotate(s, cosine, sine, &latent[s.rank]);
    sdk::kv_encode(run.kv.shape, latent.data(), &latent[s.rank], run.kv.row(s.kv_layer, run.seqs[row.seq], row.kv_row));
    float *q = a.q_row(r);
    std::memcpy(q, run.input(0) + r * s.q_cols(), s.q_cols() * sizeof(float));
    for (uint64_t h = 0; h < s.heads; ++h) rotate(s, cosine, sine, q + h * (s.nope + s.rope) + s.nope);
  });
}

bool expands(const Attention &a, const Segment &segment) {
  if (!a.expanded || segment.n < kExpandedRows) return false;
  for (uint32_t r = segment.first; r < segment.first + segment.n; ++r)
    if (a.run.rows[r].ancestors) return false;
  return true;
}

struct Workspace {
  uint64_t q = 0, absorbed = 0, expanded = 0, bytes = 0;
};

Workspace workspace(const sdk::PlanNode &plan, const MlaShape &s, uint64_t rows) {
  Workspace w;
  w.absorbed = aligned(rows * s.q_cols() * sizeof(float));
  w.expanded = w.absorbed + aligned(rows * s.heads * s.rank * sizeof(float));
  const bool can_expand = !plan.deterministic() && rows >= kExpandedRows;
  w.bytes = w.expanded + (can_expand ? expanded_scratch(s, rows, plan.target.width) : 0);
  return w;
}

}  // namespace

MlaShape mla_shape(const sdk::PlanNode &plan) {
  const auto get = [&](Attr key) { return static_cast<uint64_t>(plan.node.get_int(key)); };
  MlaShape s;
  s.heads = get(Attr::kNumHeads);
  s.nope = get(Attr::kQkNopeHeadDim);
  s.rope = get(Attr::kQkRopeHeadDim);
  s.value = get(Attr::kVHeadDim);
  s.rank = get(Attr::kKvLoraRank);
  s.kv_layer = static_cast<uint32_t>(get(Attr::kKvLayer));
  s.eps = static_cast<float>(plan.node.get_float(Attr::kEps));
  s.softmax_scale = static_cast<float>(plan.node.get_float(Attr::kSoftmaxScale));
  s.rope_scale = static_cast<float>(plan.node.get_float(Attr::kRopeScale, 1));
  s.inv_freq = plan.node.get_list(Attr::kInvFreq);
  return s;
}

std::vector<sdk::WeightUse> attention_weights(const sdk::PlanNode &plan) {
  const MlaShape s = mla_shape(plan);
  const KvB kv_b{float_pack_of(plan.input(3).dtype), nullptr, &s};
  sdk::WeightUse use = use_stored(plan, 3);
  use.form = 16 + form_of(kv_b.pack);  // not the plain packed form of the same matrix
  use.bytes = s.heads * kv_b.head_bytes();
  return {use_stored(plan, 2), use};
}

Status attention_pack(sdk::PackJob &job) {
  const MlaShape s = mla_shape(job.plan);
  const sdk::StoredTensor &from = job.sources[0];
  const KvB kv_b{float_pack_of(from.dtype), job.out, &s};
  const char *role = job.plan.input(3).name.c_str();
  std::vector<Status> failures(job.tasks.width());
  for_chunks(job.tasks, s.heads, [&](uint32_t worker, uint64_t head) {
    const uint64_t row = head * (s.nope + s.value);
    uint8_t *key = job.out + head * kv_b.head_bytes();
    Status status = pack_rows(from, row, s.nope, true, kv_b.pack, role, key);
    if (status.ok()) status = pack_rows(from, row + s.nope, s.value, false, kv_b.pack, role, key + kv_b.key_bytes());
    if (!status.ok()) failures[worker] = std::move(status);
  });
  for (Status &failure : failures) DS_TRY(std::move(failure));
  return {};
}

uint64_t attention_scratch(const sdk::PlanNode &plan, uint64_t rows) {
  return workspace(plan, mla_shape(plan), rows).bytes;
}

Visible::Visible(const sdk::RunContext &run, const sdk::Row &row) : run_(run), row_(row), seq_(run.seqs[row.seq]) {
  kv_len = seq_.kv_len;
  if (!row.ancestors) {
    in_step = row.in_seq + 1;
    return;
  }
  for (uint32_t j = 0; j < seq_.n_rows; ++j)
    if (row.ancestors[j / 32] >> j % 32 & 1) chosen_.push_back(run.rows[seq_.first_row + j].kv_row);
  in_step = static_cast<uint32_t>(chosen_.size());
}

uint32_t Visible::kv_row(uint64_t j) const {
  if (j < kv_len) return static_cast<uint32_t>(j);
  j -= kv_len;
  return row_.ancestors ? chosen_[j] : run_.rows[seq_.first_row + j].kv_row;
}

Status run_mla_attention(sdk::RunContext &run) {
  const MlaShape s = mla_shape(run.plan);
  const Workspace w = workspace(run.plan, s, run.max_rows);
  const KvB kv_b{float_pack_of(run.plan.input(3).dtype), run.weights[1]->packed, &s};
  const Attention a{run,
                    machine_of(run.plan),
                    s,
                    kv_b,
                    reinterpret_cast<float *>(run.scratch),
                    reinterpret_cast<float *>(run.scratch + w.absorbed),
                    w.bytes > w.expanded ? run.scratch + w.expanded : nullptr};
  std::vector<float> norm(s.rank);
  run.weights[0]->stored.decode(0, 0, norm.data());
  prepare_rows(a, norm.data());
  for (uint32_t r = run.first_row; r < run.first_row + run.n_rows && !run.tasks.cancelled();) {
    Segment segment{r, 0};
    while (r < run.first_row + run.n_rows && run.rows[r].seq == run.rows[segment.first].seq) ++r, ++segment.n;
    expands(a, segment) ? attend_expanded(a, segment) : attend_absorbed(a, segment);
  }
  return {};
}

}  // namespace deepseam::onednn
