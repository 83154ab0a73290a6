// Blocks of float32 numbers to the formats of block_decode.h that can be written: Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q3_K,
// Q4_K, Q5_K, Q6_K.
//
// Scales are searched for the least squared error, of which each number's counts by its weight (block_fit.h). Q4_0 and
// Q8_0 blocks that are scale times level already lose nothing. The plain encoders of these two take the scale from the
// extreme value instead, as the format's reference implementation does, and give its very bits. Q8_0 takes no account
// of weights: its errors are below what they could change.
#pragma once

#include "base/dtype.h"

namespace deepseam {

// x[block elements], finite and within the format's range, w[block elements] >= 0, to out[block bytes].
using EncodeBlock = void (*)(const float *x, const float *w, uint8_t *out);

EncodeBlock block_encoder(DType dtype);        // nullptr: none
EncodeBlock plain_block_encoder(DType dtype);  // Q4_0, Q8_0; nullptr for others

// block_encode_k.cpp
void encode_q3_k(const float *x, const float *w, uint8_t *out);
void encode_q4_k(const float *x, const float *w, uint8_t *out);
void encode_q5_k(const float *x, const float *w, uint8_t *out);
void encode_q6_k(const float *x, const float *w, uint8_t *out);

}  // namespace deepseam
