// From the formats that only files hold to those that backends compute with (dtype.def, compute_dtype), and from those
// that a backend may not know to those that each knows (basic_dtype).
//
// Ternary blocks become Q4_0 and lose nothing. Q4_K becomes Q4_1: the same levels, products of two scales rounded to
// binary16. The others become Q8_0: where 32 elements share one scale and have int8
// levels (Q5_0, IQ4, MXFP4, IQ2_XXS, IQ3, IQ1_S) levels stay and the scale is rounded to binary16, which is exact for
// Q5_0, IQ4_NL and, within binary16's range, MXFP4; elsewhere each 32 numbers are rounded to 255 levels, which is off
// by about half a per cent of their root mean square (tests/unit/format/block_parity_test.py prints it).
#pragma once

#include <cstdint>

#include "base/dtype.h"
#include "base/status.h"
#include "format/blocks.h"

namespace deepseam {

// in[n_rows * row_bytes(from, cols)] to out[n_rows * row_bytes(to, cols)]; `to`: compute_dtype(from) or
// basic_dtype(from), which may be `from` itself: a copy. DS_E_FORMAT names a number that is not finite, or beyond what
// the format holds; DS_E_UNSUPPORTED: another `to`.
Status repack_rows(DType from, DType to, const uint8_t *in, uint64_t n_rows, uint64_t cols, uint8_t *out,
                   const RowsName &name);

// rows[n_rows * cols] to Q8_0, out[n_rows * row_bytes(kQ8_0, cols)]: each 32 rounded to 255 levels of their largest,
// without the search for an exact scale that encode_rows makes. Fails as repack_rows does.
Status repack_numbers(const float *rows, uint64_t n_rows, uint64_t cols, uint8_t *out, const RowsName &name);

}  // namespace deepseam
