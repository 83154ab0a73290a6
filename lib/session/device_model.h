// What of a model lies on a device: weights, program, KV pool, and the lane that runs steps. The engine's alone.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/cancel.h"
#include "base/status.h"
#include "base/task_runner.h"
#include "runtime/executor.h"
#include "runtime/pool.h"
#include "session/adapter_slots.h"
#include "session/packed_weights.h"
#include "session/plan.h"

namespace deepseam::session {

class RuntimeState;

// Members in the order of making: destroyed in the opposite one, children before parents.
struct DeviceModel {
  ~DeviceModel() {
    if (adapters) adapters->close();  // others hold a share of it
  }
  std::shared_ptr<runtime::Device> device;
  std::shared_ptr<runtime::Layout> layout;
  std::shared_ptr<runtime::Program> program;
  std::shared_ptr<AdapterSlots> adapters;
  std::shared_ptr<runtime::Pool> pool;
  std::shared_ptr<runtime::Executor> executor;
  std::unique_ptr<runtime::StepCancel> cancel;
  Allocator allocator;
  PackedReport packed;
  uint32_t vocab = 0;  // V
  uint32_t max_rows = 0, max_seqs = 0, max_logit_rows = 0, block_tokens = 0, n_blocks = 0;
  uint32_t context_length = 0;
  bool profile = false;
};

// Weights of a graph from the files they are in, viewed where they lie if the files are mapped. The files' sources are
// kept by the weights that point into them. What the graph has in another form than the file is made on `runner`.
runtime::SourceCallback weight_source(const ModelFiles &files, const model::WeightMap &weights, TaskRunner &runner,
                                      const CancelWord *cancel, Allocator allocator);

// The device that a plan chose.
Result<std::shared_ptr<runtime::Device>> open_device(RuntimeState &runtime, const ModelPlan &plan);
Result<std::shared_ptr<runtime::Layout>> device_layout(const std::shared_ptr<runtime::Device> &device,
                                                       const PlannedModel &model);

// Follows the plan: opens the device, loads, compiles, makes the pool. Of the options: cancel, progress (called on the
// loading thread only), the folder for packed weights and how its file is mapped.
Result<std::unique_ptr<DeviceModel>> load_device_model(RuntimeState &runtime, const PlannedModel &model,
                                                       const OpenOptions &options);

}  // namespace deepseam::session
