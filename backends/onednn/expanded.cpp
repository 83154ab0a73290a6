// Attention with expanded keys and values, a head a task, over chunks of 256 KV rows.
//
// Per chunk and head the latents become keys [256, dn + dr] and values [256, dv], scores of all rows come from one
// GEMM, and a running maximum joins the chunks. Nothing of the size of the whole context is ever held. Sums are not in
// the order of the absorbed form, so deterministic programs do not come here.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "attention.h"

namespace deepseam::onednn {
namespace {

constexpr uint64_t kChunk = 256;
constexpr uint32_t kRowsAtOnce = 2048;

uint64_t aligned(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

// One worker's buffers.
struct Buffers {
  float *key_weight, *value_weight;  // [R, dn], [dv, R]
  float *latents;                    // [256, R + dr]
  float *keys, *values;              // [256, dn + dr], [256, dv]
  float *scores;                     // [rows, 256]
  float *out;                        // [rows, dv]
  float *maximum, *sum;              // [rows]
  uint64_t bytes = 0;
};

Buffers buffers(const MlaShape &s, uint64_t rows, std::byte *base) {
  Buffers b{};
  const auto take = [&](uint64_t count) {
    float *at = reinterpret_cast<float *>(base ? base + b.bytes : nullptr);
    b.bytes += aligned(count * sizeof(float));
    return at;
  };
  b.key_weight = take(s.rank * s.nope);
  b.value_weight = take(s.value * s.rank);
  b.latents = take(kChunk * s.row_cols());
  b.keys = take(kChunk * (s.nope + s.rope));
  b.values = take(kChunk * s.value);
  b.scores = take(rows * kChunk);
  b.out = take(rows * s.value);
  b.maximum = take(rows);
  b.sum = take(rows);
  return b;
}

struct Head {
  const Attention &a;
  const Segment &rows;
  const Buffers &b;
  uint64_t head;
  Gemm gemm;

  uint64_t visible_end() const { return a.run.rows[rows.first + rows.n - 1].kv_row + uint64_t{1}; }

  void run() const {
    const MlaShape &s = a.shape;
    unpack_tiles(a.kv_b.key(head), 0, tiles(s.rank), b.key_weight);
    unpack_tiles(a.kv_b.value(head), 0, tiles(s.value), b.value_weight);
    std::memset(b.out, 0, rows.n * s.value * sizeof(float));
    for (uint32_t i = 0; i < rows.n; ++i) b.maximum[i] = -INFINITY, b.sum[i] = 0;
    for (uint64_t at = 0; at < visible_end(); at += kChunk) {
      if (a.run.tasks.cancelled()) return;
      const uint64_t n = std::min(kChunk, visible_end() - at);
      expand(at, n);
      attend(at, n);
    }
    for (uint32_t i = 0; i < rows.n; ++i) {
      float *y = a.run.output() + (rows.first + i) * s.heads * s.value + head * s.value;
      for (uint64_t d = 0; d < s.value; ++d) y[d] = b.out[i * s.value + d] / b.sum[i];
    }
  }

  void expand(uint64_t at, uint64_t n) const {
    const MlaShape &s = a.shape;
    const sdk::Seq &seq = a.run.seqs[a.run.rows[rows.first].seq];
    for (uint64_t j = 0; j < n; ++j) {
      float *latent = b.latents + j * s.row_cols();
      sdk::kv_decode(a.run.kv.shape, a.run.kv.row(s.kv_layer, seq, static_cast<uint32_t>(at + j)), latent);
      std::memcpy(b.keys + j * (s.nope + s.rope) + s.nope, latent + s.rank, s.rope * sizeof(float));
    }
    gemm.nn(n, s.nope, s.rank, b.latents, s.row_cols(), b.key_weight, s.nope, b.keys, s.nope + s.rope, false);
    gemm.nt(n, s.value, s.rank, b.latents, s.row_cols(), b.value_weight, s.rank, b.values, s.value, false);
  }

  void attend(uint64_t at, uint64_t n) const {
    const MlaShape &s = a.shape;
    const Kernels &k = *a.machine.kernels;
    const uint64_t q_cols = s.nope + s.rope;
    uint32_t first = 0;  // rows before it see nothing of this chunk
    while (a.run.rows[rows.first + first].kv_row < at) ++first;
    gemm.nt(rows.n - first, n, q_cols, a.q_row(rows.first + first) + head * q_cols, s.q_cols(), b.keys, q_cols,
            b.scores + first * kChunk, kChunk, false);
    for (uint32_t i = first; i < rows.n; ++i) {
      float *scores = b.scores + i * kChunk;
      const uint64_t last = a.run.rows[rows.first + i].kv_row;
      const uint64_t seen = std::min(n, last - at + 1);
      float maximum = b.maximum[i];
      for (uint64_t j = 0; j < seen; ++j) {
        scores[j] *= s.softmax_scale;
        maximum = std::max(maximum, scores[j]);
      }
      std::fill(scores + seen, scores + n, 0.0f);
      const float rescale = std::exp(b.maximum[i] - maximum);
      if (rescale != 1) k.scale(rescale, b.out + i * s.value, s.value);
      b.sum[i] = b.sum[i] * rescale + k.exp_sum(scores, seen, maximum);
      b.maximum[i] = maximum;
    }
    gemm.nn(rows.n - first, s.value, n, b.scores + first * kChunk, kChunk, b.values, s.value, b.out + first * s.value,
            s.value, true);
  }
};

}  // namespace

uint64_t expanded_scratch(const MlaShape &shape, uint64_t max_rows, uint32_t width) {
  return width * buffers(shape, std::min<uint64_t>(max_rows, kRowsAtOnce), nullptr).bytes;
}

void attend_expanded(const Attention &a, const Segment &segment) {
  const uint64_t per_worker = buffers(a.shape, std::min<uint64_t>(a.run.max_rows, kRowsAtOnce), nullptr).bytes;
  for (uint32_t first = 0; first < segment.n; first += kRowsAtOnce) {
    const Segment rows{segment.first + first, std::min(kRowsAtOnce, segment.n - first)};
    for_chunks(a.run.tasks, a.shape.heads, [&](uint32_t worker, uint64_t head) {
      const Buffers b =
          buffers(a.shape, std::min<uint64_t>(a.run.max_rows, kRowsAtOnce), a.expanded + worker * per_worker);
      Head{a, rows, b, head, Gemm{a.machine}}.run();
    });
  }
}

}  // namespace deepseam::onednn
