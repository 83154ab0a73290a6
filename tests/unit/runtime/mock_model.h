// A program on a mock, with all that leads to it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/executor.h"
#include "runtime/registry.h"
#include "unit/runtime/mock_backend.h"
#include "unit/runtime/sample_graph.h"

namespace deepseam::runtime::test {

inline std::shared_ptr<Device> open_mock(Mock &mock) {
  Registry registry{HostOptions{}};
  const Status added = registry.add_linked(mock.root());
  REQUIRE_MESSAGE(added.ok(), added.message());
  Result<std::shared_ptr<Device>> device = Device::open(registry.choose(mock.name)->backend, 0, {});
  REQUIRE(device.ok());
  return std::move(device).value();
}

// Sources that hold `fill` in every byte, in as many parts as asked.
inline SourceCallback filled(uint8_t fill, bool lasting = false) {
  return [=](const graph::Tensor &tensor, bool) -> Result<WeightSource> {
    uint64_t rows = 1;
    for (size_t axis = 0; axis + 1 < tensor.shape.size(); ++axis) rows *= static_cast<uint64_t>(tensor.shape[axis]);
    auto bytes = std::make_shared<std::vector<uint8_t>>(
        rows * row_bytes(tensor.dtype, static_cast<uint64_t>(tensor.shape.back())), fill);
    WeightSource source;
    source.parts.push_back({*bytes, {}});
    source.lasting = lasting;
    source.keep = std::move(bytes);
    return source;
  };
}

// All weights of the layout, in its order; progress over all of them.
inline Result<std::vector<std::shared_ptr<Weight>>> load_weights(const std::shared_ptr<Layout> &layout,
                                                                 const std::shared_ptr<Device> &device,
                                                                 const SourceCallback &source,
                                                                 const CancelWord *cancel = nullptr,
                                                                 const LoadProgress &progress = {}) {
  uint64_t before = 0;
  LoadProgress of_weight;
  if (progress) of_weight = [&](uint64_t done, uint64_t) { progress(before + done, layout->source_bytes()); };
  std::vector<std::shared_ptr<Weight>> weights;
  for (uint32_t index = 0; index < layout->weights().size(); ++index) {
    DS_TRY_VALUE(std::shared_ptr<Weight> weight, load_weight(layout, device, index, source, cancel, of_weight));
    weights.push_back(std::move(weight));
    before += layout->weights()[index].source_bytes;
  }
  return weights;
}

inline std::shared_ptr<Program> make_program(const std::shared_ptr<Device> &device, bool from_tokens = true,
                                             uint8_t fill = 0, const PlanOptions &options = {}) {
  Result<std::shared_ptr<Layout>> layout = Layout::plan(device, sample_graph(from_tokens), options);
  REQUIRE_MESSAGE(layout.ok(), layout.status().message());
  auto weights = load_weights(*layout, device, filled(fill));
  REQUIRE_MESSAGE(weights.ok(), weights.status().message());
  Result<std::shared_ptr<Program>> program = Program::compile(*layout, device, *weights);
  REQUIRE_MESSAGE(program.ok(), program.status().message());
  return std::move(program).value();
}

// A step over `tokens` that wants logits of every row; keeps what it points to.
struct Step {
  explicit Step(const std::vector<uint32_t> &tokens) : logits(tokens.size(), -1) {
    for (size_t i = 0; i < tokens.size(); ++i) {
      const uint32_t at = static_cast<uint32_t>(i);
      rows.push_back({0, at, at, DSB_TOKEN_HOST, tokens[i], DSB_NONE, DSB_NONE, DSB_WANT_LOGITS});
    }
    std::memset(&outputs, 0, sizeof outputs);
    outputs.struct_size = sizeof outputs;
    outputs.logits = logits.data();
    std::memset(&step, 0, sizeof step);
    step.struct_size = sizeof step;
    step.entry = DSB_ENTRY_FORWARD;
    step.n_rows = static_cast<uint32_t>(rows.size());
    step.rows = rows.data();
    step.row_stride = sizeof(dsb_row);
    step.outputs = &outputs;
  }
  std::vector<dsb_row> rows;
  std::vector<float> logits;
  dsb_outputs outputs;
  dsb_step step;
};

}  // namespace deepseam::runtime::test
