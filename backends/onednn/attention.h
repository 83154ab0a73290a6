// What the two forms of latent attention share: shapes, packed kv_b, and the rows of one sequence.
//
// attention.cpp prepares rows (norm, RoPE, storing) and chooses a form per sequence; absorbed.cpp attends on the
// latents themselves, which is cheapest for few rows; expanded.cpp makes keys and values of them first, which is
// cheapest for many (DeepSeek-V2, section 2.1.2: both give the same numbers).
#pragma once

#include "ops.h"

namespace deepseam::onednn {

// From this many new rows of a sequence on, expanding all that they see costs less than the absorbed form's scores,
// which have 3.4 times the products and no library GEMM.
inline constexpr uint32_t kExpandedRows = 48;

struct MlaShape {
  uint64_t heads = 0, nope = 0, rope = 0, value = 0, rank = 0;
  uint32_t kv_layer = 0;
  float eps = 0, softmax_scale = 0, rope_scale = 0;
  std::span<const double> inv_freq;
  uint64_t q_cols() const { return heads * (nope + rope); }
  uint64_t row_cols() const { return rank + rope; }
};
MlaShape mla_shape(const sdk::PlanNode &plan);

// Packed kv_b: per head the key part turned over [R, dn] and the value part [dv, R], in a float form.
struct KvB {
  Pack pack = Pack::kF32;
  const uint8_t *data = nullptr;
  const MlaShape *shape = nullptr;
  uint64_t key_bytes() const { return packed_bytes(pack, shape->rank, shape->nope); }
  uint64_t value_bytes() const { return packed_bytes(pack, shape->value, shape->rank); }
  uint64_t head_bytes() const { return key_bytes() + value_bytes(); }
  Matrix key(uint64_t head) const { return matrix_at(pack, shape->rank, shape->nope, data + head * head_bytes()); }
  Matrix value(uint64_t head) const {
    return matrix_at(pack, shape->value, shape->rank, data + head * head_bytes() + key_bytes());
  }
};

// Rows [first, first + n) of the step, all of one sequence, with their queries rotated and their latents stored.
struct Segment {
  uint32_t first = 0, n = 0;
};

struct Attention {
  sdk::RunContext &run;
  const Machine &machine;
  const MlaShape &shape;
  KvB kv_b;
  float *q;             // [rows of the run, N (dn + dr)], rotated
  float *absorbed;      // [rows of the run, N, R]: queries in latent space, then the attended latents
  std::byte *expanded;  // expanded.cpp's buffers, NULL if this program never expands

  float *q_row(uint32_t row) const { return q + (row - run.first_row) * shape.q_cols(); }
  float *absorbed_row(uint32_t row) const { return absorbed + (row - run.first_row) * shape.heads * shape.rank; }
};

// The place of the j-th KV row that `row` sees, in order of position; and how many it sees.
struct Visible {
  explicit Visible(const sdk::RunContext &run, const sdk::Row &row);
  uint64_t count() const { return kv_len + in_step; }
  uint32_t kv_row(uint64_t j) const;

 private:
  const sdk::RunContext &run_;
  const sdk::Row &row_;
  const sdk::Seq &seq_;
  uint32_t kv_len = 0, in_step = 0;
  std::vector<uint32_t> chosen_;  // rows of the step that are visible, only with a mask
};

void attend_absorbed(const Attention &a, const Segment &segment);
void attend_expanded(const Attention &a, const Segment &segment);
uint64_t expanded_scratch(const MlaShape &shape, uint64_t max_rows, uint32_t width);

}  // namespace deepseam::onednn
