// Blocks of the formats that come from GGUF files (dtype.def), to float32: one function a format.
//
// Values are bit for bit those of the format's reference implementation: products and sums are taken in its order. Any
// bytes are a block; scales that are infinite or NaN give such numbers, and every index into a table is masked.
// Layouts, fields in file order; d and dmin are binary16, n(…) are packed small numbers:
//
//   Q5_0, Q4_K, Q5_K, Q6_K: base/k_blocks.h           Q4_1  d, m, n4[32]: d*n + m
//   Q5_1  d, m, high bits u32, n4[32]: d*n + m        Q8_K  d as float32, int8[256], int16 sums[16] (not read)
//   Q2_K  scales[16] (low nibble scale, high minimum), n2[256], d, dmin: d*scale*n - dmin*minimum, per 16
//   Q3_K  inverted high bits[32], n2[256], 16 6-bit scales[12], d: d*(scale-32)*(n-4), per 16
//   IQ4_NL  d, n4[32] into 16 fixed levels            IQ4_XS  d, high scale bits u16, low scale nibbles[4], n4[256]
//   MXFP4 exponent e, n4[32]: 2^(e-128) times twice the E2M1 value
//   TQ1_0 five base-3 digits a byte [48], four [4], d: d*(digit-1)      TQ2_0  n2[256], d: d*(n-1)
//   IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ1_S, IQ1_M: block_decode_iq.cpp
#pragma once

#include <cstdint>

#include "base/dtype.h"

namespace deepseam {

// in[block bytes] to out[block elements].
using DecodeBlock = void (*)(const uint8_t *in, float *out);

// nullptr for formats that are no blocks, and for Q8_0 and Q4_0, which blocks.cpp decodes.
DecodeBlock stored_block_decoder(DType dtype);

// Blocks whose numbers are one scale times int8 levels per 32 elements: IQ2_XXS, IQ3_XXS, IQ3_S, IQ4_NL, IQ4_XS, IQ1_S,
// Q5_0, MXFP4. in[block bytes] to scales[block elements / 32] and levels[block elements]; level * scale is the value.
using DecodeLevels = void (*)(const uint8_t *in, float *scales, int8_t *levels);
DecodeLevels stored_level_decoder(DType dtype);  // nullptr for the others

// block_decode_iq.cpp; IQ1_M has no scale of its own for 32 elements and is not among the second.
void decode_iq2_xxs(const uint8_t *in, float *out);
void decode_iq2_xs(const uint8_t *in, float *out);
void decode_iq2_s(const uint8_t *in, float *out);
void decode_iq3_xxs(const uint8_t *in, float *out);
void decode_iq3_s(const uint8_t *in, float *out);
void decode_iq1_s(const uint8_t *in, float *out);
void decode_iq1_m(const uint8_t *in, float *out);
void levels_iq2_xxs(const uint8_t *in, float *scales, int8_t *levels);
void levels_iq3_xxs(const uint8_t *in, float *scales, int8_t *levels);
void levels_iq3_s(const uint8_t *in, float *scales, int8_t *levels);
void levels_iq1_s(const uint8_t *in, float *scales, int8_t *levels);

}  // namespace deepseam
