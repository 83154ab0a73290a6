#include "format/tensor_read.h"

#include <algorithm>

#include "base/checked.h"
#include "format/blocks.h"

namespace deepseam {
namespace {

// Rows and columns of one matrix of the tensor, and its rows of scales.
uint64_t matrix_rows(const TensorInfo &tensor) { return tensor.shape.size() < 2 ? 1 : *(tensor.shape.end() - 2); }

uint64_t blocks_of(uint64_t n, uint32_t block) { return n / block + (n % block != 0); }

}  // namespace

Status read_range(const TensorDirectory &directory, const ByteRange &range, uint64_t offset, std::span<uint8_t> into) {
  if (range.source >= directory.sources.size() || !within(offset, into.size(), range.bytes))
    return fail(DS_E_ARGUMENT, "format", "bytes %llu + %zu lie outside a range of %llu",
                static_cast<unsigned long long>(offset), into.size(), static_cast<unsigned long long>(range.bytes));
  if (into.empty()) return {};
  return directory.sources[range.source]->read_at(range.offset + offset, into);
}

std::span<const uint8_t> view_range(const TensorDirectory &directory, const ByteRange &range) {
  if (range.source >= directory.sources.size()) return {};
  const auto whole = directory.sources[range.source]->view();
  if (!within(range.offset, range.bytes, whole.size())) return {};
  return whole.subspan(range.offset, range.bytes);
}

Result<std::vector<float>> read_scales(const TensorDirectory &directory, const TensorInfo &tensor) {
  const BlockScales &scales = tensor.scales;
  const uint64_t count = scales.range.bytes / std::max(dtype_info(scales.dtype).block_bytes, 1u);
  std::vector<uint8_t> bytes(scales.range.bytes);
  std::vector<float> values(count);
  DS_TRY(read_range(directory, scales.range, 0, bytes));
  decode_rows(scales.dtype, bytes.data(), 1, count, values.data());
  return values;
}

Result<RowReader> RowReader::open(const TensorDirectory &directory, const TensorInfo &tensor) {
  if (tensor.dtype == DType::kNone)
    return fail(DS_E_UNSUPPORTED, "format", "tensor '%s' has type %s, which is not supported", tensor.name.c_str(),
                tensor.stored_type.c_str());
  RowReader reader;
  reader.directory_ = &directory;
  reader.tensor_ = &tensor;
  if (tensor.has_scales) {
    DS_TRY_VALUE(reader.scales_, read_scales(directory, tensor));
  }
  if (tensor.int4) {
    DS_TRY_VALUE(Int4Rows rows, Int4Rows::open(directory, tensor));
    reader.int4_ = std::make_unique<Int4Rows>(std::move(rows));
  }
  return reader;
}

Status RowReader::check_rows(uint64_t first_row, uint64_t n_rows) const {
  if (within(first_row, n_rows, tensor_->rows())) return {};
  return fail(DS_E_ARGUMENT, "format", "tensor '%s' has %llu rows; %llu from %llu were asked for",
              tensor_->name.c_str(), static_cast<unsigned long long>(tensor_->rows()),
              static_cast<unsigned long long>(n_rows), static_cast<unsigned long long>(first_row));
}

Status RowReader::read_blocks(uint64_t first_row, uint64_t n_rows, uint8_t *out) {
  DS_TRY(check_rows(first_row, n_rows));
  if (!int4_) return fail(DS_E_INTERNAL, "format", "tensor '%s' is not packed", tensor_->name.c_str());
  return int4_->read_blocks(first_row, n_rows, out);
}

Status RowReader::read(uint64_t first_row, uint64_t n_rows, float *out) {
  const TensorInfo &tensor = *tensor_;
  const uint64_t cols = tensor.cols(), bytes = row_bytes(tensor.dtype, cols);
  DS_TRY(check_rows(first_row, n_rows));
  if (int4_) return int4_->read(first_row, n_rows, out);
  raw_.resize(n_rows * bytes);
  DS_TRY(read_range(*directory_, tensor.range, first_row * bytes, raw_));
  if (!tensor.has_scales) {
    decode_rows(tensor.dtype, raw_.data(), n_rows, cols, out);
    return {};
  }
  const BlockScales &blocks = tensor.scales;
  const uint64_t per_matrix = matrix_rows(tensor);
  const uint64_t scales_per_matrix = blocks_of(per_matrix, blocks.block_rows) * blocks_of(cols, blocks.block_cols);
  for (uint64_t done = 0; done < n_rows;) {  // one matrix after the other
    const uint64_t row = first_row + done, in_matrix = row % per_matrix;
    const uint64_t count = std::min(n_rows - done, per_matrix - in_matrix);
    decode_e4m3_blocks(raw_.data() + done * bytes, scales_.data() + row / per_matrix * scales_per_matrix, in_matrix,
                       count, cols, blocks.block_rows, blocks.block_cols, out + done * cols);
    done += count;
  }
  return {};
}

Result<std::vector<float>> read_tensor_f32(const TensorDirectory &directory, const TensorInfo &tensor) {
  constexpr uint64_t kMaxElements = uint64_t{64} << 20;
  if (tensor.elements() > kMaxElements)
    return fail(DS_E_BUDGET, "format", "tensor '%s' has %llu elements; at most %llu are read at once",
                tensor.name.c_str(), static_cast<unsigned long long>(tensor.elements()),
                static_cast<unsigned long long>(kMaxElements));
  DS_TRY_VALUE(RowReader reader, RowReader::open(directory, tensor));
  std::vector<float> values(tensor.elements());
  DS_TRY(reader.read(0, tensor.rows(), values.data()));
  return values;
}

}  // namespace deepseam
