// Reading the numbers behind a TensorDirectory: raw bytes, or rows decoded to float32.
//
// Nothing is cached and nothing allocated beyond the scratch an object owns; every function may be called from several
// threads at once on one directory (a RowReader is one thread's own).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "format/int4.h"
#include "format/tensors.h"

namespace deepseam {

// Bytes [offset, offset + into.size()) of `range`. DS_E_IO from the source; DS_E_ARGUMENT outside the range.
Status read_range(const TensorDirectory &directory, const ByteRange &range, uint64_t offset, std::span<uint8_t> into);

// The bytes of `range` where its source is in memory or mapped, else an empty span.
std::span<const uint8_t> view_range(const TensorDirectory &directory, const ByteRange &range);

// The scales of a tensor that has them, as float32.
Result<std::vector<float>> read_scales(const TensorDirectory &directory, const TensorInfo &tensor);

// Rows of one tensor as float32, exactly: scales multiplied in. Rows are counted over all leading dims.
class RowReader {
 public:
  // Scales are read here, whole. DS_E_UNSUPPORTED for a type that cannot be decoded.
  static Result<RowReader> open(const TensorDirectory &directory, const TensorInfo &tensor);
  // Fills out[n_rows * cols()] with rows [first_row, first_row + n_rows).
  Status read(uint64_t first_row, uint64_t n_rows, float *out);
  // Of packed integers only: out[n_rows * row_bytes(tensor.dtype, cols())], the blocks that they become (int4.h).
  Status read_blocks(uint64_t first_row, uint64_t n_rows, uint8_t *out);

 private:
  Status check_rows(uint64_t first_row, uint64_t n_rows) const;
  RowReader() = default;
  const TensorDirectory *directory_ = nullptr;
  const TensorInfo *tensor_ = nullptr;
  std::vector<float> scales_;
  std::unique_ptr<Int4Rows> int4_;
  std::vector<uint8_t> raw_;
};

// A whole small tensor (norms, biases) as float32; DS_E_BUDGET above 64 Mi elements.
Result<std::vector<float>> read_tensor_f32(const TensorDirectory &directory, const TensorInfo &tensor);

}  // namespace deepseam
