// plan_graph: which kernel runs which node, how weights are held, and how much memory all of it takes.
#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "sdk/objects.h"

namespace deepseam::sdk {
namespace {

using graph::Attr;
using graph::Op;

// FNV-1a over whatever may change an output bit.
class Digest {
 public:
  void add(const char *text) {
    for (; *text; ++text) byte(static_cast<uint8_t>(*text));
    byte(0);
  }
  void add(uint64_t number) {
    for (int i = 0; i < 64; i += 8) byte(static_cast<uint8_t>(number >> i));
  }
  uint64_t value() const { return hash_; }

 private:
  void byte(uint8_t value) { hash_ = (hash_ ^ value) * 0x100000001b3u; }
  uint64_t hash_ = 0xcbf29ce484222325u;
};

struct Limit {
  const char *field;
  uint32_t found, least, most;
};

Status check_options(const Backend &backend, const dsb_plan_options &options) {
  const Limit limits[] = {
      {"max_rows", options.max_rows, 1, 1u << 20},
      {"max_seqs", options.max_seqs, 1, 1u << 16},
      {"max_blocks_per_seq", options.max_blocks_per_seq, 1, 1u << 24},
      {"max_logit_rows", options.max_logit_rows, 0, 1u << 20},
      {"max_adapters", options.max_adapters, 0, 1u << 12},
      {"max_lora_rank", options.max_lora_rank, 0, 1u << 12},
      {"kv_format", options.kv_format, DSB_KV_F32, DSB_KV_Q8X64_BF16},
      {"block_tokens", options.block_tokens, 1, 1u << 16},
      {"act_type", options.act_type, DSB_ACT_NATIVE, DSB_ACT_FP8X128},
  };
  for (const Limit &limit : limits)
    if (limit.found < limit.least || limit.found > limit.most)
      return fail(DS_E_ARGUMENT, "backend", "plan options: %s is %u, expected %u to %u", limit.field, limit.found,
                  limit.least, limit.most);
  if (options.flags & ~DSB_PLAN_DETERMINISTIC)
    return fail(DS_E_UNSUPPORTED, "backend", "plan options: flags 0x%x are not known to backend %s", options.flags,
                backend.name);
  if (uint64_t{options.max_blocks_per_seq} * options.block_tokens > UINT32_MAX)
    return fail(DS_E_ARGUMENT, "backend", "plan options: %u blocks of %u rows are more than 2^32 rows per sequence",
                options.max_blocks_per_seq, options.block_tokens);
  if (!(backend.act_types >> options.act_type & 1))
    return fail(DS_E_UNSUPPORTED, "backend", "plan options: backend %s does not offer act_type %u", backend.name,
                options.act_type);
  return {};
}

bool is_entry(Op op) { return op == Op::kSample || op == Op::kAccept; }

std::vector<WeightUse> weight_uses(const Kernel &kernel, const PlanNode &plan) {
  if (kernel.weights) return kernel.weights(plan);
  std::vector<WeightUse> uses;
  for (size_t i = 0; i < plan.node.inputs.size(); ++i) {
    if (!plan.has_input(i) || plan.input(i).kind != graph::TensorKind::kWeight) continue;
    WeightUse use;
    use.slices.push_back({plan.node.inputs[i], DSB_NONE, 0, 0});
    uses.push_back(std::move(use));
  }
  return uses;
}

bool same(const WeightUse &a, const WeightUse &b) {
  if (a.form != b.form || a.slices.size() != b.slices.size()) return false;
  for (size_t i = 0; i < a.slices.size(); ++i)
    if (std::memcmp(&a.slices[i], &b.slices[i], sizeof(dsb_weight_slice)) != 0) return false;
  return true;
}

uint32_t layout_id(const Instance &instance, const Kernel &kernel, const WeightUse &use) {
  if (use.form == kAsStored) return 1;
  Digest digest;
  digest.add(kernel.name);
  digest.add(uint64_t{use.form});
  digest.add(uint64_t{instance.backend.packing});
  digest.add(instance.arch);
  return static_cast<uint32_t>(digest.value() >> 32) | 2;
}

void choose_kernel(Layout &layout, PlannedNode &planned) {
  const graph::Node &node = planned.plan.node;
  if (is_entry(node.op)) {
    planned.verdict = "an entry of every program";
    return;
  }
  planned.verdict = std::string("backend ") + layout.instance.backend.name + " has no kernel for it";
  for (const Kernel &kernel : layout.instance.backend.kernels) {
    if (kernel.op != node.op) continue;
    const Status accepted = kernel.accepts ? kernel.accepts(planned.plan) : Status();
    if (!accepted.ok()) {
      planned.verdict = std::string(kernel.name) + ": " + accepted.message();
      continue;
    }
    planned.kernel = &kernel;
    planned.verdict = kernel.name;
    return;
  }
}

void plan_weights(Layout &layout, uint32_t index) {
  PlannedNode &planned = layout.nodes[index];
  for (WeightUse &use : weight_uses(*planned.kernel, planned.plan)) {
    const auto known = std::find_if(layout.weights.begin(), layout.weights.end(), [&](const PlannedWeight &other) {
      return same(other.use, use) && (use.form == kAsStored || layout.nodes[other.node].kernel == planned.kernel);
    });
    planned.weights.push_back(static_cast<uint32_t>(known - layout.weights.begin()));
    if (known != layout.weights.end()) continue;
    const uint32_t id = layout_id(layout.instance, *planned.kernel, use);
    layout.weights.push_back({std::move(use), index, id});
  }
}

// What the frame itself needs to know of a node.
Status note_node(Layout &layout, const PlanNode &plan) {
  const graph::Node &node = plan.node;
  if (node.op == Op::kInputHidden) layout.takes_hidden = true;
  if (node.op == Op::kEmbed) {
    const uint32_t rows = static_cast<uint32_t>(std::min<int64_t>(plan.input(0).shape[0], UINT32_MAX));
    layout.embed_rows = layout.embed_rows ? std::min(layout.embed_rows, rows) : rows;
  }
  if (node.op == Op::kMoeRoute)
    layout.n_moe_layers = std::max(layout.n_moe_layers, static_cast<uint32_t>(node.get_int(Attr::kMoeLayer)) + 1);
  if (node.op != Op::kMlaAttention) return {};
  KvNeeds &kv = layout.kv;
  const uint32_t layer = static_cast<uint32_t>(node.get_int(Attr::kKvLayer));
  const uint32_t rank = static_cast<uint32_t>(node.get_int(Attr::kKvLoraRank));
  const uint32_t rope = static_cast<uint32_t>(node.get_int(Attr::kQkRopeHeadDim));
  if (!kv.rank) {
    kv = {rank, rope, layer, 1};
    return {};
  }
  if (kv.rank != rank || kv.rope != rope)
    return fail(DS_E_UNSUPPORTED, "backend", "node %s stores KV rows of %u + %u values, an earlier node %u + %u",
                node.name.c_str(), rank, rope, kv.rank, kv.rope);
  const uint32_t end = std::max(kv.first_layer + kv.n_layers, layer + 1);
  kv.first_layer = std::min(kv.first_layer, layer);
  kv.n_layers = end - kv.first_layer;
  return {};
}

uint64_t numerics_of(const Layout &layout) {
  Digest digest;
  const Backend &backend = layout.instance.backend;
  digest.add(backend.name);
  digest.add(uint64_t{backend.numerics});
  digest.add(layout.instance.arch);
  if (!(layout.options.flags & DSB_PLAN_DETERMINISTIC)) digest.add(layout.instance.library.c_str());
  digest.add(uint64_t{layout.options.kv_format});
  digest.add(uint64_t{layout.options.act_type});
  digest.add(uint64_t{layout.options.flags & DSB_PLAN_DETERMINISTIC});
  digest.add(uint64_t{layout.group ? layout.group->desc.world : 1});
  for (const PlannedNode &node : layout.nodes) {
    digest.add(node.kernel ? node.kernel->name : "");
    for (uint32_t input : node.plan.node.inputs)
      if (input != graph::kAbsent) digest.add(uint64_t(layout.graph.tensors[input].dtype));
  }
  return digest.value();
}

}  // namespace

Result<Layout *> Layout::plan(Instance &instance, const Group *group, std::span<const uint8_t> bytes,
                              const dsb_plan_options &options) {
  DS_TRY(check_options(instance.backend, options));
  std::unique_ptr<Layout> layout(new Layout(instance, group));
  DS_TRY_VALUE(layout->graph, graph::parse(bytes));
  layout->options = options;
  layout->nodes.reserve(layout->graph.nodes.size());
  for (const graph::Node &node : layout->graph.nodes) {
    layout->nodes.push_back({PlanNode{layout->graph, node, layout->options, instance.target}, nullptr, {}, {}});
    choose_kernel(*layout, layout->nodes.back());
    DS_TRY(note_node(*layout, layout->nodes.back().plan));
    if (layout->nodes.back().kernel) plan_weights(*layout, static_cast<uint32_t>(layout->nodes.size() - 1));
  }
  layout->arena_graph = layout->graph;
  if (layout->graph.logits != graph::kAbsent) layout->arena_graph.tensors[layout->graph.logits].shape = {1, 1};
  layout->numerics_id = numerics_of(*layout);
  return layout.release();
}

uint64_t Layout::logit_cols() const {
  return graph.logits == graph::kAbsent ? 0 : static_cast<uint64_t>(graph.tensors[graph.logits].shape[1]);
}

uint64_t Layout::hidden_cols() const {
  return graph.hidden == graph::kAbsent ? 0 : static_cast<uint64_t>(graph.tensors[graph.hidden].shape[1]);
}

uint64_t Layout::packed_bytes() const {
  uint64_t bytes = 0;
  for (const PlannedWeight &weight : weights) bytes += weight.use.form == kAsStored ? 0 : weight.use.bytes;
  return bytes;
}

Result<uint64_t> Layout::exec_bytes(uint32_t rows) const {
  DS_TRY_VALUE(const graph::Arena arena, graph::plan_arena(arena_graph, rows, rows));
  uint64_t scratch = 0;
  for (const PlannedNode &node : nodes)
    if (node.kernel && node.kernel->scratch) scratch = std::max(scratch, node.kernel->scratch(node.plan, rows));
  const auto logits = checked_mul(logit_cols() * sizeof(float), logit_rows(rows));
  const auto places = logits ? checked_align(*logits, 64) : std::nullopt;
  const auto sum = places ? checked_add(arena.bytes, *places) : std::nullopt;
  const auto all = sum ? checked_add(*sum, scratch) : std::nullopt;
  if (!all)
    return fail(DS_E_MEMORY, "backend", "scratch for %u rows of graph %s is more than 2^64 bytes", rows,
                graph.name.c_str());
  return *all;
}

uint64_t Layout::program_bytes() const {
  return uint64_t{options.max_seqs} * options.max_blocks_per_seq * sizeof(uint32_t) +
         nodes.size() * sizeof(PlannedNode);
}

}  // namespace deepseam::sdk
