// The rows of one weight, whatever tensors they come from: as the file stores them, or as backends get them.
//
// A binding's parts are one matrix, a stack, E matrices, or the two halves that kv_b is made of (weights.h). Rows count
// over all leading dims of the role's shape. Nothing is kept beyond scratch; an object is one thread's own.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/status.h"
#include "format/tensor_read.h"
#include "model/weights.h"

namespace deepseam::model {

class WeightRows {
 public:
  // Directory and binding outlive it.
  static Result<WeightRows> open(const TensorDirectory &directory, const WeightBinding &binding);
  // out[n_rows * C], C the last dim: exactly the stored numbers. Rows may span parts.
  Status read(uint64_t first_row, uint64_t n_rows, float *out);
  // out[n_rows * row_bytes(binding.compute(), C)]: what backends get. DS_E_FORMAT: a number that it cannot hold.
  Status read_computed(uint64_t first_row, uint64_t n_rows, uint8_t *out);
  // The numbers that backends multiply with: read_computed, decoded.
  Status read_multiplied(uint64_t first_row, uint64_t n_rows, float *out);

 private:
  WeightRows(const TensorDirectory &directory, const WeightBinding &binding)
      : directory_(&directory), binding_(&binding) {}
  Status read_absorbed(uint64_t first_row, uint64_t n_rows, float *out);
  Status repack(uint64_t first_row, uint64_t n_rows, uint8_t *out);
  Status repack_part(uint64_t part, uint64_t first_row, uint64_t n_rows, uint8_t *out);
  Result<RowReader *> reader(uint64_t part);

  const TensorDirectory *directory_;
  const WeightBinding *binding_;
  std::vector<std::optional<RowReader>> readers_;  // one for each part, opened when it is first read
  std::vector<float> keys_;                        // [R,dn] of one head
  uint64_t head_ = UINT64_MAX;                     // which
  std::vector<uint8_t> raw_;
  std::vector<float> rows_;
};

}  // namespace deepseam::model
