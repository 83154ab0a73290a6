// The arithmetic of calibrate.cpp on plain arrays, in float32 and in one order. Private to it.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"

namespace deepseam::model {

// y[i] = x[i] / root mean square * scale[i].
void rms_norm(const float *x, const float *scale, uint64_t cols, double eps, float *y);

float silu(float x);

// y[t * stride + r] += x[t] . w[r] for n tokens and `rows` rows of `cols` numbers.
void add_products(const float *x, uint64_t n, uint64_t cols, const float *w, uint64_t rows, float *y, uint64_t stride);

// sums[i] += x[i]^2.
void add_squares(const float *x, uint64_t cols, double *sums);

// Lifts what is far below the mean, so that no column counts nothing; all zeros become ones.
void raise_zeros(float *means, uint64_t cols);

// Turns interleaved pairs of x[dr].
void rotate(const RopeConstants &rope, uint64_t position, float *x);

struct HeadShape {
  uint64_t heads, dn, dr, dv, rank;
  double softmax_scale;
};

// One head's causal attention over tokens [begin, end): q [T, heads, dn + dr], kv [T, rank + dr] whose last dr are
// keys, keys [T, heads, dn + dv], mixed [T, heads, dv].
void attend_head(const HeadShape &shape, uint64_t head, uint64_t begin, uint64_t end, const float *q, const float *kv,
                 const float *keys, std::vector<float> *scratch, float *mixed);

// A token that chose an expert, and the weight of what the expert says.
struct Share {
  uint64_t token;
  float weight;
};

// Appends the token to the lists of the experts that it goes to (moe.cpp says what the gates of the family do).
// `bias` may be empty.
void route(const Config &config, const float *logits, const std::vector<float> &bias, uint64_t token,
           std::vector<std::vector<Share>> *shares);

}  // namespace deepseam::model
