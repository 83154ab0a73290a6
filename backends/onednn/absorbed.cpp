// Attention on the latents: one key and value of R (+ rope) numbers for all heads.
//
// Scores are taken in chunks of 64 visible rows with a running maximum. Chunks start at multiples of 64 of the row's
// own order of positions, whatever step stored them, so prefill in any pieces and decoding give the same bits.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "attention.h"

namespace deepseam::onednn {
namespace {

constexpr uint64_t kChunk = 64;

// q~ = Wk^T q per head, by groups of rows.
void absorb_queries(const Attention &a, const Segment &segment) {
  const MlaShape &s = a.shape;
  const uint64_t groups = (segment.n + kMaxRows - 1) / kMaxRows;
  for_chunks(a.run.tasks, s.heads * groups, [&](uint32_t, uint64_t chunk) {
    const uint64_t head = chunk / groups;
    const uint32_t first = segment.first + static_cast<uint32_t>(chunk % groups * kMaxRows);
    const uint32_t n = std::min(kMaxRows, segment.first + segment.n - first);
    const float *xs[kMaxRows];
    float *ys[kMaxRows];
    for (uint32_t i = 0; i < n; ++i) {
      xs[i] = a.q_row(first + i) + head * (s.nope + s.rope);
      ys[i] = a.absorbed_row(first + i) + head * s.rank;
    }
    const Matrix key = a.kv_b.key(head);
    multiply_tiles(*a.machine.kernels, key, 0, tiles(key.rows), xs, nullptr, ys, n);
  });
}

// The same product for a low-rank delta of kv_b: q~ += scale A^T (Bk^T q).
void add_query_delta(const Attention &a, const sdk::Lora &lora, uint32_t row) {
  const MlaShape &s = a.shape;
  const Kernels &k = *a.machine.kernels;
  std::vector<float> inner(lora.rank);
  for (uint64_t h = 0; h < s.heads; ++h) {
    std::fill(inner.begin(), inner.end(), 0.0f);
    const float *q = a.q_row(row) + h * (s.nope + s.rope);
    for (uint64_t d = 0; d < s.nope; ++d)
      k.axpy(q[d], &lora.b[(h * (s.nope + s.value) + d) * lora.rank], inner.data(), lora.rank);
    for (uint32_t r = 0; r < lora.rank; ++r)
      k.axpy(lora.scale * inner[r], &lora.a[r * s.rank], a.absorbed_row(row) + h * s.rank, s.rank);
  }
}

// o = Wv z per head, and for a delta o += scale Bv (A z).
void add_value_delta(const Attention &a, const sdk::Lora &lora, uint32_t row, float *out) {
  const MlaShape &s = a.shape;
  const Kernels &k = *a.machine.kernels;
  std::vector<float> inner(lora.rank);
  for (uint64_t h = 0; h < s.heads; ++h) {
    const float *z = a.absorbed_row(row) + h * s.rank;
    for (uint32_t r = 0; r < lora.rank; ++r) inner[r] = lora.scale * k.dot(&lora.a[r * s.rank], z, s.rank);
    for (uint64_t d = 0; d < s.value; ++d)
      out[h * s.value + d] +=
          k.dot(&lora.b[(h * (s.nope + s.value) + s.nope + d) * lora.rank], inner.data(), lora.rank);
  }
}

struct Running {
  float maximum = -INFINITY, sum = 0;
};

// Heads [begin, end) of one row: q~ in place becomes the attended latent z. `tile` [64, R + rope], `z` [heads, R].
struct HeadGroup {
  const Attention &a;
  uint32_t row;
  uint64_t begin, end;

  void attend() const {
    const MlaShape &s = a.shape;
    const Visible visible(a.run, a.run.rows[row]);
    const sdk::Seq &seq = a.run.seqs[a.run.rows[row].seq];
    const bool plain = a.run.kv.shape.format == DSB_KV_F32;
    std::vector<float> decoded(plain ? 0 : kChunk * s.row_cols()), z((end - begin) * s.rank);
    std::vector<Running> running(end - begin);
    const float *rows[kChunk];
    for (uint64_t at = 0; at < visible.count(); at += kChunk) {
      if (a.run.tasks.cancelled()) return;
      const uint64_t n = std::min(kChunk, visible.count() - at);
      for (uint64_t j = 0; j < n; ++j) {
        const uint8_t *stored = a.run.kv.row(s.kv_layer, seq, visible.kv_row(at + j));
        if (!plain) sdk::kv_decode(a.run.kv.shape, stored, &decoded[j * s.row_cols()]);
        rows[j] = plain ? reinterpret_cast<const float *>(stored) : &decoded[j * s.row_cols()];
      }
      for (uint64_t h = begin; h < end; ++h) chunk(h, rows, n, &running[h - begin], &z[(h - begin) * s.rank]);
    }
    for (uint64_t h = begin; h < end; ++h) {
      float *out = a.absorbed_row(row) + h * s.rank;
      const float inverse = 1 / running[h - begin].sum;
      for (uint64_t j = 0; j < s.rank; ++j) out[j] = z[(h - begin) * s.rank + j] * inverse;
    }
  }

  void chunk(uint64_t h, const float *const *rows, uint64_t n, Running *running, float *z) const {
    const MlaShape &s = a.shape;
    const Kernels &k = *a.machine.kernels;
    const float *q = a.absorbed_row(row) + h * s.rank;
    const float *q_rope = a.q_row(row) + h * (s.nope + s.rope) + s.nope;
    float scores[kChunk], maximum = running->maximum;
    uint64_t pair = 0;
    for (; pair + 2 <= n; pair += 2) {
      const float *const turned[2] = {rows[pair] + s.rank, rows[pair + 1] + s.rank};
      float rope[2];
      k.dot2(q, rows + pair, s.rank, scores + pair);
      k.dot2(q_rope, turned, s.rope, rope);
      for (uint64_t i = 0; i < 2; ++i) scores[pair + i] = (scores[pair + i] + rope[i]) * s.softmax_scale;
    }
    if (pair < n)
      scores[pair] = (k.dot(q, rows[pair], s.rank) + k.dot(q_rope, rows[pair] + s.rank, s.rope)) * s.softmax_scale;
    for (uint64_t j = 0; j < n; ++j) maximum = std::max(maximum, scores[j]);
    if (maximum > running->maximum) {
      const float rescale = std::exp(running->maximum - maximum);
      running->sum *= rescale;
      k.scale(rescale, z, s.rank);
      running->maximum = maximum;
    }
    running->sum += k.exp_sum(scores, n, maximum);
    uint64_t j = 0;
    for (; j + 4 <= n; j += 4) k.axpy4(scores + j, rows + j, z, s.rank);
    for (; j < n; ++j) k.axpy(scores[j], rows[j], z, s.rank);
  }
};

void project_values(const Attention &a, const Segment &segment) {
  const MlaShape &s = a.shape;
  const uint64_t groups = (segment.n + kMaxRows - 1) / kMaxRows;
  for_chunks(a.run.tasks, s.heads * groups, [&](uint32_t, uint64_t chunk) {
    const uint64_t head = chunk / groups;
    const uint32_t first = segment.first + static_cast<uint32_t>(chunk % groups * kMaxRows);
    const uint32_t n = std::min(kMaxRows, segment.first + segment.n - first);
    const float *xs[kMaxRows];
    float *ys[kMaxRows];
    for (uint32_t i = 0; i < n; ++i) {
      xs[i] = a.absorbed_row(first + i) + head * s.rank;
      ys[i] = a.run.output() + (first + i) * s.heads * s.value + head * s.value;
    }
    const Matrix value = a.kv_b.value(head);
    multiply_tiles(*a.machine.kernels, value, 0, tiles(value.rows), xs, nullptr, ys, n);
  });
}

// body(lora, row) for the segment's rows whose adapter changes kv_b.
template <class Body>
void each_delta(const Attention &a, const Segment &segment, const Body &body) {
  if (!a.run.any_adapter) return;
  a.run.tasks.parallel(segment.n, [&](uint32_t i) {
    if (const sdk::Lora *lora = a.run.lora(segment.first + i, 3)) body(*lora, segment.first + i);
  });
}

}  // namespace

void attend_absorbed(const Attention &a, const Segment &segment) {
  const MlaShape &s = a.shape;
  absorb_queries(a, segment);
  each_delta(a, segment, [&](const sdk::Lora &lora, uint32_t row) { add_query_delta(a, lora, row); });
  // Few rows: split the heads, so that every thread reads the latents once. Many: a task a row is enough.
  const uint64_t width = a.run.tasks.width();
  const uint64_t splits = std::clamp<uint64_t>(segment.n >= 4 * width ? 1 : width, 1, s.heads);
  for_chunks(a.run.tasks, segment.n * splits, [&](uint32_t, uint64_t chunk) {
    const uint64_t split = chunk % splits;
    HeadGroup{a, segment.first + static_cast<uint32_t>(chunk / splits), s.heads * split / splits,
              s.heads * (split + 1) / splits}
        .attend();
  });
  project_values(a, segment);
  each_delta(a, segment, [&](const sdk::Lora &lora, uint32_t row) {
    add_value_delta(a, lora, row, a.run.output() + row * s.heads * s.value);
  });
}

}  // namespace deepseam::onednn
