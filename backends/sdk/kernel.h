// What a CPU backend writes: kernels. Everything else (the C table, objects, checks, KV pool, sampling, adapters,
// cancelling, slices) is the frame of cpu_backend.h, which runs a program node by node through the functions declared
// here.
//
// A kernel computes one op. A backend lists its kernels in order of preference; of those for a node's op the first that
// accepts the node runs it. Kernels are plain data without state: what belongs to one node of one program is made by
// prepare(), what belongs to the instance by Backend::open().
//
// What always holds when run() is called: the step is checked, indices are in range, KV blocks are there, inputs are
// written for all rows asked for, and no other thread runs the same exec. Rows are independent of each other except
// through the KV cache, so run() may be asked for any range of them, in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/status.h"
#include "deepseam/backend.h"
#include "graph/graph.h"
#include "sdk/kv.h"
#include "sdk/stored.h"

namespace deepseam::sdk {

// The machine a program is made for.
struct Target {
  const char *arch = "";        // dsb_device_info.arch
  uint32_t width = 1;           // tasks that parallel() runs at once
  bool concurrent = false;      // whether tasks may wait for each other
  const void *state = nullptr;  // what Backend::open returned
};

// A node before there are weights and rows. References live as long as the layout.
struct PlanNode {
  const graph::Graph &graph;
  const graph::Node &node;
  const dsb_plan_options &options;
  const Target &target;

  bool has_input(size_t i) const { return i < node.inputs.size() && node.inputs[i] != graph::kAbsent; }
  const graph::Tensor &input(size_t i) const { return graph.tensors[node.inputs[i]]; }
  const graph::Tensor &output(size_t i) const { return graph.tensors[node.outputs[i]]; }
  uint64_t input_cols(size_t i) const { return static_cast<uint64_t>(input(i).shape.back()); }
  uint64_t output_cols(size_t i) const { return static_cast<uint64_t>(output(i).shape.back()); }
  bool deterministic() const { return (options.flags & DSB_PLAN_DETERMINISTIC) != 0; }
};

inline constexpr uint32_t kAsStored = 0;

// One weight as a kernel wants to hold it. kAsStored: one whole tensor, left as it is (and not copied if its source
// lasts). Any other form is a number of the kernel's own; its bytes are made by pack(). Equal uses are held once.
struct WeightUse {
  uint32_t form = kAsStored;
  std::vector<dsb_weight_slice> slices;
  uint64_t bytes = 0;  // of a packed form
  uint32_t alignment = 64;
  bool pulls = false;  // pack() asks whether a source has `read`
};

// A weight that is there. `stored` is for kAsStored, `packed` for other forms.
struct Weight {
  uint32_t form = kAsStored;
  StoredTensor stored;
  const uint8_t *packed = nullptr;
  uint64_t packed_bytes = 0;
};

// Runs tasks on the host's threads, with the library's floating-point environment. Tasks are skipped once the work is
// cancelled; an exception in one (std::bad_alloc) is remembered in failure() and the rest still run.
class Tasks {
 public:
  Tasks(const dsb_host &host, const uint32_t *cancel_word, const uint32_t *stop_word)
      : host_(&host), cancel_word_(cancel_word), stop_word_(stop_word) {}
  // body(i) for i in [0, n); may run at the same time on several threads.
  template <class Body>
  void parallel(uint32_t n, const Body &body) {
    run(
        n, [](const void *arg, uint32_t i) { (*static_cast<const Body *>(arg))(i); }, &body);
  }
  // To be asked at least every few milliseconds of work; then a task just returns.
  bool cancelled() const;
  Status failure() const { return failure_ == DS_OK ? Status() : Status(failure_); }
  uint32_t width() const { return host_->width; }

 private:
  void run(uint32_t n, void (*body)(const void *, uint32_t), const void *arg);
  const dsb_host *host_;
  const uint32_t *cancel_word_;
  const uint32_t *stop_word_;
  ds_status failure_ = DS_OK;
};

// pack()'s work: the bytes of one packed weight from its sources, in the order of use.slices.
struct PackJob {
  const PlanNode &plan;
  const WeightUse &use;
  std::span<const StoredTensor> sources;  // whole tensors; the slices say which part is meant
  uint8_t *out;                           // [use.bytes], aligned as asked
  Tasks &tasks;
};

// A delta of one weight: y += scale * B (A x). a [rank, in], b [out, rank].
struct Lora {
  uint32_t tensor = 0;
  uint32_t expert = DSB_NONE;
  uint32_t rank = 0;
  float scale = 0;
  uint64_t in = 0, out = 0;
  std::vector<float> a, b;
};
struct Adapter {
  std::vector<Lora> loras;  // sorted by (tensor, expert)
  const Lora *find(uint32_t tensor, uint32_t expert) const;
};

// One token of the step, with everything resolved.
struct Row {
  uint32_t seq = 0;       // index into RunContext::seqs
  uint32_t in_seq = 0;    // which row of its sequence in this step
  uint32_t position = 0;  // what RoPE turns by
  uint32_t kv_row = 0;    // where its latent is stored
  uint32_t token = 0;
  uint32_t hidden_row = DSB_NONE;
  uint32_t want = 0;
  const uint32_t *ancestors = nullptr;  // bit words over the sequence's rows of this step; NULL: causal
  const Adapter *adapter = nullptr;
};

// One sequence of the step. Visible to a row: KV rows [0, kv_len), then of the step's rows of the sequence those before
// and including it (causal) or those whose ancestor bit is set; in this order, which is the order of positions.
struct Seq {
  uint32_t first_row = 0, n_rows = 0;  // in RunContext::rows
  uint32_t kv_len = 0;
  const uint32_t *table = nullptr;  // blocks of the sequence
};

// Where KV rows lie.
struct KvView {
  KvShape shape;
  uint8_t *const *blocks = nullptr;
  uint8_t *row(uint32_t layer, const Seq &seq, uint32_t kv_row) const {
    return blocks[seq.table[kv_row / shape.block_tokens]] + shape.row_offset(layer, kv_row % shape.block_tokens);
  }
};

// One call of run(): compute rows [first_row, first_row + n_rows) of the node's outputs. Pointers given out are to row
// 0 of a tensor. For nodes behind gather_rows rows count the gathered ones.
struct RunContext {
  const PlanNode &plan;
  Tasks &tasks;
  uint32_t first_row = 0, n_rows = 0;
  uint32_t max_rows = 0;                        // of the exec: what scratch() was asked for
  void *const *tensors = nullptr;               // activations by tensor index
  std::span<const Weight *const> weights = {};  // in the order of Kernel::weights
  const void *state = nullptr;                  // what prepare() returned
  std::byte *scratch = nullptr;
  std::span<const Row> rows = {};  // all T rows of the step
  std::span<const Seq> seqs = {};
  std::span<const uint32_t> gathered = {};  // for every gathered row the row it is
  KvView kv = {};
  const float *hidden_in = nullptr;       // [n_hidden_in, H]
  const dsb_group_desc *group = nullptr;  // NULL: alone
  bool any_adapter = false;               // whether any row has one

  const float *input(size_t i) const { return static_cast<const float *>(tensors[plan.node.inputs[i]]); }
  const int32_t *input_ids(size_t i) const { return static_cast<const int32_t *>(tensors[plan.node.inputs[i]]); }
  float *output(size_t i = 0) const { return static_cast<float *>(tensors[plan.node.outputs[i]]); }
  int32_t *output_ids(size_t i) const { return static_cast<int32_t *>(tensors[plan.node.outputs[i]]); }
  // The weight that is input i, for kernels that take all weights as stored; NULL if the input is absent.
  const StoredTensor *stored(size_t i) const;
  // The token row behind row r of this node's output.
  const Row &row(uint32_t r) const { return is_gathered() ? rows[gathered[r]] : rows[r]; }
  bool is_gathered() const { return plan.output(0).shape[0] == graph::kGatheredRows; }
  // The delta that row r's adapter has for weight input i; NULL if none.
  const Lora *lora(uint32_t r, size_t i, uint32_t expert = DSB_NONE) const {
    const Adapter *adapter = row(r).adapter;
    return adapter ? adapter->find(plan.node.inputs[i], expert) : nullptr;
  }
};

inline constexpr uint32_t kKernelWholeStep = 1;  // run() is always asked for all rows at once

struct Kernel {
  graph::Op op;
  const char *name;  // stands in the verdict; part of numerics_id
  Status (*run)(RunContext &);
  uint32_t flags = 0;
  // Whether the node can be run; the failure's sentence says why not. NULL: always.
  Status (*accepts)(const PlanNode &) = nullptr;
  // NULL: every weight input of the node, as stored.
  std::vector<WeightUse> (*weights)(const PlanNode &) = nullptr;
  Status (*pack)(PackJob &) = nullptr;
  // Bytes that run() wants for up to `rows` rows; 64-byte aligned. NULL: none.
  uint64_t (*scratch)(const PlanNode &, uint64_t rows) = nullptr;
  // Once per program. NULL: no state.
  Result<std::shared_ptr<void>> (*prepare)(const PlanNode &, std::span<const Weight *const> weights) = nullptr;
};

}  // namespace deepseam::sdk
