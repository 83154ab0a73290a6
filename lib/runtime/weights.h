// Loading the packed weights of a layout, one by one, from sources that the caller names on demand.
//
// Beside the weights themselves, at most one packed weight's sources are in memory at a time: the callback makes them
// and they are dropped as soon as the backend is done with them. Lasting sources are kept with the weight instead.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/dtype.h"
#include "runtime/layout.h"

namespace deepseam::runtime {

// The numbers of one graph tensor, row-major, in the dtype and shape that the graph says. parts: one, or dims[0] of
// them, part i being [i, …]. scales only with F8_E4M3. keep owns whatever the spans point into, and may be empty. With
// `read` the parts are only counted: the backend asks for their bytes, from any thread, several at once.
struct WeightSource {
  struct Part {
    std::span<const uint8_t> data;
    std::span<const float> scales;
  };
  std::vector<Part> parts;
  uint32_t scale_block_rows = 0, scale_block_cols = 0;
  std::function<Status(uint32_t part, uint64_t offset, std::span<uint8_t> into)> read;
  bool lasting = false;  // bytes stay valid and unchanged as long as `keep` lives
  std::shared_ptr<const void> keep;
};

// Called once per slice, in order, never concurrently: the tensor's role, its dtype and shape as the graph has them.
// pulled: the source may bring `read` instead of bytes.
using SourceCallback = std::function<Result<WeightSource>(const graph::Tensor &tensor, bool pulled)>;
// Bytes of sources done and in all; grows; may come from any thread.
using LoadProgress = std::function<void(uint64_t done, uint64_t total)>;

class Weight {
 public:
  // `data` must stay valid as long as the weight if `lasting` is the owner's promise (kept in `keep`).
  static Result<std::shared_ptr<Weight>> map(std::shared_ptr<Layout> layout, std::shared_ptr<Device> device,
                                             uint32_t index, std::span<const uint8_t> data,
                                             std::shared_ptr<const void> keep);
  ~Weight();
  Weight(const Weight &) = delete;
  Weight &operator=(const Weight &) = delete;

  dsb_weight *raw() const { return weight_; }
  // The packed bytes, for weight_map of a layout with the same layout_id and arch.
  Result<uint64_t> export_size() const;
  Status export_to(std::span<uint8_t> into) const;

 private:
  friend class WeightLoader;
  Weight() = default;
  std::shared_ptr<Layout> layout_;
  std::shared_ptr<Device> device_;
  std::vector<std::shared_ptr<const void>> keep_;
  dsb_weight *weight_ = nullptr;
};

// One packed weight; `progress` is told the bytes of its own sources. DS_E_CANCELLED soon after `cancel` (may be NULL)
// is set: it is polled between sources and read by the backend.
Result<std::shared_ptr<Weight>> load_weight(const std::shared_ptr<Layout> &layout,
                                            const std::shared_ptr<Device> &device, uint32_t index,
                                            const SourceCallback &source, const CancelWord *cancel,
                                            const LoadProgress &progress);

}  // namespace deepseam::runtime
