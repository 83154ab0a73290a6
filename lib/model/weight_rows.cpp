// See weight_rows.h.
#include "model/weight_rows.h"

#include <algorithm>

#include "format/blocks.h"
#include "format/repack.h"

namespace deepseam::model {

Result<WeightRows> WeightRows::open(const TensorDirectory &directory, const WeightBinding &binding) {
  WeightRows rows(directory, binding);
  for (const TensorInfo *part : binding.parts) {
    DS_TRY_VALUE(RowReader reader, RowReader::open(directory, *part));
    rows.readers_.push_back(std::move(reader));
  }
  return rows;
}

Status WeightRows::read(uint64_t first_row, uint64_t n_rows, float *out) {
  if (binding_->absorbed) return read_absorbed(first_row, n_rows, out);
  const uint64_t cols = binding_->spec.shape.back(), per_part = binding_->rows() / readers_.size();
  while (n_rows > 0) {
    const uint64_t part = first_row / per_part, within = first_row % per_part;
    const uint64_t count = std::min(n_rows, per_part - within);
    DS_TRY(readers_[part].read(within, count, out));
    first_row += count;
    n_rows -= count;
    out += count * cols;
  }
  return {};
}

// Rows of a head are its dn key rows, the columns of the first part's matrix, then its dv value rows.
Status WeightRows::read_absorbed(uint64_t first_row, uint64_t n_rows, float *out) {
  const uint64_t rank = binding_->spec.shape.back(), dn = binding_->parts[0]->cols();
  const uint64_t heads = binding_->parts[0]->rows() / rank, per_head = binding_->rows() / heads, dv = per_head - dn;
  for (uint64_t row = first_row; row < first_row + n_rows; ++row, out += rank) {
    const uint64_t head = row / per_head, within = row % per_head;
    if (within >= dn) {
      DS_TRY(readers_[1].read(head * dv + within - dn, 1, out));
      continue;
    }
    if (head != head_) {
      keys_.resize(rank * dn);
      DS_TRY(readers_[0].read(head * rank, rank, keys_.data()));
      head_ = head;
    }
    for (uint64_t c = 0; c < rank; ++c) out[c] = keys_[c * dn + within];
  }
  return {};
}

// Whole parts of stored blocks, without going through float32.
Status WeightRows::repack(uint64_t first_row, uint64_t n_rows, uint8_t *out) {
  const uint64_t cols = binding_->spec.shape.back(), per_part = binding_->rows() / readers_.size();
  const uint64_t bytes = row_bytes(binding_->dtype, cols);
  while (n_rows > 0) {
    const TensorInfo &part = *binding_->parts[first_row / per_part];
    const uint64_t within = first_row % per_part, count = std::min(n_rows, per_part - within);
    raw_.resize(count * bytes);
    DS_TRY(read_range(*directory_, part.range, within * bytes, raw_));
    DS_TRY(repack_rows(binding_->dtype, raw_.data(), count, cols, out, {part.name.c_str(), within}));
    first_row += count;
    n_rows -= count;
    out += count * row_bytes(binding_->compute(), cols);
  }
  return {};
}

Status WeightRows::read_computed(uint64_t first_row, uint64_t n_rows, uint8_t *out) {
  if (!binding_->absorbed) return repack(first_row, n_rows, out);
  const uint64_t cols = binding_->spec.shape.back();
  rows_.resize(n_rows * cols);
  DS_TRY(read_absorbed(first_row, n_rows, rows_.data()));
  return encode_rows(binding_->dtype, rows_.data(), n_rows, cols, out, {binding_->parts[0]->name.c_str(), first_row});
}

Status WeightRows::read_multiplied(uint64_t first_row, uint64_t n_rows, float *out) {
  if (binding_->absorbed || binding_->compute() == binding_->dtype) return read(first_row, n_rows, out);
  const uint64_t cols = binding_->spec.shape.back();
  std::vector<uint8_t> computed(n_rows * row_bytes(binding_->compute(), cols));
  DS_TRY(repack(first_row, n_rows, computed.data()));
  decode_rows(binding_->compute(), computed.data(), n_rows, cols, out);
  return {};
}

}  // namespace deepseam::model
