// The objects behind the handles of backend.h. Each is made and freed by the slot of its name; children point at their
// parents, which outlive them.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "graph/plan.h"
#include "sdk/cpu_backend.h"
#include "sdk/kernel.h"
#include "sdk/sampler.h"

namespace deepseam::sdk {

struct Instance {
  explicit Instance(const Backend &made_of) : backend(made_of) {}
  const Backend &backend;
  dsb_host host{};
  std::string isa_cap;
  std::shared_ptr<void> state;
  std::string library;
  char arch[24] = {};
  Target target;
  uint32_t stop = 0;                 // set by quiesce; steps end as cancelled
  std::atomic<uint32_t> running{0};  // calls that are computing now
};

struct Device {
  Device(Instance &parent, const dsb_device_options &given) : instance(parent), options(given) {}
  Instance &instance;
  dsb_device_options options;
  std::atomic<uint64_t> used{0};
  // Within the budget; DS_E_BUDGET or DS_E_MEMORY say how much was missing.
  Result<void *> allocate(uint64_t size, uint64_t alignment, uint32_t tag);
  void release(void *memory, uint64_t size, uint32_t tag) noexcept;
};

// One allocation of a device.
class Memory {
 public:
  Memory() = default;
  ~Memory() { reset(); }
  Memory(Memory &&other) noexcept { swap(other); }
  Memory &operator=(Memory &&other) noexcept {
    swap(other);
    return *this;
  }
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;
  static Result<Memory> make(Device &device, uint64_t size, uint64_t alignment, uint32_t tag);
  uint8_t *data() const { return data_; }
  uint64_t size() const { return size_; }

 private:
  void reset() noexcept;
  void swap(Memory &other) noexcept;
  Device *device_ = nullptr;
  uint8_t *data_ = nullptr;
  uint64_t size_ = 0;
  uint32_t tag_ = 0;
};

struct Group {
  dsb_group_desc desc{};
};

struct PlannedNode {
  PlanNode plan;
  const Kernel *kernel = nullptr;  // NULL: none accepts it
  std::string verdict;
  std::vector<uint32_t> weights;  // places in Layout::weights, in the order of Kernel::weights
};

struct PlannedWeight {
  WeightUse use;
  uint32_t node = 0;  // whose kernel packs it
  uint32_t layout_id = 0;
};

// What a program's KV layers ask of a pool.
struct KvNeeds {
  uint32_t rank = 0, rope = 0;  // 0: the graph has no attention
  uint32_t first_layer = 0, n_layers = 0;
};

struct Layout {
  Layout(Instance &parent, const Group *of) : instance(parent), group(of) {}
  Instance &instance;
  const Group *group;  // NULL: alone
  graph::Graph graph;
  graph::Graph arena_graph;  // the same without room for logits, which have a place of their own
  dsb_plan_options options{};
  std::vector<PlannedNode> nodes;
  std::vector<PlannedWeight> weights;
  KvNeeds kv;
  uint64_t numerics_id = 0;
  bool takes_hidden = false;
  uint32_t embed_rows = 0;  // 0: no embedding, tokens are not looked at
  uint32_t n_moe_layers = 0;

  static Result<Layout *> plan(Instance &instance, const Group *group, std::span<const uint8_t> bytes,
                               const dsb_plan_options &options);
  uint64_t logit_cols() const;
  uint64_t hidden_cols() const;
  uint32_t logit_rows(uint32_t rows) const { return rows < options.max_logit_rows ? rows : options.max_logit_rows; }
  uint64_t packed_bytes() const;
  Result<uint64_t> exec_bytes(uint32_t rows) const;
  uint64_t program_bytes() const;
};

// A loaded weight: a view of lasting sources, or memory of its own.
struct LoadedWeight {
  explicit LoadedWeight(const Layout &of, uint32_t which) : layout(of), index(which) {}
  const Layout &layout;
  uint32_t index;
  Weight weight;
  Memory memory;
};

struct LoadRequest {
  const dsb_weight_source *sources = nullptr;
  uint32_t n_sources = 0, source_stride = 0;
  const uint32_t *cancel_word = nullptr;
  dsb_progress progress = nullptr;
  void *progress_user = nullptr;
};
Result<LoadedWeight *> load_weight(const Layout &layout, Device &device, uint32_t index, const LoadRequest &request);
Result<LoadedWeight *> map_weight(const Layout &layout, uint32_t index, const uint8_t *data, uint64_t size);
uint64_t export_size(const LoadedWeight &weight);
void export_weight(const LoadedWeight &weight, uint8_t *out);  // [export_size]

struct Program {
  Program(Layout &of, Device &on) : layout(of), device(on) {}
  Layout &layout;
  Device &device;
  std::vector<const Weight *> weights;
  std::vector<std::vector<const Weight *>> node_weights;
  std::vector<std::shared_ptr<void>> node_states;
  std::vector<std::vector<uint32_t>> tables;  // [max_seqs][max_blocks_per_seq]; DSB_NONE: no block
  std::mutex adapters_mutex;
  std::vector<std::shared_ptr<const Adapter>> adapters;  // slot 0 stays empty

  static Result<Program *> compile(Layout &layout, Device &device, dsb_weight *const *weights, uint32_t n_weights);
  Status load_adapter(uint32_t slot, const dsb_adapter_desc &desc);
  Status unload_adapter(uint32_t slot);
};

struct SamplerObject {
  Device &device;
  Sampler sampler;
};

// What is stored at the front of a step's struct arrays, whatever stride they have.
template <class T>
T element(const T *first, uint32_t stride, uint64_t index) {
  T copy;
  __builtin_memcpy(&copy, reinterpret_cast<const uint8_t *>(first) + index * stride, sizeof copy);
  return copy;
}

// A struct of the host as far as it knows it; missing fields are zero. `first` is the first version's size.
template <class T>
Result<T> take_struct(const T *given, const char *what, size_t first = sizeof(T)) {
  if (!given) return fail(DS_E_ARGUMENT, "backend", "%s is NULL", what);
  uint32_t size;
  __builtin_memcpy(&size, given, sizeof size);
  if (size < first || size > 65536)
    return fail(DS_E_STRUCT, "backend", "%s.struct_size is %u, expected %zu to 65536", what, size, first);
  T copy{};
  __builtin_memcpy(&copy, given, size < sizeof(T) ? size : sizeof(T));
  copy.struct_size = sizeof(T);
  return copy;
}

}  // namespace deepseam::sdk
