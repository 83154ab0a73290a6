// A backend's answer to a graph: how it wants the weights, what it will take, and whether it can run every node.
//
// The answer is checked once, here: slices lie inside the graph's weights, sums agree, sizes are sane. What is in a
// Layout can be trusted by those who load weights and count memory. No device is needed to plan.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "runtime/device.h"

namespace deepseam::runtime {

// dsb_plan_options without its size; see there.
struct PlanOptions {
  bool deterministic = false;
  uint32_t max_rows = 512;
  uint32_t max_seqs = 16;
  uint32_t max_blocks_per_seq = 1;
  uint32_t max_logit_rows = 16;
  uint32_t max_adapters = 0;
  uint32_t max_lora_rank = 0;
  uint32_t act_type = DSB_ACT_NATIVE;
  uint32_t kv_format = DSB_KV_F32;
  uint32_t block_tokens = 64;
  uint32_t slice_hint_us = 0;
};

struct PackedWeight {
  std::vector<dsb_weight_slice> slices;
  uint64_t bytes = 0;         // on the device, beyond lasting sources that it points to
  uint64_t source_bytes = 0;  // of its slices, as the graph stores them
  uint32_t alignment = 1;
  uint32_t layout_id = 0;
  bool mappable = false;
  bool pulled = false;  // takes sources that are read piece by piece
};

struct NodeVerdict {
  bool supported = false;
  std::string node;  // its name in the graph
  std::string reason;
};

struct LayoutSummary {
  uint64_t weight_bytes = 0;
  uint64_t scratch_bytes = 0;  // per exec of max_rows
  uint64_t program_bytes = 0;
  uint64_t kv_bytes_per_block = 0;  // all layers
  uint32_t n_kv_layers = 0;
  uint64_t numerics_id = 0;
};

class Layout {
 public:
  // For a device that is not open: what ds_model_plan asks. `device_index` is DeviceInfo.index.
  static Result<std::shared_ptr<Layout>> plan(std::shared_ptr<Backend> backend, uint32_t device_index,
                                              const graph::Graph &graph, const PlanOptions &options);
  static Result<std::shared_ptr<Layout>> plan(std::shared_ptr<Device> device, const graph::Graph &graph,
                                              const PlanOptions &options);
  ~Layout();
  Layout(const Layout &) = delete;
  Layout &operator=(const Layout &) = delete;

  const std::shared_ptr<Backend> &backend() const { return backend_; }
  const PlanOptions &options() const { return options_; }
  const LayoutSummary &summary() const { return summary_; }
  const std::vector<PackedWeight> &weights() const { return weights_; }
  const std::vector<NodeVerdict> &nodes() const { return nodes_; }
  const std::vector<graph::Tensor> &tensors() const { return tensors_; }  // the graph's, same indices
  uint64_t source_bytes() const { return source_bytes_; }                 // of all weights
  dsb_layout *raw() const { return layout_; }

  // DS_E_UNSUPPORTED naming the first node that cannot run, and why.
  Status check_nodes() const;
  Result<uint64_t> scratch_bytes(uint32_t n_rows) const;

 private:
  Layout() = default;
  static Result<std::shared_ptr<Layout>> plan(std::shared_ptr<Backend> backend, uint32_t device_index,
                                              std::shared_ptr<Device> device, const graph::Graph &graph,
                                              const PlanOptions &options);
  Status read_summary(uint32_t &n_weights, uint64_t n_nodes);
  Status read_weight(uint32_t index);
  Status read_slices(const dsb_packed_weight &packed, uint32_t index, PackedWeight &weight);
  Status read_node(uint32_t index, const graph::Graph &graph);

  std::shared_ptr<Backend> backend_;
  std::shared_ptr<Device> device_;  // NULL if planned without one
  PlanOptions options_;
  LayoutSummary summary_;
  std::vector<PackedWeight> weights_;
  std::vector<NodeVerdict> nodes_;
  std::vector<graph::Tensor> tensors_;
  uint64_t source_bytes_ = 0;
  dsb_layout *layout_ = nullptr;
};

}  // namespace deepseam::runtime
