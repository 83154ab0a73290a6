// Multi-head latent attention in its absorbed form (DeepSeek-V2, arXiv 2405.04434, section 2.1.2): queries are turned
// into the latent space, so that only stored latents are read, and results out of it again.
//
// What a row attends to is walked in order of position, 64 KV rows at a time counted from the sequence's start, with a
// running softmax; so the sums of a row are the same however it came to be computed. Rows are always read back as
// stored, also those of this step.
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ref/math.h"
#include "ref/ref.h"
#include "sdk/exact_math.h"

namespace deepseam::ref {
namespace {

using graph::Attr;

constexpr uint32_t kBlock = 64;  // KV rows between two rescalings

struct Mla {
  explicit Mla(const sdk::RunContext &of)
      : context(of), kv_b(*of.stored(3)), inv_freq(of.plan.node.get_list(Attr::kInvFreq)) {
    const graph::Node &node = of.plan.node;
    layer = number(Attr::kKvLayer);
    heads = number(Attr::kNumHeads);
    dn = number(Attr::kQkNopeHeadDim);
    dr = number(Attr::kQkRopeHeadDim);
    dv = number(Attr::kVHeadDim);
    rank = number(Attr::kKvLoraRank);
    eps = static_cast<float>(node.get_float(Attr::kEps));
    softmax_scale = static_cast<float>(node.get_float(Attr::kSoftmaxScale));
    rope_scale = node.get_float(Attr::kRopeScale, 1);
  }
  uint32_t number(Attr key) const { return static_cast<uint32_t>(context.plan.node.get_int(key)); }
  const float *query(uint32_t row, uint32_t head) const {
    return context.input(0) + (size_t{row} * heads + head) * (dn + dr);
  }

  const sdk::RunContext &context;
  const sdk::StoredTensor &kv_b;  // per head dn rows for keys, dv rows for values
  std::span<const double> inv_freq;
  uint32_t layer, heads, dn, dr, dv, rank;
  float eps, softmax_scale;
  double rope_scale;
};

// Turns interleaved pairs by position * inv_freq.
void rotate(const Mla &mla, const float *x, uint32_t position, float *y) {
  for (uint32_t j = 0; j < mla.dr / 2; ++j) {
    const sdk::SinCos angle = sdk::exact_sincos(position * mla.inv_freq[j]);
    const float c = static_cast<float>(angle.cos * mla.rope_scale);
    const float s = static_cast<float>(angle.sin * mla.rope_scale);
    const float even = x[2 * j], odd = x[2 * j + 1];
    y[2 * j] = even * c - odd * s;
    y[2 * j + 1] = even * s + odd * c;
  }
}

// Normalises the row's latent, turns its key, and stores both.
void store(const Mla &mla, uint32_t r, const std::vector<float> &norm) {
  const sdk::RunContext &context = mla.context;
  const sdk::Row &row = context.rows[r];
  const float *kv_a = context.input(1) + size_t{r} * (mla.rank + mla.dr);
  std::vector<float> latent(mla.rank), key(mla.dr);
  const float root = std::sqrt(dot(kv_a, kv_a, mla.rank) / static_cast<float>(mla.rank) + mla.eps);
  for (uint32_t i = 0; i < mla.rank; ++i) latent[i] = kv_a[i] / root * norm[i];
  rotate(mla, kv_a + mla.rank, row.position, key.data());
  sdk::kv_encode(context.kv.shape, latent.data(), key.data(),
                 context.kv.row(mla.layer, context.seqs[row.seq], row.kv_row));
}

// q~ = Wk^T q and the turned query, for one head: [rank + dr]. An adapter's kv_b delta acts as A^T (B q).
void absorb(const Mla &mla, uint32_t r, uint32_t head, float *out) {
  const float *q = mla.query(r, head);
  const uint64_t first = uint64_t{head} * (mla.dn + mla.dv);
  std::vector<float> decoded(mla.rank);
  std::fill_n(out, mla.rank, 0.0f);
  for (uint32_t d = 0; d < mla.dn; ++d) {
    mla.kv_b.decode(0, first + d, decoded.data());
    add_scaled(out, decoded.data(), q[d], mla.rank);
  }
  if (const sdk::Lora *lora = mla.context.lora(r, 3)) {
    std::vector<float> bq(lora->rank);
    for (uint32_t d = 0; d < mla.dn; ++d)
      add_scaled(bq.data(), lora->b.data() + (first + d) * lora->rank, q[d], lora->rank);
    for (uint32_t j = 0; j < lora->rank; ++j)
      add_scaled(out, lora->a.data() + size_t{j} * mla.rank, lora->scale * bq[j], mla.rank);
  }
  rotate(mla, q + mla.dn, mla.context.rows[r].position, out + mla.rank);
}

// o = Wv z for one head.
void give_values(const Mla &mla, uint32_t r, uint32_t head, const float *z) {
  float *out = mla.context.output() + (size_t{r} * mla.heads + head) * mla.dv;
  const uint64_t first = uint64_t{head} * (mla.dn + mla.dv) + mla.dn;
  const sdk::Lora *lora = mla.context.lora(r, 3);
  const std::vector<float> projected = lora ? project(*lora, z) : std::vector<float>();
  std::vector<float> decoded(mla.rank);
  for (uint32_t d = 0; d < mla.dv; ++d) {
    mla.kv_b.decode(0, first + d, decoded.data());
    out[d] = dot(decoded.data(), z, mla.rank) + (lora ? delta(*lora, projected, first + d) : 0.0f);
  }
}

// Softmax over what has come so far, unnormalised, relative to the largest score.
struct Running {
  float most = -std::numeric_limits<float>::infinity();
  float sum = 0;
};

void attend_block(const Mla &mla, const float *keys, uint32_t n, const float *query, Running *running, float *z) {
  const uint32_t width = mla.rank + mla.dr;
  float scores[kBlock];
  float most = running->most;
  for (uint32_t j = 0; j < n; ++j) {
    scores[j] = dot(query, keys + size_t{j} * width, width) * mla.softmax_scale;
    most = std::max(most, scores[j]);
  }
  const float shrink = static_cast<float>(sdk::exact_exp(double{running->most} - most));
  for (uint32_t i = 0; i < mla.rank; ++i) z[i] *= shrink;
  float sum = 0;
  for (uint32_t j = 0; j < n; ++j) {
    const float weight = static_cast<float>(sdk::exact_exp(double{scores[j]} - most));
    sum += weight;
    add_scaled(z, keys + size_t{j} * width, weight, mla.rank);
  }
  *running = {most, running->sum * shrink + sum};
}

// KV rows that a row sees, in order of position.
std::vector<uint32_t> visible_rows(const Mla &mla, const sdk::Row &row) {
  const sdk::Seq &seq = mla.context.seqs[row.seq];
  std::vector<uint32_t> visible(seq.kv_len);
  for (uint32_t i = 0; i < seq.kv_len; ++i) visible[i] = i;
  for (uint32_t j = 0; j <= row.in_seq; ++j)
    if (!row.ancestors || (row.ancestors[j / 32] >> (j % 32) & 1))
      visible.push_back(mla.context.rows[seq.first_row + j].kv_row);
  return visible;
}

// One row, heads [begin, end).
void attend(const Mla &mla, uint32_t r, uint32_t begin, uint32_t end) {
  const sdk::RunContext &context = mla.context;
  const sdk::Row &row = context.rows[r];
  const uint32_t width = mla.rank + mla.dr, heads = end - begin;
  std::vector<float> queries(size_t{heads} * width), z(size_t{heads} * mla.rank), keys(size_t{kBlock} * width);
  std::vector<Running> running(heads);
  for (uint32_t h = 0; h < heads; ++h) absorb(mla, r, begin + h, queries.data() + size_t{h} * width);
  const std::vector<uint32_t> visible = visible_rows(mla, row);
  for (size_t first = 0; first < visible.size(); first += kBlock) {
    if (context.tasks.cancelled()) return;
    const uint32_t n = static_cast<uint32_t>(std::min<size_t>(kBlock, visible.size() - first));
    for (uint32_t j = 0; j < n; ++j)
      sdk::kv_decode(context.kv.shape, context.kv.row(mla.layer, context.seqs[row.seq], visible[first + j]),
                     keys.data() + size_t{j} * width);
    for (uint32_t h = 0; h < heads; ++h)
      attend_block(mla, keys.data(), n, queries.data() + size_t{h} * width, &running[h],
                   z.data() + size_t{h} * mla.rank);
  }
  for (uint32_t h = 0; h < heads; ++h) {
    float *latent = z.data() + size_t{h} * mla.rank;
    for (uint32_t i = 0; i < mla.rank; ++i) latent[i] /= running[h].sum;
    give_values(mla, r, begin + h, latent);
  }
}

}  // namespace

Status mla_attention(sdk::RunContext &context) {
  const Mla mla(context);
  std::vector<float> norm(mla.rank);
  context.stored(2)->decode(0, 0, norm.data());
  context.tasks.parallel(context.n_rows, [&](uint32_t i) { store(mla, context.first_row + i, norm); });
  // Few rows are cut by heads as well, so that all threads have work.
  const uint32_t cuts = std::clamp(2 * context.tasks.width() / context.n_rows, 1u, mla.heads);
  const uint32_t per_task = (mla.heads + cuts - 1) / cuts, n_cuts = (mla.heads + per_task - 1) / per_task;
  context.tasks.parallel(context.n_rows * n_cuts, [&](uint32_t i) {
    const uint32_t begin = i % n_cuts * per_task;
    attend(mla, context.first_row + i / n_cuts, begin, std::min(begin + per_task, mla.heads));
  });
  return {};
}

}  // namespace deepseam::ref
