#include "sdk/stored.h"

#include <cstring>

#include "base/checked.h"
#include "base/half.h"
#include "base/k_blocks.h"

namespace deepseam::sdk {
namespace {

uint16_t load_u16(const uint8_t *bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

void decode_q8_0(const uint8_t *data, uint64_t cols, float *out) {
  for (uint64_t begin = 0; begin < cols; begin += 32, data += 34) {
    const float scale = f16_to_f32(load_u16(data));
    const uint64_t n = cols - begin < 32 ? cols - begin : 32;
    for (uint64_t i = 0; i < n; ++i) out[begin + i] = scale * static_cast<float>(static_cast<int8_t>(data[2 + i]));
  }
}

void decode_q4_0(const uint8_t *data, uint64_t cols, float *out) {
  for (uint64_t begin = 0; begin < cols; begin += 32, data += 18) {
    const float scale = f16_to_f32(load_u16(data));
    const uint64_t n = cols - begin < 32 ? cols - begin : 32;
    for (uint64_t i = 0; i < n; ++i) {
      const int nibble = i < 16 ? data[2 + i] & 15 : data[2 + i - 16] >> 4;
      out[begin + i] = scale * static_cast<float>(nibble - 8);
    }
  }
}

void decode_q4_1(const uint8_t *data, uint64_t cols, float *out) {
  for (uint64_t begin = 0; begin < cols; begin += 32, data += 20) {
    const float scale = f16_to_f32(load_u16(data)), least = f16_to_f32(load_u16(data + 2));
    const uint64_t n = cols - begin < 32 ? cols - begin : 32;
    for (uint64_t i = 0; i < n; ++i) {
      const int nibble = i < 16 ? data[4 + i] & 15 : data[4 + i - 16] >> 4;
      out[begin + i] = scale * static_cast<float>(nibble) + least;
    }
  }
}

// Blocks one after the other, the last one cut.
void decode_blocks(DType dtype, void (*decode)(const uint8_t *, float *), const uint8_t *data, uint64_t cols,
                   float *out) {
  const DTypeInfo type = dtype_info(dtype);
  float last[256];
  for (uint64_t begin = 0; begin < cols; begin += type.block_elements, data += type.block_bytes) {
    const bool whole = cols - begin >= type.block_elements;
    decode(data, whole ? out + begin : last);
    if (!whole) std::memcpy(out + begin, last, (cols - begin) * sizeof(float));
  }
}

Status wrong(const char *role, const char *what, uint64_t found, uint64_t expected) {
  return fail(DS_E_ARGUMENT, "backend", "weight %s: %s is %llu, expected %llu", role, what,
              static_cast<unsigned long long>(found), static_cast<unsigned long long>(expected));
}

// Scales of one matrix, and whether each part brings as many.
Status check_scales(const dsb_weight_source &source, const StoredTensor &tensor, const dsb_weight_part &part,
                    const char *role) {
  if (!part.scales) return {};
  if (tensor.dtype != DType::kF8E4M3)
    return fail(DS_E_ARGUMENT, "backend", "weight %s: scales beside numbers of type %s, expected none", role,
                dtype_info(tensor.dtype).name);
  if (!source.scale_block_rows || !source.scale_block_cols)
    return fail(DS_E_ARGUMENT, "backend", "weight %s: scales with blocks of %u x %u, expected at least 1 x 1", role,
                source.scale_block_rows, source.scale_block_cols);
  if (part.n_scales != tensor.part_scales()) return wrong(role, "n_scales", part.n_scales, tensor.part_scales());
  return {};
}

Status take_parts(const dsb_weight_source &source, const char *role, StoredTensor *tensor) {
  for (uint32_t i = 0; i < source.n_parts; ++i) {
    dsb_weight_part part{};
    std::memcpy(&part, reinterpret_cast<const uint8_t *>(source.parts) + uint64_t{i} * source.part_stride, sizeof part);
    if (!part.data && !tensor->read) return fail(DS_E_ARGUMENT, "backend", "weight %s: part %u has no data", role, i);
    if (part.scales && tensor->read)
      return fail(DS_E_ARGUMENT, "backend", "weight %s: part %u has scales and is to be read, expected one", role, i);
    if (part.bytes != tensor->part_bytes()) return wrong(role, "bytes of a part", part.bytes, tensor->part_bytes());
    DS_TRY(check_scales(source, *tensor, part, role));
    tensor->parts[i] = {static_cast<const uint8_t *>(part.data), part.scales};
  }
  return {};
}

}  // namespace

const uint8_t *StoredTensor::row_data(uint64_t matrix, uint64_t row) const {
  if (parts.size() > 1) return parts[matrix].data + row * row_bytes;
  return parts[0].data + (matrix * rows + row - first_row) * row_bytes;
}

Result<StoredTensor> StoredTensor::pull(uint64_t matrix, uint64_t first, uint64_t n,
                                        std::vector<uint8_t> *buffer) const {
  const bool own_part = parts.size() > 1;
  buffer->resize(n * row_bytes);
  const ds_status code = read(read_user, own_part ? static_cast<uint32_t>(matrix) : 0,
                              ((own_part ? 0 : matrix * rows) + first) * row_bytes, buffer->data(), buffer->size());
  if (code != DS_OK)
    return fail(code, "backend", "%llu rows from row %llu cannot be read", static_cast<unsigned long long>(n),
                static_cast<unsigned long long>(first));
  StoredTensor given = *this;
  given.n_matrices = 1;
  given.read = nullptr;
  given.first_row = first;
  given.parts = {{buffer->data(), nullptr}};
  return given;
}

const float *StoredTensor::row_scales(uint64_t matrix, uint64_t row) const {
  const bool own_part = parts.size() > 1;
  const float *scales = parts[own_part ? matrix : 0].scales;
  if (!scales) return nullptr;
  return scales + ((own_part ? 0 : matrix * scale_rows) + row / scale_block_rows) * scale_cols;
}

void StoredTensor::decode(uint64_t matrix, uint64_t row, float *out) const {
  decode_row(dtype, row_data(matrix, row), cols, out);
  const float *scales = row_scales(matrix, row);
  if (!scales) return;
  for (uint64_t begin = 0, block = 0; begin < cols; begin += scale_block_cols, ++block) {
    const uint64_t end = cols - begin < scale_block_cols ? cols : begin + scale_block_cols;
    for (uint64_t i = begin; i < end; ++i) out[i] *= scales[block];
  }
}

void decode_row(DType dtype, const uint8_t *data, uint64_t cols, float *out) {
  switch (dtype) {
    case DType::kF32:
      std::memcpy(out, data, cols * sizeof(float));
      return;
    case DType::kF16:
      for (uint64_t i = 0; i < cols; ++i) out[i] = f16_to_f32(load_u16(data + 2 * i));
      return;
    case DType::kBF16:
      for (uint64_t i = 0; i < cols; ++i) out[i] = bf16_to_f32(load_u16(data + 2 * i));
      return;
    case DType::kF8E4M3:
      for (uint64_t i = 0; i < cols; ++i) out[i] = e4m3_to_f32(data[i]);
      return;
    case DType::kQ8_0:
      return decode_q8_0(data, cols, out);
    case DType::kQ4_0:
      return decode_q4_0(data, cols, out);
    case DType::kQ4_1:
      return decode_q4_1(data, cols, out);
    case DType::kQ5_0:
      return decode_blocks(dtype, decode_q5_0, data, cols, out);
    case DType::kQ4_K:
      return decode_blocks(dtype, decode_q4_k, data, cols, out);
    case DType::kQ5_K:
      return decode_blocks(dtype, decode_q5_k, data, cols, out);
    case DType::kQ6_K:
      return decode_blocks(dtype, decode_q6_k, data, cols, out);
    default:
      std::memset(out, 0, cols * sizeof(float));
  }
}

Result<StoredTensor> view_of(const dsb_weight_source &source, DType dtype, const std::vector<int64_t> &shape,
                             const char *role, bool pulled) {
  if (source.dtype != static_cast<uint32_t>(dtype)) return wrong(role, "dtype", source.dtype, uint32_t(dtype));
  if (source.n_dims != shape.size()) return wrong(role, "n_dims", source.n_dims, shape.size());
  for (size_t i = 0; i < shape.size(); ++i)
    if (source.dims[i] != static_cast<uint64_t>(shape[i])) return wrong(role, "a dimension", source.dims[i], shape[i]);
  if (!source.parts || source.part_stride < sizeof(dsb_weight_part))
    return fail(DS_E_ARGUMENT, "backend", "weight %s: parts with a stride of %u bytes, expected at least %zu", role,
                source.part_stride, sizeof(dsb_weight_part));
  StoredTensor tensor;
  tensor.dtype = dtype;
  tensor.cols = source.dims[shape.size() - 1];
  tensor.rows = shape.size() > 1 ? source.dims[shape.size() - 2] : 1;
  tensor.n_matrices = shape.size() > 2 ? source.dims[0] : 1;
  tensor.row_bytes = row_bytes(dtype, tensor.cols);
  if (source.n_parts != 1 && source.n_parts != tensor.n_matrices)
    return wrong(role, "n_parts", source.n_parts, tensor.n_matrices);
  const auto bytes = checked_mul(tensor.row_bytes, tensor.rows);
  if (!bytes || !checked_mul(*bytes, tensor.n_matrices))
    return fail(DS_E_ARGUMENT, "backend", "weight %s: its dimensions give more than 2^64 bytes", role);
  if (dtype == DType::kF8E4M3 && source.scale_block_rows && source.scale_block_cols) {
    tensor.scale_block_rows = source.scale_block_rows;
    tensor.scale_block_cols = source.scale_block_cols;
    tensor.scale_rows = (tensor.rows - 1) / source.scale_block_rows + 1;
    tensor.scale_cols = (tensor.cols - 1) / source.scale_block_cols + 1;
  }
  tensor.parts.resize(source.n_parts);
  tensor.read = pulled ? source.read : nullptr;
  tensor.read_user = source.read_user;
  DS_TRY(take_parts(source, role, &tensor));
  return tensor;
}

}  // namespace deepseam::sdk
