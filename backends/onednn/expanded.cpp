// Attention with expanded keys and values, over chunks of KV rows that all new rows pass before the next chunk.
//
// Per chunk the latents become keys and values of a few heads at a time: each KV row is decoded once for all of them.
// Then 16 new rows, one a lane, take scores, softmax and values in steps of 128 KV rows, up to the last one that any of
// them sees, and a running maximum joins the steps. Nothing of the size of the whole context is ever held. Sums are not
// in the order of the absorbed form, so deterministic programs do not come here.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "attention.h"

namespace deepseam::onednn {
namespace {

constexpr uint64_t kChunk = 512;        // KV rows that are expanded before rows attend
constexpr uint64_t kStep = 128;         // of them between two looks at the maximum: keys and values stay in cache
constexpr uint64_t kDecoded = 64;       // of them in one task of expanding
constexpr uint64_t kTilesAtOnce = 8;    // of new rows in one task of attending
constexpr uint32_t kRowsAtOnce = 2048;  // new rows
constexpr uint64_t kFewestHeads = 8;    // expanded together, if there are as many

uint64_t aligned(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

struct Buffers {
  float *key_panels, *value_panels;  // of a head: [tiles(dn)][R][16], [tiles(dv)][R][16]
  float *keys;                       // of a head: [512][dr + dn, dn padded to tiles]
  float *values;                     // of a head: [512 / 128][tiles(dv)][128][16]
  float *out;                        // of a head and tile of rows: [16][dv padded to tiles]
  Softmax *running;                  // of a head: [tiles of rows]
  float *latents;                    // of a worker: [64][R + dr]
  float *queries;                    // of a worker: [8][dr + dn][16]
  float *scores;                     // of a worker: [128][16]
  uint64_t bytes = 0;
};

struct Sizes {
  uint64_t heads, rows, key_cols, value_cols, key_panels, value_panels, keys, values;
  Sizes(const MlaShape &s, uint64_t max_rows, uint32_t width)
      : heads(std::min(s.heads, std::max<uint64_t>(kFewestHeads, width))),
        rows(tiles(std::min<uint64_t>(max_rows, kRowsAtOnce))),
        key_cols(s.rope + tiles(s.nope) * kLanes),
        value_cols(tiles(s.value) * kLanes),
        key_panels(tiles(s.nope) * s.rank * kLanes),
        value_panels(tiles(s.value) * s.rank * kLanes),
        keys(kChunk * key_cols),
        values(kChunk * value_cols) {}
};

Buffers buffers(const MlaShape &s, const Sizes &n, uint32_t width, std::byte *base) {
  Buffers b{};
  const auto take = [&](uint64_t bytes) {
    std::byte *at = base ? base + b.bytes : nullptr;
    b.bytes += aligned(bytes);
    return at;
  };
  const auto floats = [&](uint64_t count) { return reinterpret_cast<float *>(take(count * sizeof(float))); };
  b.key_panels = floats(n.heads * n.key_panels);
  b.value_panels = floats(n.heads * n.value_panels);
  b.keys = floats(n.heads * n.keys);
  b.values = floats(n.heads * n.values);
  b.out = floats(n.heads * n.rows * kLanes * n.value_cols);
  b.running = reinterpret_cast<Softmax *>(take(n.heads * n.rows * sizeof(Softmax)));
  b.latents = floats(width * kDecoded * s.row_cols());
  b.queries = floats(width * kTilesAtOnce * (s.nope + s.rope) * kLanes);
  b.scores = floats(width * kStep * kLanes);
  return b;
}

// Rows [first, first + n) of a low-rank delta of kv_b, added to their panels: [tiles(n)][R][16].
void add_delta(const sdk::Lora &lora, uint64_t first, uint64_t n, float *panels) {
  for (uint64_t tile = 0; tile < tiles(n); ++tile, panels += lora.in * kLanes) {
    const uint64_t lanes = std::min<uint64_t>(kLanes, n - tile * kLanes);
    for (uint32_t begin = 0; begin < lora.rank; begin += kLanes) {
      const uint32_t ranks = std::min<uint32_t>(kLanes, lora.rank - begin);
      float turned[kLanes][kLanes] = {};  // scale * B, a row a lane
      for (uint64_t lane = 0; lane < lanes; ++lane)
        for (uint32_t k = 0; k < ranks; ++k)
          turned[k][lane] = lora.scale * lora.b[(first + tile * kLanes + lane) * lora.rank + begin + k];
      for (uint64_t r = 0; r < lora.in; ++r)
        for (uint32_t k = 0; k < ranks; ++k)
          for (uint64_t lane = 0; lane < kLanes; ++lane)
            panels[r * kLanes + lane] += turned[k][lane] * lora.a[(begin + k) * lora.in + r];
    }
  }
}

// Heads [first_head, first_head + n_heads) of some rows of one sequence.
struct Heads {
  const Attention &a;
  const Segment &rows;
  const Sizes &size;
  const Buffers &b;
  uint64_t first_head, n_heads;

  const MlaShape &shape() const { return a.shape; }
  const Kernels &kernels() const { return *a.machine.kernels; }
  // How many KV rows the i-th row sees.
  uint64_t seen_by(uint64_t i) const { return a.run.rows[rows.first + i].kv_row + uint64_t{1}; }

  void run() const {
    sdk::Tasks &tasks = a.run.tasks;
    for_chunks(tasks, 2 * n_heads, [&](uint32_t, uint64_t task) { unpack(task / 2, task % 2 == 0); });
    for (uint64_t i = 0; i < n_heads * size.rows; ++i) {
      std::fill_n(b.running[i].maximum, kLanes, -INFINITY);
      std::fill_n(b.running[i].sum, kLanes, 0.0f);
    }
    const uint64_t end = seen_by(rows.n - 1), blocks = (tiles(rows.n) + kTilesAtOnce - 1) / kTilesAtOnce;
    for (uint64_t at = 0; at < end && !tasks.cancelled(); at += kChunk) {
      const uint64_t n = std::min(kChunk, end - at), parts = (n + kDecoded - 1) / kDecoded;
      const uint64_t splits = std::clamp<uint64_t>(tasks.width() / parts, 1, n_heads);
      for_chunks(tasks, parts * splits, [&](uint32_t worker, uint64_t task) {
        const uint64_t part = task / splits * kDecoded, split = task % splits;
        expand(worker, at, part, std::min(kDecoded, n - part), n_heads * split / splits,
               n_heads * (split + 1) / splits);
      });
      // The last rows see most; they go first, so that all workers end together.
      for_chunks(tasks, blocks * n_heads, [&](uint32_t worker, uint64_t task) {
        attend(worker, task % n_heads, (blocks - 1 - task / n_heads) * kTilesAtOnce, at, n);
      });
    }
  }

  // The rows' adapter, which is that of their sequence, is added to the panels: what is expanded is that of the sum.
  void unpack(uint64_t head, bool key) const {
    const MlaShape &s = shape();
    float *panels = key ? b.key_panels + head * size.key_panels : b.value_panels + head * size.value_panels;
    unpack_panels(key ? a.kv_b.key(first_head + head) : a.kv_b.value(first_head + head), key, panels);
    const sdk::Lora *lora = a.run.lora(rows.first, 3);
    const uint64_t first = (first_head + head) * (s.nope + s.value);
    if (lora) add_delta(*lora, key ? first : first + s.nope, key ? s.nope : s.value, panels);
  }

  // Keys and values of KV rows [at + from, at + from + n) for heads [begin, end).
  void expand(uint32_t worker, uint64_t at, uint64_t from, uint64_t n, uint64_t begin, uint64_t end) const {
    const MlaShape &s = shape();
    const sdk::Seq &seq = a.run.seqs[a.run.rows[rows.first].seq];
    float *latents = b.latents + worker * kDecoded * s.row_cols();
    for (uint64_t j = 0; j < n; ++j)
      sdk::kv_decode(a.run.kv.shape, a.run.kv.row(s.kv_layer, seq, static_cast<uint32_t>(at + from + j)),
                     latents + j * s.row_cols());
    Product p;
    p.a = latents, p.a_row = s.row_cols(), p.m = n, p.k = s.rank, p.b_tile = s.rank * kLanes;
    for (uint64_t head = begin; head < end && !a.run.tasks.cancelled(); ++head) {
      float *keys = b.keys + head * size.keys + from * size.key_cols;
      for (uint64_t j = 0; j < n; ++j)
        std::memcpy(keys + j * size.key_cols, latents + j * s.row_cols() + s.rank, s.rope * sizeof(float));
      p.b = b.key_panels + head * size.key_panels, p.n_tiles = tiles(s.nope);
      p.out = keys + s.rope, p.out_row = size.key_cols, p.out_tile = kLanes;
      kernels().product(p);
      p.b = b.value_panels + head * size.value_panels, p.n_tiles = tiles(s.value);
      p.out = b.values + head * size.values + from / kStep * kStep * size.value_cols + from % kStep * kLanes;
      p.out_row = kLanes, p.out_tile = kStep * kLanes;
      kernels().product(p);
    }
  }

  // Rows of tiles [first, first + kTilesAtOnce) on the chunk of n KV rows from `at` on.
  void attend(uint32_t worker, uint64_t head, uint64_t first, uint64_t at, uint64_t n) const {
    const MlaShape &s = shape();
    const uint64_t last = std::min(first + kTilesAtOnce, tiles(rows.n));
    if (seen_by(std::min<uint64_t>(last * kLanes, rows.n) - 1) <= at) return;
    const uint64_t q_cols = s.nope + s.rope;
    float *queries = b.queries + worker * kTilesAtOnce * q_cols * kLanes;
    for (uint64_t tile = first; tile < last; ++tile) turn(head, tile, queries + (tile - first) * q_cols * kLanes);
    for (uint64_t step = 0; step < n; step += kStep) {
      if (a.run.tasks.cancelled()) return;
      for (uint64_t tile = first; tile < last; ++tile)
        attend_tile(worker, head, tile, queries + (tile - first) * q_cols * kLanes, at, step, n);
    }
    for (uint64_t i = first * kLanes; i < std::min<uint64_t>(last * kLanes, rows.n); ++i)
      if (seen_by(i) > at && seen_by(i) <= at + n) put(head, i);
  }

  // Queries of a tile's rows, a row a lane, in the order of a key's columns: [dr + dn][16].
  void turn(uint64_t head, uint64_t tile, float *out) const {
    const MlaShape &s = shape();
    const uint64_t n = std::min<uint64_t>(kLanes, rows.n - tile * kLanes), q_cols = s.nope + s.rope;
    const float *q[kLanes];
    for (uint64_t i = 0; i < kLanes; ++i)  // a tile that is not full repeats its last row
      q[i] = a.q_row(rows.first + static_cast<uint32_t>(tile * kLanes + std::min(i, n - 1))) +
             (first_head + head) * q_cols;
    const auto columns = [&](uint64_t from, uint64_t count) {
      for (uint64_t d = from; d < from + count; ++d, out += kLanes)
        for (uint64_t i = 0; i < kLanes; ++i) out[i] = q[i][d];
    };
    columns(s.nope, s.rope);
    columns(0, s.nope);
  }

  void attend_tile(uint32_t worker, uint64_t head, uint64_t tile, const float *queries, uint64_t at, uint64_t step,
                   uint64_t n) const {
    const MlaShape &s = shape();
    const uint64_t begin = at + step, n_rows = std::min<uint64_t>(kLanes, rows.n - tile * kLanes);
    const uint64_t visible = seen_by(tile * kLanes + n_rows - 1);
    if (visible <= begin) return;
    int32_t last[kLanes];  // of this step's rows, that a lane sees
    for (uint64_t i = 0; i < kLanes; ++i) {
      const uint64_t seen = seen_by(tile * kLanes + std::min(i, n_rows - 1));
      last[i] = seen > begin ? static_cast<int32_t>(std::min(kStep, seen - begin)) - 1 : -1;
    }
    float *scores = b.scores + worker * kStep * kLanes;
    float *out = b.out + (head * size.rows + tile) * kLanes * size.value_cols;
    Softmax &running = b.running[head * size.rows + tile];
    Product p;
    p.a = b.keys + head * size.keys + step * size.key_cols, p.a_row = size.key_cols;
    p.b = queries, p.out = scores, p.out_row = kLanes;
    p.m = std::min({kStep, n - step, visible - begin}), p.k = s.nope + s.rope;
    kernels().product(p);
    kernels().softmax(scores, p.m, s.softmax_scale, last, &running);
    if (begin > 0)
      for (uint64_t i = 0; i < n_rows; ++i)
        if (running.rescale[i] != 1) kernels().scale(running.rescale[i], out + i * size.value_cols, size.value_cols);
    Product v;
    v.a = scores, v.turned = true;
    v.b = b.values + head * size.values + step * size.value_cols, v.b_tile = kStep * kLanes;
    v.out = out, v.out_row = size.value_cols, v.out_tile = kLanes;
    v.m = n_rows, v.n_tiles = tiles(s.value), v.k = p.m, v.add = begin > 0;
    kernels().product(v);
  }

  void put(uint64_t head, uint64_t i) const {
    const MlaShape &s = shape();
    const uint64_t tile = i / kLanes, lane = i % kLanes;
    const float *out = b.out + ((head * size.rows + tile) * kLanes + lane) * size.value_cols;
    float *y = a.run.output() + ((rows.first + i) * s.heads + first_head + head) * s.value;
    const float sum = b.running[head * size.rows + tile].sum[lane];
    for (uint64_t d = 0; d < s.value; ++d) y[d] = out[d] / sum;
  }
};

}  // namespace

uint64_t expanded_scratch(const MlaShape &shape, uint64_t max_rows, uint32_t width) {
  return buffers(shape, Sizes(shape, max_rows, width), width, nullptr).bytes;
}

void attend_expanded(const Attention &a, const Segment &segment) {
  const uint32_t width = a.run.tasks.width();
  const Sizes size(a.shape, a.run.max_rows, width);
  const Buffers b = buffers(a.shape, size, width, a.expanded);
  for (uint32_t first = 0; first < segment.n; first += kRowsAtOnce) {
    const Segment rows{segment.first + first, std::min(kRowsAtOnce, segment.n - first)};
    for (uint64_t head = 0; head < a.shape.heads && !a.run.tasks.cancelled(); head += size.heads)
      Heads{a, rows, size, b, head, std::min(size.heads, a.shape.heads - head)}.run();
  }
}

}  // namespace deepseam::onednn
