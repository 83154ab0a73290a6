// Streaming over the rows of weights: made in parallel, used in order, with a few MiB a thread. Private to pack,
// export, synth and verify.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/status.h"
#include "model/pack.h"

namespace deepseam::model {

// Some rows of one matrix of one tensor. Rows count over all leading dims of the tensor.
struct RowRange {
  uint32_t part = 0;  // index into what was cut
  uint64_t first_row = 0, n_rows = 0;
};

// The tensor's rows in pieces of about 256 Ki elements, each inside one matrix and beginning at a multiple of
// `multiple` rows of it. `shape` as in TensorInfo.
void cut_rows(const std::vector<uint64_t> &shape, uint32_t part, uint64_t multiple, std::vector<RowRange> *pieces);

// What one task makes. Kept from batch to batch, so that memory is taken once.
struct WorkSlot {
  std::vector<float> rows;
  std::vector<uint8_t> bytes;
  std::vector<float> scales;
  std::vector<float> decoded;
  double error = 0, size = 0;  // sums of squares: of what storing changed, of the numbers
  Status status;
};

// Calls make(i, slot) for i = 0 … n-1 in batches on the runner's threads, then use(i, slot) for each of the batch, in
// order, on the calling thread. The first failure ends it; cancelling is seen before every task.
// `elements` is the size of the largest task: large ones are fewer at a time, so that a batch stays near 256 MB.
Status run_ordered(const WorkOptions &work, uint64_t n, uint64_t elements,
                   const std::function<Status(uint64_t, WorkSlot *)> &make,
                   const std::function<Status(uint64_t, const WorkSlot &)> &use);

}  // namespace deepseam::model
