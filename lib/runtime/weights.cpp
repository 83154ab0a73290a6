#include "runtime/weights.h"

#include <algorithm>
#include <mutex>

#include "base/checked.h"
#include "runtime/program.h"

namespace deepseam::runtime {
namespace {

constexpr const char *kDomain = "runtime";

// Bytes and scales that part of a tensor must bring.
struct PartSize {
  uint64_t bytes = 0, rows = 0, cols = 0;
};

PartSize part_size(const graph::Tensor &tensor, size_t n_parts) {
  PartSize size{0, 1, static_cast<uint64_t>(tensor.shape.back())};
  for (size_t axis = n_parts > 1 ? 1 : 0; axis + 1 < tensor.shape.size(); ++axis)
    size.rows *= static_cast<uint64_t>(tensor.shape[axis]);  // the layout has checked that this fits
  size.bytes = size.rows * row_bytes(tensor.dtype, size.cols);
  return size;
}

Status check_source(const graph::Tensor &tensor, const WeightSource &source) {
  const size_t n = source.parts.size();
  if (n == 0 || (n > 1 && (tensor.shape.size() < 2 || n != static_cast<uint64_t>(tensor.shape[0]))))
    return fail(DS_E_INTERNAL, kDomain, "source of %s: %zu parts do not make its shape", tensor.name.c_str(), n);
  const PartSize size = part_size(tensor, n);
  const bool scaled = source.scale_block_rows != 0 && source.scale_block_cols != 0;
  if (scaled && tensor.dtype != DType::kF8E4M3)
    return fail(DS_E_INTERNAL, kDomain, "source of %s: only f8_e4m3 has scales", tensor.name.c_str());
  // A stack in one part has scales per matrix, so that rows of blocks never span two of them.
  uint64_t n_scales = 0;
  if (scaled) {
    const uint64_t matrices = tensor.shape.size() == 3 && n == 1 ? static_cast<uint64_t>(tensor.shape[0]) : 1;
    const uint64_t rows = size.rows / matrices;
    n_scales = matrices * (rows / source.scale_block_rows + (rows % source.scale_block_rows != 0)) *
               (size.cols / source.scale_block_cols + (size.cols % source.scale_block_cols != 0));
  }
  if (source.read && scaled)
    return fail(DS_E_INTERNAL, kDomain, "source of %s: scales beside numbers that are read", tensor.name.c_str());
  for (const WeightSource::Part &part : source.parts) {
    if (!source.read && part.data.size() != size.bytes)
      return fail(DS_E_INTERNAL, kDomain, "source of %s: expected %llu bytes, found %zu", tensor.name.c_str(),
                  static_cast<unsigned long long>(size.bytes), part.data.size());
    if (part.scales.size() != n_scales)
      return fail(DS_E_INTERNAL, kDomain, "source of %s: expected %llu scales, found %zu", tensor.name.c_str(),
                  static_cast<unsigned long long>(n_scales), part.scales.size());
  }
  return {};
}

// What a plugin reads a source by. The first failure is kept: it says more than the code that passes through the
// plugin.
struct Reading {
  const WeightSource *source;
  uint64_t part_bytes;
  std::mutex lock;
  Status failure;

  static ds_status DS_CALL read(void *user, uint32_t part, uint64_t offset, void *into, uint64_t size) noexcept {
    auto *self = static_cast<Reading *>(user);
    try {
      Status status = self->run(part, offset, {static_cast<uint8_t *>(into), static_cast<size_t>(size)});
      const ds_status code = status.code();
      const std::lock_guard guard(self->lock);
      if (self->failure.ok()) self->failure = std::move(status);
      return code;
    } catch (...) {
      return DS_E_MEMORY;
    }
  }
  Status run(uint32_t part, uint64_t offset, std::span<uint8_t> into) const {
    if (part >= source->parts.size() || !within(offset, into.size(), part_bytes))
      return fail(DS_E_PLUGIN, kDomain, "a plugin reads %zu bytes at %llu of part %u; there are %zu parts of %llu",
                  into.size(), static_cast<unsigned long long>(offset), part, source->parts.size(),
                  static_cast<unsigned long long>(part_bytes));
    return source->read(part, offset, into);
  }
};

// A source in the plugin's words; `parts` and `reading` are what it points to.
dsb_weight_source raw_source(const graph::Tensor &tensor, const WeightSource &source,
                             std::vector<dsb_weight_part> &parts, Reading &reading) {
  reading.source = &source;
  reading.part_bytes = part_size(tensor, source.parts.size()).bytes;
  for (const WeightSource::Part &part : source.parts)
    parts.push_back(
        {part.data.data(), reading.part_bytes, part.scales.empty() ? nullptr : part.scales.data(), part.scales.size()});
  dsb_weight_source raw{};
  raw.struct_size = sizeof raw;
  raw.flags = source.lasting ? DSB_SOURCE_LASTING : 0;
  raw.dtype = static_cast<uint32_t>(tensor.dtype);
  raw.n_dims = static_cast<uint32_t>(std::min<size_t>(tensor.shape.size(), 4));
  for (uint32_t axis = 0; axis < raw.n_dims; ++axis) raw.dims[axis] = static_cast<uint64_t>(tensor.shape[axis]);
  raw.n_parts = static_cast<uint32_t>(parts.size());
  raw.part_stride = sizeof(dsb_weight_part);
  raw.parts = parts.data();
  raw.scale_block_rows = source.scale_block_rows;
  raw.scale_block_cols = source.scale_block_cols;
  raw.read = source.read ? Reading::read : nullptr;
  raw.read_user = &reading;
  return raw;
}

Status cancelled() { return Status(DS_E_CANCELLED); }

}  // namespace

// Loads one packed weight at a time; holds what progress needs while a backend calls back.
class WeightLoader {
 public:
  WeightLoader(const std::shared_ptr<Layout> &layout, const std::shared_ptr<Device> &device, const CancelWord *cancel,
               const LoadProgress &progress)
      : layout_(layout), device_(device), cancel_(cancel), progress_(progress) {}

  Result<std::shared_ptr<Weight>> load(uint32_t index, const SourceCallback &callback) {
    const PackedWeight &packed = layout_->weights()[index];
    std::vector<WeightSource> sources;
    for (const dsb_weight_slice &slice : packed.slices) {
      if (is_cancelled(cancel_)) return cancelled();
      const graph::Tensor &tensor = layout_->tensors()[slice.tensor];
      DS_TRY_VALUE(WeightSource source, callback(tensor, packed.pulled));
      if (source.read && !packed.pulled)
        return fail(DS_E_INTERNAL, kDomain, "source of %s: the backend reads none", tensor.name.c_str());
      DS_TRY(check_source(tensor, source));
      sources.push_back(std::move(source));
    }
    weight_bytes_ = packed.source_bytes;
    std::shared_ptr<Weight> weight(new Weight);
    weight->layout_ = layout_;
    weight->device_ = device_;
    std::vector<Reading> readings(sources.size());
    Status handed = hand_over(index, packed, sources, readings, *weight);
    for (Reading &reading : readings)
      if (!handed.ok() && !reading.failure.ok()) return std::move(reading.failure);
    DS_TRY(std::move(handed));
    for (WeightSource &source : sources)
      if (source.lasting && packed.mappable) weight->keep_.push_back(std::move(source.keep));
    if (progress_) progress_(weight_bytes_, weight_bytes_);
    return weight;
  }

 private:
  Status hand_over(uint32_t index, const PackedWeight &packed, const std::vector<WeightSource> &sources,
                   std::vector<Reading> &readings, Weight &weight) {
    std::vector<std::vector<dsb_weight_part>> parts(sources.size());
    std::vector<dsb_weight_source> raw;
    for (size_t i = 0; i < sources.size(); ++i)
      raw.push_back(raw_source(layout_->tensors()[packed.slices[i].tensor], sources[i], parts[i], readings[i]));
    const Backend &backend = *device_->backend();
    dsb_ticket *ticket = nullptr;
    dsb_weight *loaded = nullptr;
    DS_TRY(backend.call("weight_load", [&](ds_error *error) {
      return backend.api().weight_load(layout_->raw(), device_->raw(), index, raw.data(),
                                       static_cast<uint32_t>(raw.size()), sizeof(dsb_weight_source),
                                       cancel_ ? cancel_->address() : nullptr, report, this, &ticket, &loaded, error);
    }));
    // The ticket goes back before the weight that it fills, and before the sources it reads.
    std::unique_ptr<Ticket> pending;
    if (ticket) pending = std::make_unique<Ticket>(device_->backend(), device_, ticket);
    weight.weight_ = loaded;
    if (!loaded) return backend.broken("weight_load", "success without a weight");
    while (pending) {
      DS_TRY_VALUE(const TicketState state, pending->wait());
      if (state == TicketState::kDone) break;
      if (state == TicketState::kCancelled) return cancelled();
      if (state == TicketState::kYielded) return backend.broken("weight_load", "its ticket yielded");
    }
    return {};
  }

  // A plugin may say anything; progress never passes the end of the weight. bad_alloc and the like stay on our side.
  static void DS_CALL report(void *user, uint64_t bytes_done) noexcept {
    const WeightLoader &loader = *static_cast<const WeightLoader *>(user);
    if (!loader.progress_) return;
    try {
      loader.progress_(std::min(bytes_done, loader.weight_bytes_), loader.weight_bytes_);
    } catch (...) {
    }
  }

  const std::shared_ptr<Layout> &layout_;
  const std::shared_ptr<Device> &device_;
  const CancelWord *cancel_;
  const LoadProgress &progress_;
  uint64_t weight_bytes_ = 0;
};

Weight::~Weight() {
  if (weight_) device_->backend()->api().weight_release(weight_);
}

Result<std::shared_ptr<Weight>> Weight::map(std::shared_ptr<Layout> layout, std::shared_ptr<Device> device,
                                            uint32_t index, std::span<const uint8_t> data,
                                            std::shared_ptr<const void> keep) {
  if (index >= layout->weights().size())
    return fail(DS_E_ARGUMENT, kDomain, "packed weight %u: the layout has %zu", index, layout->weights().size());
  const uint32_t alignment = layout->weights()[index].alignment;
  if (reinterpret_cast<uintptr_t>(data.data()) % alignment != 0)
    return fail(DS_E_ARGUMENT, kDomain, "packed weight %u: its bytes are not aligned to %u", index, alignment);
  std::shared_ptr<Weight> weight(new Weight);
  const Backend &backend = *device->backend();
  weight->layout_ = std::move(layout);
  weight->device_ = std::move(device);
  weight->keep_.push_back(std::move(keep));
  dsb_weight *mapped = nullptr;
  DS_TRY(backend.call("weight_map", [&](ds_error *error) {
    return backend.api().weight_map(weight->layout_->raw(), weight->device_->raw(), index, data.data(), data.size(),
                                    &mapped, error);
  }));
  weight->weight_ = mapped;
  if (!mapped) return backend.broken("weight_map", "success without a weight");
  return weight;
}

Result<uint64_t> Weight::export_size() const {
  const Backend &backend = *device_->backend();
  uint64_t size = UINT64_MAX;
  DS_TRY(backend.call("weight_export",
                      [&](ds_error *error) { return backend.api().weight_export(weight_, nullptr, &size, error); }));
  if (size > uint64_t{1} << 48) return backend.broken("weight_export", "the size is more than 2^48 bytes");
  return size;
}

Status Weight::export_to(std::span<uint8_t> into) const {
  const Backend &backend = *device_->backend();
  uint64_t size = into.size();
  DS_TRY(backend.call("weight_export", [&](ds_error *error) {
    return backend.api().weight_export(weight_, into.data(), &size, error);
  }));
  if (size != into.size())
    return backend.broken("weight_export", "expected %zu bytes, found %llu", into.size(),
                          static_cast<unsigned long long>(size));
  return {};
}

Result<std::shared_ptr<Weight>> load_weight(const std::shared_ptr<Layout> &layout,
                                            const std::shared_ptr<Device> &device, uint32_t index,
                                            const SourceCallback &source, const CancelWord *cancel,
                                            const LoadProgress &progress) {
  return WeightLoader(layout, device, cancel, progress).load(index, source);
}

}  // namespace deepseam::runtime
