// y = x W^T for packed matrices and any number of rows, spread over the host's threads.
//
// Below kLibraryRows rows, and always in deterministic mode or without oneDNN, the own kernels run: tile by tile, eight
// rows at a time. Float matrices with more rows are unpacked panel by panel and multiplied by oneDNN. Block formats
// never take that way. Figures: docs/decisions/0040.
#pragma once

#include <atomic>
#include <cstddef>

#include "machine.h"

namespace deepseam::onednn {

inline constexpr uint32_t kLibraryRows = 128;

// Rows of activations. `stride` is in floats.
struct Rows {
  const float *data = nullptr;
  uint64_t stride = 0;
  const float *operator[](uint64_t i) const { return data + i * stride; }
};

// int8 copies of rows, in caller's memory of quant_bytes().
struct QuantRows {
  int8_t *q = nullptr;
  float *scale = nullptr;
  int32_t *sum = nullptr;
  uint64_t cols = 0;
  QuantRow operator[](uint64_t i) const {
    const uint64_t n = blocks(cols);
    return {q + i * n * kBlock, scale + i * n, sum + i * n};
  }
};
uint64_t quant_bytes(uint64_t rows, uint64_t cols);
QuantRows quant_rows_at(std::byte *memory, uint64_t rows, uint64_t cols);
void quantise_rows(sdk::Tasks &tasks, const Kernels &kernels, Rows x, uint64_t n_rows, const QuantRows &into);

// Calls body(worker, chunk) for chunks [0, n), handed out one by one to `width` workers; stops early when cancelled.
template <class Body>
void for_chunks(sdk::Tasks &tasks, uint64_t n, const Body &body) {
  std::atomic<uint64_t> next{0};
  const uint32_t workers = static_cast<uint32_t>(n < tasks.width() ? n : tasks.width());
  tasks.parallel(workers, [&](uint32_t worker) {
    for (uint64_t chunk; (chunk = next.fetch_add(1, std::memory_order_relaxed)) < n;) {
      if (tasks.cancelled()) return;
      body(worker, chunk);
    }
  });
}

// body(i) for i in [0, n): rows are small, so a task does a few of them.
template <class Body>
void each_row(sdk::Tasks &tasks, uint64_t n, const Body &body) {
  constexpr uint64_t kRowsPerTask = 16;
  for_chunks(tasks, (n + kRowsPerTask - 1) / kRowsPerTask, [&](uint32_t, uint64_t chunk) {
    const uint64_t end = n < (chunk + 1) * kRowsPerTask ? n : (chunk + 1) * kRowsPerTask;
    for (uint64_t i = chunk * kRowsPerTask; i < end; ++i) body(i);
  });
}

// Tiles of one matrix for a list of rows given by pointers: what a task does. `xq` for block formats, else `x`.
void multiply_tiles(const Kernels &kernels, const Matrix &w, uint64_t first_tile, uint64_t count, const float *const *x,
                    const QuantRow *xq, float *const *y, uint64_t n_rows);
// How many tiles make a task of a millisecond or so.
uint64_t tiles_per_task(const Matrix &w, uint64_t n_rows);

struct Multiply {
  const Machine &machine;
  bool deterministic = false;
  std::byte *scratch = nullptr;  // multiply_scratch()
};
// Bytes of scratch for up to max_rows rows on `width` workers.
uint64_t multiply_scratch(const Matrix &w, uint64_t max_rows, uint32_t width, bool deterministic);

// y[i][0 … w.rows) for n_rows rows. y's stride is in floats. `ready`: int8 copies of the rows, if there are any
// already.
void multiply(sdk::Tasks &tasks, const Multiply &how, const Matrix &w, Rows x, uint64_t n_rows, float *y,
              uint64_t y_stride, const QuantRows &ready = {});

// out[m, n] (+)= a[m, k] b, row-major, on the calling thread; b is [n, k].
struct Gemm {
  const Machine &machine;
  void nt(uint64_t m, uint64_t n, uint64_t k, const float *a, uint64_t lda, const float *b, uint64_t ldb, float *out,
          uint64_t ldo, bool add) const;
};

}  // namespace deepseam::onednn
