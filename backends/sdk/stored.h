// Weights in their stored form: where the bytes are, and how a row of them becomes float32.
//
// A StoredTensor points at bytes that somebody else keeps (a mapped file, a copy made by weight_load). Its sizes have
// been checked against dims and dtype once, by view_of(); after that decoding cannot run out of bounds for a matrix and
// row below n_matrices and rows. Decoding is exact: every stored number is a float32.
#pragma once

#include <cstdint>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "deepseam/backend.h"

namespace deepseam::sdk {

// A vector [cols], a matrix [rows, cols], or a stack of matrices [n_matrices, rows, cols].
struct StoredTensor {
  struct Part {
    const uint8_t *data = nullptr;
    const float *scales = nullptr;  // F8_E4M3 only; NULL: values stand for themselves
  };
  DType dtype = DType::kNone;
  uint64_t n_matrices = 1, rows = 1, cols = 0;
  uint64_t row_bytes = 0;
  std::vector<Part> parts;  // one for all matrices, or one a matrix
  // Not NULL: parts have no data, and rows come through pull().
  dsb_source_read read = nullptr;
  void *read_user = nullptr;
  uint64_t first_row = 0;  // of what pull() gave: rows before it are not there
  uint32_t scale_block_rows = 0, scale_block_cols = 0;
  uint64_t scale_rows = 0, scale_cols = 0;  // of one matrix

  // The bytes of one row, and the scales of its row of blocks (NULL without).
  const uint8_t *row_data(uint64_t matrix, uint64_t row) const;
  const float *row_scales(uint64_t matrix, uint64_t row) const;
  // Rows [first, first + n) of one matrix, read into *buffer: a tensor of one matrix with those rows alone.
  Result<StoredTensor> pull(uint64_t matrix, uint64_t first, uint64_t n, std::vector<uint8_t> *buffer) const;
  // out[cols] = the row's numbers.
  void decode(uint64_t matrix, uint64_t row, float *out) const;
  uint64_t part_bytes() const { return row_bytes * rows * (parts.size() > 1 ? 1 : n_matrices); }
  uint64_t part_scales() const { return scale_rows * scale_cols * (parts.size() > 1 ? 1 : n_matrices); }
};

// The numbers of one row of `cols` values without scales.
void decode_row(DType dtype, const uint8_t *data, uint64_t cols, float *out);

// A source as the host hands it over, checked against what the graph says of the tensor. `role` is for the sentence.
// Only with `pulled` may it have `read` instead of data.
Result<StoredTensor> view_of(const dsb_weight_source &source, DType dtype, const std::vector<int64_t> &shape,
                             const char *role, bool pulled = false);

}  // namespace deepseam::sdk
