// Reading 4-bit integers in groups (Int4Groups) as numbers, or as the blocks that backends get.
//
// Numbers are exact but for F32 scales, whose product is rounded once. Blocks of 32 inputs take the group's scale as
// binary16: where every zero is 8 they are Q4_0 and lose nothing (BF16 and F32 scales are rounded to binary16, which
// is exact for those of BF16 from 2^-17 on); with zeros of their own Q4_1, whose least value, scale * zero, is rounded
// to binary16, off by at most 2^-11 of it; where a block has inputs of several groups Q8_0, 255 levels of the largest.
// An object is one thread's own.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "format/tensors.h"

namespace deepseam {

class Int4Rows {
 public:
  // Directory and tensor outlive it. Reads the groups of the inputs: DS_E_FORMAT names one that does not exist, or that
  // is not what a tensor without act order has.
  static Result<Int4Rows> open(const TensorDirectory &directory, const TensorInfo &tensor);
  // out[n_rows * in] with rows [first_row, first_row + n_rows), which the tensor has.
  Status read(uint64_t first_row, uint64_t n_rows, float *out);
  // out[n_rows * row_bytes(tensor.dtype, in)]. DS_E_FORMAT: a scale that is not finite or beyond binary16, or a zero
  // other than 8 in a file that says it has none.
  Status read_blocks(uint64_t first_row, uint64_t n_rows, uint8_t *out);

 private:
  Int4Rows(const TensorDirectory &directory, const TensorInfo &tensor);
  Status read_groups();
  Status load(uint64_t first_row, uint64_t n_rows);
  Status load_integers(uint64_t first_row, uint64_t n_rows);
  Status load_scales(uint64_t first_row, uint64_t n_rows);
  Status load_zeros(uint64_t first_row, uint64_t n_rows);
  Status put_row(uint64_t row, uint64_t name, uint8_t *out) const;
  void row_values(uint64_t row, float *out);
  uint64_t group_at(uint64_t input) const { return group_of_.empty() ? input / int4_->group : group_of_[input]; }

  const TensorDirectory *directory_;
  const TensorInfo *tensor_;
  const Int4Groups *int4_;
  uint64_t inputs_, groups_, stride_;
  std::vector<uint32_t> group_of_;  // empty: input / group
  // Of the rows loaded last:
  std::vector<uint8_t> integers_;  // [rows, stride]
  std::vector<float> scales_;      // [rows, groups]
  std::vector<uint8_t> zeros_;     // [rows, groups]
  std::vector<uint8_t> raw_;
  std::vector<float> numbers_;  // [groups, 16] of one row
};

}  // namespace deepseam
