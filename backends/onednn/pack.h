// From stored weights to the tiles that the kernels read, one [rows, cols] matrix at a time.
//
// Packing keeps every number: block formats stay blocks, 8- and 16-bit floats stay what they are. Infinities and NaN
// are refused, with their place, because the kernels have no code for them.
#pragma once

#include <cstdint>

#include "kernels.h"
#include "sdk/kernel.h"

namespace deepseam::onednn {

// The form a whole stored matrix is packed in, and the memory it takes (a multiple of 64; kF8's scales come behind).
Pack pack_of(DType dtype);
uint64_t packed_bytes(Pack pack, uint64_t rows, uint64_t cols);
// Zeros what is behind the last byte in use: packed memory is exported whole, and never with what lay there before.
void clear_padding(Pack pack, uint64_t rows, uint64_t cols, uint8_t *memory);
// Points a Matrix at packed memory.
Matrix matrix_at(Pack pack, uint64_t rows, uint64_t cols, const uint8_t *memory);

// Packs tiles [first, first + count) of matrix `index` of a stored tensor. `role` is for the sentence of a failure.
Status pack_tiles(const sdk::StoredTensor &from, uint64_t index, Pack pack, uint64_t first, uint64_t count,
                  const char *role, uint8_t *memory);

// The form of a part of a matrix that is multiplied in float: BF16 and F16 where the source is, else F32.
Pack float_pack_of(DType dtype);
// Packs rows [first, first + n_rows) of matrix 0, all columns; with `transpose` as a matrix [cols, n_rows].
Status pack_rows(const sdk::StoredTensor &from, uint64_t first, uint64_t n_rows, bool transpose, Pack pack,
                 const char *role, uint8_t *memory);

// Rows of n_tiles tiles as row-major F32 [rows, cols]: the panel that a library GEMM multiplies by.
void unpack_tiles(const Matrix &from, uint64_t first_tile, uint64_t n_tiles, float *out);

// A whole matrix as F32 panels for kernels' products. As it lies: [tiles(rows)][cols][kLanes]; with `transpose`
// [tiles(cols)][rows][kLanes]. Lanes beyond the matrix are zero.
void unpack_panels(const Matrix &from, bool transpose, float *out);

}  // namespace deepseam::onednn
