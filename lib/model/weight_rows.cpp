// See weight_rows.h.
#include "model/weight_rows.h"

#include <algorithm>

#include "format/blocks.h"
#include "format/repack.h"

namespace deepseam::model {

Result<WeightRows> WeightRows::open(const TensorDirectory &directory, const WeightBinding &binding) {
  WeightRows rows(directory, binding);
  rows.readers_.resize(binding.parts.size());
  return rows;
}

Result<RowReader *> WeightRows::reader(uint64_t part) {
  std::optional<RowReader> &reader = readers_[part];
  if (!reader) {
    DS_TRY_VALUE(RowReader opened, RowReader::open(*directory_, *binding_->parts[part]));
    reader.emplace(std::move(opened));
  }
  return &*reader;
}

Status WeightRows::read(uint64_t first_row, uint64_t n_rows, float *out) {
  if (binding_->absorbed) return read_absorbed(first_row, n_rows, out);
  const uint64_t cols = binding_->spec.shape.back(), per_part = binding_->rows() / readers_.size();
  while (n_rows > 0) {
    const uint64_t part = first_row / per_part, within = first_row % per_part;
    const uint64_t count = std::min(n_rows, per_part - within);
    DS_TRY_VALUE(RowReader * rows, reader(part));
    DS_TRY(rows->read(within, count, out));
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
  DS_TRY_VALUE(RowReader * keys, reader(0));
  DS_TRY_VALUE(RowReader * values, reader(1));
  for (uint64_t row = first_row; row < first_row + n_rows; ++row, out += rank) {
    const uint64_t head = row / per_head, within = row % per_head;
    if (within >= dn) {
      DS_TRY(values->read(head * dv + within - dn, 1, out));
      continue;
    }
    if (head != head_) {
      keys_.resize(rank * dn);
      DS_TRY(keys->read(head * rank, rank, keys_.data()));
      head_ = head;
    }
    for (uint64_t c = 0; c < rank; ++c) out[c] = keys_[c * dn + within];
  }
  return {};
}

// Parts one after the other.
Status WeightRows::repack(uint64_t first_row, uint64_t n_rows, uint8_t *out) {
  const uint64_t per_part = binding_->rows() / readers_.size();
  while (n_rows > 0) {
    const uint64_t part = first_row / per_part, within = first_row % per_part;
    const uint64_t count = std::min(n_rows, per_part - within);
    DS_TRY(repack_part(part, within, count, out));
    first_row += count;
    n_rows -= count;
    out += count * row_bytes(binding_->compute(), binding_->spec.shape.back());
  }
  return {};
}

// Stored blocks without going through float32.
Status WeightRows::repack_part(uint64_t index, uint64_t first_row, uint64_t n_rows, uint8_t *out) {
  const TensorInfo &part = *binding_->parts[index];
  const uint64_t cols = binding_->spec.shape.back();
  const RowsName name{part.name.c_str(), first_row};
  if (binding_->fine_scales) {
    rows_.resize(n_rows * cols);
    DS_TRY_VALUE(RowReader * rows, reader(index));
    DS_TRY(rows->read(first_row, n_rows, rows_.data()));
    return repack_numbers(rows_.data(), n_rows, cols, out, name);
  }
  if (part.int4) {
    DS_TRY_VALUE(RowReader * rows, reader(index));
    return rows->read_blocks(first_row, n_rows, out);
  }
  const uint64_t bytes = row_bytes(binding_->dtype, cols);
  raw_.resize(n_rows * bytes);
  DS_TRY(read_range(*directory_, part.range, first_row * bytes, raw_));
  return repack_rows(binding_->dtype, binding_->compute(), raw_.data(), n_rows, cols, out, name);
}

Status WeightRows::read_computed(uint64_t first_row, uint64_t n_rows, uint8_t *out) {
  if (!binding_->absorbed) return repack(first_row, n_rows, out);
  const uint64_t cols = binding_->spec.shape.back();
  rows_.resize(n_rows * cols);
  DS_TRY(read_absorbed(first_row, n_rows, rows_.data()));
  return encode_rows(binding_->dtype, rows_.data(), n_rows, cols, out, {binding_->parts[0]->name.c_str(), first_row});
}

Status WeightRows::read_multiplied(uint64_t first_row, uint64_t n_rows, float *out) {
  if (binding_->absorbed || !binding_->is_remade()) return read(first_row, n_rows, out);
  const uint64_t cols = binding_->spec.shape.back();
  std::vector<uint8_t> computed(n_rows * row_bytes(binding_->compute(), cols));
  DS_TRY(repack(first_row, n_rows, computed.data()));
  decode_rows(binding_->compute(), computed.data(), n_rows, cols, out);
  return {};
}

}  // namespace deepseam::model
