// Weights on their way in: kept where they lie, copied, packed by a kernel, or mapped from what export_weight wrote.
//
// Exported bytes of a kAsStored weight: StoredHeader, then the data of all parts and the scales of all parts, each
// section at a multiple of 64. Of a packed weight: its bytes.
#include <cstddef>
#include <cstring>

#include "base/checked.h"
#include "sdk/objects.h"

namespace deepseam::sdk {
namespace {

constexpr uint64_t kChunk = uint64_t{4} << 20;                      // copied between two looks at the cancel word
constexpr uint32_t kMagic = 0x31535344;                             // "DSS1"
constexpr size_t kFirstSource = offsetof(dsb_weight_source, read);  // hosts of the first version know no more

struct StoredHeader {
  uint32_t magic = kMagic;
  uint32_t dtype = 0;
  uint32_t scale_block_rows = 0, scale_block_cols = 0;
  uint32_t has_scales = 0;
  uint32_t reserved[11] = {};
};
static_assert(sizeof(StoredHeader) == 64);

uint64_t align64(uint64_t bytes) { return (bytes + 63) & ~uint64_t{63}; }

uint64_t data_bytes(const StoredTensor &tensor) { return tensor.row_bytes * tensor.rows * tensor.n_matrices; }
uint64_t scale_bytes(const StoredTensor &tensor) {
  return tensor.parts[0].scales ? tensor.scale_rows * tensor.scale_cols * tensor.n_matrices * sizeof(float) : 0;
}

class Copier {
 public:
  Copier(const LoadRequest &request) : request_(request) {}
  Status copy(uint8_t *to, const void *from, uint64_t bytes) {
    for (uint64_t done = 0; done < bytes;) {
      if (request_.cancel_word && __atomic_load_n(request_.cancel_word, __ATOMIC_ACQUIRE))
        return fail(DS_E_CANCELLED, "backend", "loading was cancelled");
      const uint64_t n = bytes - done < kChunk ? bytes - done : kChunk;
      std::memcpy(to + done, static_cast<const uint8_t *>(from) + done, n);
      done += n;
      done_ += n;
      if (request_.progress) request_.progress(request_.progress_user, done_);
    }
    return {};
  }

 private:
  const LoadRequest &request_;
  uint64_t done_ = 0;
};

// A copy of a tensor whose source does not last: one part for all.
Status copy_stored(LoadedWeight &weight, Device &device, const LoadRequest &request) {
  StoredTensor &tensor = weight.weight.stored;
  const uint64_t data = data_bytes(tensor), scales = scale_bytes(tensor);
  DS_TRY_VALUE(weight.memory, Memory::make(device, align64(data) + scales, 64, DSB_TAG_WEIGHTS));
  Copier copier(request);
  uint8_t *data_to = weight.memory.data(), *scales_to = data_to + align64(data);
  for (const StoredTensor::Part &part : tensor.parts) {
    DS_TRY(copier.copy(data_to, part.data, tensor.part_bytes()));
    data_to += tensor.part_bytes();
    if (!part.scales) continue;
    std::memcpy(scales_to, part.scales, tensor.part_scales() * sizeof(float));
    scales_to += tensor.part_scales() * sizeof(float);
  }
  const uint8_t *begin = weight.memory.data();
  tensor.parts = {{begin, scales ? reinterpret_cast<const float *>(begin + align64(data)) : nullptr}};
  return {};
}

Status pack(LoadedWeight &weight, Device &device, std::span<const StoredTensor> sources, const LoadRequest &request) {
  const PlannedWeight &planned = weight.layout.weights[weight.index];
  const PlannedNode &node = weight.layout.nodes[planned.node];
  DS_TRY_VALUE(weight.memory, Memory::make(device, planned.use.bytes, planned.use.alignment, DSB_TAG_WEIGHTS));
  Tasks tasks(device.instance.host, request.cancel_word, &device.instance.stop);
  PackJob job{node.plan, planned.use, sources, weight.memory.data(), tasks};
  DS_TRY(node.kernel->pack(job));
  DS_TRY(tasks.failure());
  if (tasks.cancelled()) return fail(DS_E_CANCELLED, "backend", "loading was cancelled");
  weight.weight.packed = weight.memory.data();
  weight.weight.packed_bytes = planned.use.bytes;
  uint64_t bytes = 0;
  for (const StoredTensor &source : sources) bytes += data_bytes(source);
  if (request.progress) request.progress(request.progress_user, bytes);
  return {};
}

// Parts either all have scales or none has.
Status check_parts(const StoredTensor &tensor, const char *role) {
  for (const StoredTensor::Part &part : tensor.parts)
    if (!part.scales != !tensor.parts[0].scales)
      return fail(DS_E_ARGUMENT, "backend", "weight %s: some parts have scales and some have none", role);
  return {};
}

}  // namespace

Result<LoadedWeight *> load_weight(const Layout &layout, Device &device, uint32_t index, const LoadRequest &request) {
  if (index >= layout.weights.size())
    return fail(DS_E_ARGUMENT, "backend", "weight %u does not exist, the layout has %zu", index, layout.weights.size());
  const WeightUse &use = layout.weights[index].use;
  if (request.n_sources != use.slices.size() || !request.sources)
    return fail(DS_E_ARGUMENT, "backend", "weight %u: %u sources, expected %zu", index, request.n_sources,
                use.slices.size());
  if (request.source_stride < kFirstSource)
    return fail(DS_E_ARGUMENT, "backend", "weight %u: sources with a stride of %u bytes, expected at least %zu", index,
                request.source_stride, kFirstSource);
  std::vector<StoredTensor> sources;
  bool lasting = true;
  for (uint32_t i = 0; i < request.n_sources; ++i) {
    const graph::Tensor &tensor = layout.graph.tensors[use.slices[i].tensor];
    const auto *given = reinterpret_cast<const uint8_t *>(request.sources) + uint64_t{i} * request.source_stride;
    uint32_t size;
    std::memcpy(&size, given, sizeof size);
    if (size > request.source_stride)
      return fail(DS_E_STRUCT, "backend", "weight %s: source.struct_size is %u, expected at most the stride, %u",
                  tensor.name.c_str(), size, request.source_stride);
    DS_TRY_VALUE(const dsb_weight_source source,
                 take_struct(reinterpret_cast<const dsb_weight_source *>(given), "weight_source", kFirstSource));
    DS_TRY_VALUE(StoredTensor view, view_of(source, tensor.dtype, tensor.shape, tensor.name.c_str(), use.pulls));
    DS_TRY(check_parts(view, tensor.name.c_str()));
    lasting = lasting && (source.flags & DSB_SOURCE_LASTING);
    sources.push_back(std::move(view));
  }
  std::unique_ptr<LoadedWeight> weight(new LoadedWeight(layout, index));
  weight->weight.form = use.form;
  if (use.form != kAsStored) {
    DS_TRY(pack(*weight, device, sources, request));
    return weight.release();
  }
  weight->weight.stored = std::move(sources[0]);
  if (!lasting)
    DS_TRY(copy_stored(*weight, device, request));
  else if (request.progress)
    request.progress(request.progress_user, data_bytes(weight->weight.stored));
  return weight.release();
}

uint64_t export_size(const LoadedWeight &weight) {
  if (weight.weight.form != kAsStored) return weight.weight.packed_bytes;
  const StoredTensor &tensor = weight.weight.stored;
  return sizeof(StoredHeader) + align64(data_bytes(tensor)) + scale_bytes(tensor);
}

void export_weight(const LoadedWeight &weight, uint8_t *out) {
  if (weight.weight.form != kAsStored) {
    std::memcpy(out, weight.weight.packed, weight.weight.packed_bytes);
    return;
  }
  const StoredTensor &tensor = weight.weight.stored;
  StoredHeader header;
  header.dtype = static_cast<uint32_t>(tensor.dtype);
  header.scale_block_rows = tensor.scale_block_rows;
  header.scale_block_cols = tensor.scale_block_cols;
  header.has_scales = tensor.parts[0].scales != nullptr;
  std::memcpy(out, &header, sizeof header);
  uint8_t *data = out + sizeof header, *scales = data + align64(data_bytes(tensor));
  std::memset(data, 0, static_cast<size_t>(scales - data));
  for (const StoredTensor::Part &part : tensor.parts) {
    std::memcpy(data, part.data, tensor.part_bytes());
    data += tensor.part_bytes();
    if (!part.scales) continue;
    std::memcpy(scales, part.scales, tensor.part_scales() * sizeof(float));
    scales += tensor.part_scales() * sizeof(float);
  }
}

Result<LoadedWeight *> map_weight(const Layout &layout, uint32_t index, const uint8_t *data, uint64_t size) {
  if (index >= layout.weights.size())
    return fail(DS_E_ARGUMENT, "backend", "weight %u does not exist, the layout has %zu", index, layout.weights.size());
  const WeightUse &use = layout.weights[index].use;
  if (!data || reinterpret_cast<uintptr_t>(data) % use.alignment)
    return fail(DS_E_ARGUMENT, "backend", "weight %u: mapped data is not aligned to %u bytes", index, use.alignment);
  std::unique_ptr<LoadedWeight> weight(new LoadedWeight(layout, index));
  weight->weight.form = use.form;
  const auto wrong_size = [&](uint64_t expected) {
    return fail(DS_E_ARGUMENT, "backend", "weight %u: %llu mapped bytes, expected %llu", index,
                static_cast<unsigned long long>(size), static_cast<unsigned long long>(expected));
  };
  if (use.form != kAsStored) {
    if (size != use.bytes) return wrong_size(use.bytes);
    weight->weight.packed = data;
    weight->weight.packed_bytes = size;
    return weight.release();
  }
  const graph::Tensor &tensor = layout.graph.tensors[use.slices[0].tensor];
  StoredHeader header;
  if (size < sizeof header) return wrong_size(sizeof header);
  std::memcpy(&header, data, sizeof header);
  if (header.magic != kMagic || header.dtype != static_cast<uint32_t>(tensor.dtype))
    return fail(DS_E_FORMAT, "backend", "weight %s: mapped bytes hold magic 0x%x and dtype %u, expected 0x%x and %u",
                tensor.name.c_str(), header.magic, header.dtype, kMagic, static_cast<uint32_t>(tensor.dtype));
  StoredTensor &stored = weight->weight.stored;
  dsb_weight_source source{};
  source.dtype = header.dtype;
  source.n_dims = static_cast<uint32_t>(tensor.shape.size());
  for (size_t i = 0; i < tensor.shape.size(); ++i) source.dims[i] = static_cast<uint64_t>(tensor.shape[i]);
  dsb_weight_part part{};
  part.data = data + sizeof header;
  source.n_parts = 1;
  source.part_stride = sizeof part;
  source.parts = &part;
  source.scale_block_rows = header.scale_block_rows;
  source.scale_block_cols = header.scale_block_cols;
  part.bytes = row_bytes(tensor.dtype, source.dims[source.n_dims - 1]);
  for (uint32_t i = 0; i + 1 < source.n_dims; ++i) part.bytes *= source.dims[i];
  if (header.has_scales) {
    const uint64_t begin = sizeof header + align64(part.bytes);
    if (size < begin) return wrong_size(begin);
    part.scales = reinterpret_cast<const float *>(data + begin);
    part.n_scales = (size - begin) / sizeof(float);
  }
  DS_TRY_VALUE(stored, view_of(source, tensor.dtype, tensor.shape, tensor.name.c_str()));
  const uint64_t expected = sizeof header + align64(data_bytes(stored)) + scale_bytes(stored);
  if (size != expected) return wrong_size(expected);
  return weight.release();
}

}  // namespace deepseam::sdk
