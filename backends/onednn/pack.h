// From stored weights to the tiles that the kernels read, one [rows, cols] matrix at a time.
//
// Packing keeps every number: block formats stay blocks, 8- and 16-bit floats stay what they are. Only what no kernel
// can read in place (F8 with scales that do not follow tiles, a transposed or sliced quantised matrix) becomes F32.
// Infinities and NaN are refused, with their place, because the kernels have no code for them.
#pragma once

#include <cstdint>

#include "deepseam/backend.h"
#include "kernels.h"

namespace deepseam::onednn {

// The numbers of one matrix as a checkpoint stores them.
struct Stored {
  uint32_t dtype = 0;  // DSB_*
  uint64_t rows = 0, cols = 0;
  const uint8_t *data = nullptr;
  const float *scales = nullptr;  // DSB_F8_E4M3: [ceil(rows / block_rows)][ceil(cols / block_cols)], or NULL
  uint32_t block_rows = 0, block_cols = 0;
};

// Which rows and columns of it, and whether turned over: the result is [n_rows, n_cols], or [n_cols, n_rows] then.
struct Region {
  uint64_t first_row = 0, n_rows = 0, first_col = 0, n_cols = 0;
  bool transpose = false;
};

struct BadNumber {
  bool found = false;
  uint64_t row = 0, col = 0;
};

// The form a whole stored matrix is packed in, and the memory it takes; scales come behind the tiles.
Pack pack_of(uint32_t dtype, uint32_t block_rows);
// The form of a region that a kernel multiplies in float: F32, or BF16 and F16 where the source is.
Pack float_pack_of(uint32_t dtype);
uint64_t packed_bytes(Pack pack, uint64_t rows, uint64_t cols, uint32_t scale_cols);

// Points a Matrix at packed memory of packed_bytes().
Matrix matrix_at(Pack pack, uint64_t rows, uint64_t cols, uint32_t scale_cols, const uint8_t *memory);

// Packs tiles [first, first + count) of a whole stored matrix.
BadNumber pack_tiles(const Stored &from, Pack pack, uint8_t *memory, uint64_t first, uint64_t count);
// Packs a region in a float form, whole.
BadNumber pack_region(const Stored &from, const Region &region, Pack pack, uint8_t *memory);

// Row `row`, columns [begin, begin + n), as float32. `begin` is a multiple of kBlock for block formats.
void stored_row(const Stored &from, uint64_t row, uint64_t begin, uint64_t n, float *out);

// Rows [first, first + n) of a packed matrix as row-major F32 [n, cols]: the panel a library GEMM multiplies by.
void unpack_rows(const Matrix &from, uint64_t first_tile, uint64_t n_tiles, float *out);

}  // namespace deepseam::onednn
