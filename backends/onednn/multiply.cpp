#include "multiply.h"

#include <algorithm>
#include <cstring>

#include "pack.h"

namespace deepseam::onednn {
namespace {

constexpr uint64_t kPanelTiles = 8;
constexpr uint64_t kRowsPerTask = 256;
constexpr uint64_t kFirstCache = 16 << 10;  // bytes of weights

uint64_t aligned(uint64_t bytes) { return (bytes + 63) / 64 * 64; }

bool by_library(const Machine &machine, const Matrix &w, uint64_t n_rows, bool deterministic) {
  return machine.dnnl.loaded() && !deterministic && !quantised(w.pack) && n_rows >= kLibraryRows;
}

void multiply_by_library(sdk::Tasks &tasks, const Multiply &how, const Matrix &w, Rows x, uint64_t n_rows, float *y,
                         uint64_t y_stride) {
  const uint64_t panel_bytes = aligned(kPanelTiles * kLanes * w.cols * sizeof(float));
  const uint64_t panels = (tiles(w.rows) + kPanelTiles - 1) / kPanelTiles;
  const Gemm gemm{how.machine};
  for_chunks(tasks, panels, [&](uint32_t worker, uint64_t panel) {
    float *unpacked = reinterpret_cast<float *>(how.scratch + worker * panel_bytes);
    const uint64_t tile = panel * kPanelTiles, n_tiles = std::min(kPanelTiles, tiles(w.rows) - tile);
    const uint64_t first = tile * kLanes, n = std::min(n_tiles * kLanes, w.rows - first);
    unpack_tiles(w, tile, n_tiles, unpacked);
    for (uint64_t row = 0; row < n_rows && !tasks.cancelled(); row += kLibraryRows)  // a few milliseconds each
      gemm.nt(std::min<uint64_t>(kLibraryRows, n_rows - row), n, w.cols, x[row], x.stride, unpacked, w.cols,
              y + row * y_stride + first, y_stride, false);
  });
}

}  // namespace

uint64_t quant_bytes(uint64_t rows, uint64_t cols) {
  return aligned(rows * blocks(cols) * kBlock) + 2 * aligned(rows * blocks(cols) * 4);
}

QuantRows quant_rows_at(std::byte *memory, uint64_t rows, uint64_t cols) {
  QuantRows x;
  x.cols = cols;
  x.q = reinterpret_cast<int8_t *>(memory);
  memory += aligned(rows * blocks(cols) * kBlock);
  x.scale = reinterpret_cast<float *>(memory);
  memory += aligned(rows * blocks(cols) * 4);
  x.sum = reinterpret_cast<int32_t *>(memory);
  return x;
}

void quantise_rows(sdk::Tasks &tasks, const Kernels &kernels, Rows x, uint64_t n_rows, const QuantRows &into) {
  const uint64_t n = blocks(into.cols);
  each_row(tasks, n_rows, [&](uint64_t i) {
    kernels.quantise(x[i], into.cols, into.q + i * n * kBlock, into.scale + i * n, into.sum + i * n);
  });
}

void multiply_tiles(const Kernels &kernels, const Matrix &w, uint64_t first_tile, uint64_t count, const float *const *x,
                    const QuantRow *xq, float *const *y, uint64_t n_rows) {
  for (uint64_t row = 0; row < n_rows; row += kMaxRows) {
    const uint32_t n = static_cast<uint32_t>(std::min<uint64_t>(kMaxRows, n_rows - row));
    if (quantised(w.pack))
      kernels.matmul_q(w, first_tile, count, xq + row, y + row, n);
    else
      kernels.matmul(w, first_tile, count, x + row, y + row, n);
  }
}

uint64_t tiles_per_task(const Matrix &w, uint64_t n_rows) {
  constexpr uint64_t kProducts = 8 << 20;
  return std::clamp<uint64_t>(kProducts / (std::max<uint64_t>(n_rows, 1) * w.cols * kLanes + 1), 1, tiles(w.rows));
}

uint64_t multiply_scratch(const Matrix &w, uint64_t max_rows, uint32_t width, bool deterministic) {
  if (quantised(w.pack)) return quant_bytes(max_rows, w.cols);
  if (deterministic || max_rows < kLibraryRows) return 0;
  return width * aligned(kPanelTiles * kLanes * w.cols * sizeof(float));
}

void multiply(sdk::Tasks &tasks, const Multiply &how, const Matrix &w, Rows x, uint64_t n_rows, float *y,
              uint64_t y_stride, const QuantRows &ready) {
  if (n_rows == 0) return;
  if (by_library(how.machine, w, n_rows, how.deterministic))
    return multiply_by_library(tasks, how, w, x, n_rows, y, y_stride);
  const Kernels &kernels = *how.machine.kernels;
  QuantRows quant = ready;
  if (quantised(w.pack) && !ready.q) {
    quant = quant_rows_at(how.scratch, n_rows, w.cols);
    quantise_rows(tasks, kernels, x, n_rows, quant);
  }
  // Many rows: a few tiles stay in the first cache while rows that the second one holds pass them.
  const uint64_t n_tiles = tiles(w.rows), some = std::min(n_rows, kRowsPerTask), parts = (n_rows + some - 1) / some;
  const uint64_t fitting = std::clamp<uint64_t>(kFirstCache / tile_bytes(w.pack, w.cols), 1, n_tiles);
  const uint64_t per_task = parts > 1 ? fitting : tiles_per_task(w, n_rows),
                 pieces = (n_tiles + per_task - 1) / per_task;
  for_chunks(tasks, parts * pieces, [&](uint32_t, uint64_t chunk) {
    const uint64_t first = chunk % pieces * per_task, count = std::min(per_task, n_tiles - first);
    const uint64_t end = std::min(n_rows, (chunk / pieces + 1) * some);
    for (uint64_t row = chunk / pieces * some; row < end; row += kMaxRows) {
      const float *xs[kMaxRows];
      float *ys[kMaxRows];
      QuantRow qs[kMaxRows];
      const uint64_t n = std::min<uint64_t>(kMaxRows, end - row);
      for (uint64_t i = 0; i < n; ++i) {
        xs[i] = x[row + i];
        ys[i] = y + (row + i) * y_stride;
        if (quantised(w.pack)) qs[i] = quant[row + i];
      }
      multiply_tiles(kernels, w, first, count, xs, qs, ys, n);
    }
  });
}

void Gemm::nt(uint64_t m, uint64_t n, uint64_t k, const float *a, uint64_t lda, const float *b, uint64_t ldb,
              float *out, uint64_t ldo, bool add) const {
  if (machine.dnnl.loaded()) {
    const OneThread one(machine.dnnl);
    const auto i = [](uint64_t value) { return static_cast<int64_t>(value); };
    if (machine.dnnl.sgemm('N', 'T', i(m), i(n), i(k), 1, a, i(lda), b, i(ldb), add ? 1 : 0, out, i(ldo)) == 0) return;
  }
  for (uint64_t row = 0; row < m; ++row)
    for (uint64_t col = 0; col < n; ++col) {
      const float sum = machine.kernels->dot(a + row * lda, b + col * ldb, k);
      out[row * ldo + col] = add ? out[row * ldo + col] + sum : sum;
    }
}

}  // namespace deepseam::onednn
