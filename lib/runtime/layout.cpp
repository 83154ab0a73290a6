#include "runtime/layout.h"

#include <cstring>

#include "base/checked.h"

namespace deepseam::runtime {
namespace {

constexpr uint64_t kMostBytes = uint64_t{1} << 48;
constexpr uint32_t kMostWeights = 1u << 20;
constexpr uint32_t kMostSlices = 1u << 16;
constexpr uint32_t kMostStride = 4096;
constexpr uint32_t kMostAlignment = 4096;

dsb_plan_options raw_options(const PlanOptions &options) {
  dsb_plan_options raw{};
  raw.struct_size = sizeof raw;
  raw.flags = options.deterministic ? DSB_PLAN_DETERMINISTIC : 0;
  raw.max_rows = options.max_rows;
  raw.max_seqs = options.max_seqs;
  raw.max_blocks_per_seq = options.max_blocks_per_seq;
  raw.max_logit_rows = options.max_logit_rows;
  raw.max_adapters = options.max_adapters;
  raw.max_lora_rank = options.max_lora_rank;
  raw.act_type = options.act_type;
  raw.kv_format = options.kv_format;
  raw.block_tokens = options.block_tokens;
  raw.slice_hint_us = options.slice_hint_us;
  return raw;
}

// Stored bytes of a weight of the graph; nothing if its shape is none.
std::optional<uint64_t> stored_bytes(const graph::Tensor &tensor) {
  if (tensor.shape.empty() || tensor.shape.size() > 4) return std::nullopt;
  uint64_t rows = 1;
  for (size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    if (tensor.shape[axis] <= 0 || static_cast<uint64_t>(tensor.shape[axis]) > kMostBytes) return std::nullopt;
    if (axis + 1 == tensor.shape.size()) break;
    const auto product = checked_mul(rows, static_cast<uint64_t>(tensor.shape[axis]));
    if (!product) return std::nullopt;
    rows = *product;
  }
  return checked_mul(rows, row_bytes(tensor.dtype, static_cast<uint64_t>(tensor.shape.back())));
}

}  // namespace

Layout::~Layout() {
  if (layout_) backend_->api().layout_destroy(layout_);
}

Result<std::shared_ptr<Layout>> Layout::plan(std::shared_ptr<Backend> backend, uint32_t device_index,
                                             const graph::Graph &graph, const PlanOptions &options) {
  return plan(std::move(backend), device_index, nullptr, graph, options);
}

Result<std::shared_ptr<Layout>> Layout::plan(std::shared_ptr<Device> device, const graph::Graph &graph,
                                             const PlanOptions &options) {
  std::shared_ptr<Backend> backend = device->backend();
  const uint32_t index = device->info().index;
  return plan(std::move(backend), index, std::move(device), graph, options);
}

Result<std::shared_ptr<Layout>> Layout::plan(std::shared_ptr<Backend> backend, uint32_t device_index,
                                             std::shared_ptr<Device> device, const graph::Graph &graph,
                                             const PlanOptions &options) {
  std::shared_ptr<Layout> layout(new Layout);
  layout->backend_ = std::move(backend);
  layout->device_ = std::move(device);
  layout->options_ = options;
  layout->tensors_ = graph.tensors;
  const Backend &speaker = *layout->backend_;
  const std::string bytes = graph::serialize(graph);
  const dsb_plan_options raw = raw_options(options);
  dsb_device *const opened = layout->device_ ? layout->device_->raw() : nullptr;
  dsb_layout *planned = nullptr;
  DS_TRY(speaker.call("plan_graph", [&](ds_error *error) {
    return speaker.api().plan_graph(speaker.instance(), device_index, opened, nullptr, bytes.data(), bytes.size(), &raw,
                                    &planned, error);
  }));
  if (!planned) return speaker.broken("plan_graph", "success without a layout");
  layout->layout_ = planned;

  uint32_t n_weights = 0;
  DS_TRY(layout->read_summary(n_weights, graph.nodes.size()));
  uint64_t sum = 0;
  for (uint32_t index = 0; index < n_weights; ++index) {
    DS_TRY(layout->read_weight(index));
    sum += layout->weights_.back().bytes;  // each at most 2^48, at most 2^20 of them: checked to fit below
    if (sum > kMostBytes) return speaker.broken("layout_weight", "the weights take more than 2^48 bytes");
    layout->source_bytes_ += layout->weights_.back().source_bytes;
  }
  if (sum != layout->summary_.weight_bytes)
    return speaker.broken("layout_summary", "weight_bytes: expected the sum of all weights, %llu, found %llu",
                          static_cast<unsigned long long>(sum),
                          static_cast<unsigned long long>(layout->summary_.weight_bytes));
  for (uint32_t index = 0; index < graph.nodes.size(); ++index) DS_TRY(layout->read_node(index, graph));
  return layout;
}

Status Layout::read_summary(uint32_t &n_weights, uint64_t n_nodes) {
  dsb_layout_summary raw{};
  raw.struct_size = sizeof raw;
  DS_TRY(backend_->call("layout_summary",
                        [&](ds_error *error) { return backend_->api().layout_summary(layout_, &raw, error); }));
  if (raw.struct_size > sizeof raw)
    return backend_->broken("layout_summary", "struct_size: expected at most %zu, found %u", sizeof raw,
                            raw.struct_size);
  if (raw.n_nodes != n_nodes)
    return backend_->broken("layout_summary", "n_nodes: expected %llu as in the graph, found %u",
                            static_cast<unsigned long long>(n_nodes), raw.n_nodes);
  if (raw.n_weights > kMostWeights || raw.n_kv_layers > n_nodes)
    return backend_->broken("layout_summary", "n_weights %u and n_kv_layers %u are more than a graph of %u nodes has",
                            raw.n_weights, raw.n_kv_layers, raw.n_nodes);
  if (raw.scratch_bytes > kMostBytes || raw.program_bytes > kMostBytes || raw.kv_bytes_per_block > kMostBytes)
    return backend_->broken("layout_summary", "a size is more than 2^48 bytes");
  n_weights = raw.n_weights;
  summary_.weight_bytes = raw.weight_bytes;
  summary_.scratch_bytes = raw.scratch_bytes;
  summary_.program_bytes = raw.program_bytes;
  summary_.kv_bytes_per_block = raw.kv_bytes_per_block;
  summary_.n_kv_layers = raw.n_kv_layers;
  summary_.numerics_id = raw.numerics_id;
  return {};
}

Status Layout::read_weight(uint32_t index) {
  dsb_packed_weight raw{};
  raw.struct_size = sizeof raw;
  DS_TRY(backend_->call("layout_weight",
                        [&](ds_error *error) { return backend_->api().layout_weight(layout_, index, &raw, error); }));
  if (raw.struct_size > sizeof raw)
    return backend_->broken("layout_weight", "struct_size: expected at most %zu, found %u", sizeof raw,
                            raw.struct_size);
  if (raw.bytes > kMostBytes)
    return backend_->broken("layout_weight", "bytes of weight %u: expected at most 2^48, found %llu", index,
                            static_cast<unsigned long long>(raw.bytes));
  if (raw.alignment > kMostAlignment || (raw.alignment & (raw.alignment - 1)) != 0)
    return backend_->broken("layout_weight", "alignment of weight %u: expected a power of two up to %u, found %u",
                            index, kMostAlignment, raw.alignment);
  PackedWeight weight;
  weight.bytes = raw.bytes;
  weight.alignment = raw.alignment ? raw.alignment : 1;
  weight.layout_id = raw.layout_id;
  weight.mappable = (raw.flags & DSB_WEIGHT_MAPPABLE) != 0;
  weight.pulled = (raw.flags & DSB_WEIGHT_PULLED) != 0;
  DS_TRY(read_slices(raw, index, weight));
  weights_.push_back(std::move(weight));
  return {};
}

Status Layout::read_slices(const dsb_packed_weight &packed, uint32_t index, PackedWeight &weight) {
  if (!packed.slices || packed.n_slices == 0 || packed.n_slices > kMostSlices)
    return backend_->broken("layout_weight", "weight %u has %u slices%s", index, packed.n_slices,
                            packed.slices ? "" : " and no array of them");
  if (packed.slice_stride < sizeof(dsb_weight_slice) || packed.slice_stride > kMostStride)
    return backend_->broken("layout_weight", "slice_stride of weight %u: expected %zu to %u, found %u", index,
                            sizeof(dsb_weight_slice), kMostStride, packed.slice_stride);
  const auto *bytes = reinterpret_cast<const uint8_t *>(packed.slices);
  for (uint32_t i = 0; i < packed.n_slices; ++i) {
    dsb_weight_slice slice;
    std::memcpy(&slice, bytes + size_t{i} * packed.slice_stride, sizeof slice);
    if (slice.tensor >= tensors_.size() || tensors_[slice.tensor].kind != graph::TensorKind::kWeight)
      return backend_->broken("layout_weight", "slice %u of weight %u names tensor %u, which is no weight of the graph",
                              i, index, slice.tensor);
    const graph::Tensor &tensor = tensors_[slice.tensor];
    const std::optional<uint64_t> whole = stored_bytes(tensor);
    if (!whole) return fail(DS_E_MODEL, "runtime", "weight %s has an impossible shape", tensor.name.c_str());
    uint64_t share = *whole;
    if (slice.dim != DSB_NONE) {
      const uint64_t extent = slice.dim < tensor.shape.size() ? static_cast<uint64_t>(tensor.shape[slice.dim]) : 0;
      if (slice.length == 0 || !within(slice.begin, slice.length, extent))
        return backend_->broken("layout_weight", "slice %u of weight %u leaves dimension %u of %s", i, index, slice.dim,
                                tensor.name.c_str());
      share = static_cast<uint64_t>(static_cast<double>(*whole) * static_cast<double>(slice.length) /
                                    static_cast<double>(extent));
    }
    weight.source_bytes += share;
    weight.slices.push_back(slice);
  }
  return {};
}

Status Layout::read_node(uint32_t index, const graph::Graph &graph) {
  dsb_node_verdict raw{};
  raw.struct_size = sizeof raw;
  DS_TRY(backend_->call("layout_node",
                        [&](ds_error *error) { return backend_->api().layout_node(layout_, index, &raw, error); }));
  if (raw.struct_size > sizeof raw || raw.node != index || raw.supported > 1)
    return backend_->broken("layout_node", "verdict %u: node %u, supported %u, struct_size %u", index, raw.node,
                            raw.supported, raw.struct_size);
  nodes_.push_back(
      {raw.supported == 1, graph.nodes[index].name, std::string(raw.reason, strnlen(raw.reason, sizeof raw.reason))});
  return {};
}

Status Layout::check_nodes() const {
  for (const NodeVerdict &node : nodes_)
    if (!node.supported)
      return fail(DS_E_UNSUPPORTED, "runtime", "backend %s cannot run node %s: %s", backend_->name().c_str(),
                  node.node.c_str(), node.reason.empty() ? "no reason given" : node.reason.c_str());
  return {};
}

Result<uint64_t> Layout::scratch_bytes(uint32_t n_rows) const {
  uint64_t bytes = UINT64_MAX;
  DS_TRY(backend_->call("layout_scratch", [&](ds_error *error) {
    return backend_->api().layout_scratch(layout_, n_rows, &bytes, error);
  }));
  if (bytes > kMostBytes) return backend_->broken("layout_scratch", "the size is more than 2^48 bytes");
  return bytes;
}

}  // namespace deepseam::runtime
