// Number formats of stored tensors: float32 rows to stored bytes and back, for every dtype of dtype.def.
//
// Decoding is exact. Encoding rounds to nearest; block formats first choose the scales of each block by least squared
// error (block_encode.h). Blocks that are scale times level already lose nothing: Q4_0 any such block, Q8_0 those whose
// largest level is 112 to 127. Values that the format cannot hold (NaN, Inf, beyond F16's range) are refused with the
// tensor's name, row and column. Plain loops that compilers vectorise; no allocation.
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "base/status.h"

namespace deepseam {

// Where the rows being encoded come from, for the message.
struct RowsName {
  const char *tensor = "";
  uint64_t first_row = 0;
};

// How blocks get their scales. weights[cols] >= 0: how much a squared error counts in each column; nullptr: alike.
// plain: Q4_0 and Q8_0 as their reference implementation writes them, without a search.
struct EncodeHow {
  const float *weights = nullptr;
  bool plain = false;
};

// rows[n_rows * cols] to out[n_rows * row_bytes(dtype, cols)]. F8_E4M3 without scales: values beyond 448 are refused.
// DS_E_FORMAT names the value; DS_E_UNSUPPORTED where can_encode is false.
Status encode_rows(DType dtype, const float *rows, uint64_t n_rows, uint64_t cols, uint8_t *out, const RowsName &name,
                   const EncodeHow &how = {});

// False for integers and formats that are only read.
bool can_encode(DType dtype);

// in[n_rows * row_bytes(dtype, cols)] to out[n_rows * cols]. I32 becomes float too; an unknown dtype gives zeros.
void decode_rows(DType dtype, const uint8_t *in, uint64_t n_rows, uint64_t cols, float *out);

// F8_E4M3 with scales per block_rows x block_cols: codes[n_rows * cols] and scales[ceil(n_rows / block_rows) *
// ceil(cols / block_cols)]. n_rows starts at a block border. An all-zero block has scale 1.
Status encode_e4m3_blocks(const float *rows, uint64_t n_rows, uint64_t cols, uint32_t block_rows, uint32_t block_cols,
                          uint8_t *codes, float *scales, const RowsName &name);

// out[n_rows * cols] = code * scale. `first_row` is the row within its matrix of rows[0]; scales are the whole
// matrix's.
void decode_e4m3_blocks(const uint8_t *codes, const float *scales, uint64_t first_row, uint64_t n_rows, uint64_t cols,
                        uint32_t block_rows, uint32_t block_cols, float *out);

// Index of the first NaN or Inf, or n if all are finite.
uint64_t first_not_finite(const float *values, uint64_t n);

}  // namespace deepseam
