// Low-rank adapters in slots, and compiling, which gives a program its weights and its slots.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "sdk/objects.h"

namespace deepseam::sdk {
namespace {

using graph::Op;

Status refuse(const graph::Tensor &tensor, const char *why) {
  return fail(DS_E_UNSUPPORTED, "backend", "adapter: weight %s %s", tensor.name.c_str(), why);
}

// Deltas act where a weight multiplies; a lookup or a norm has no place for one.
Status check_use(const graph::Graph &graph, uint32_t index) {
  const graph::Tensor &tensor = graph.tensors[index];
  bool used = false;
  for (const graph::Node &node : graph.nodes) {
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      if (node.inputs[i] != index) continue;
      used = true;
      const bool multiplies = (node.op == Op::kLinear && i == 1) || (node.op == Op::kLmHead && i == 1) ||
                              (node.op == Op::kMoeRoute && i == 1) || (node.op == Op::kMlaAttention && i == 3) ||
                              (node.op == Op::kMoeExperts && i >= 3);
      if (!multiplies) return refuse(tensor, "is also looked up or a norm or a bias, which takes no low-rank delta");
    }
  }
  return used ? Status() : refuse(tensor, "is used by no node");
}

Status check_finite(const graph::Tensor &tensor, const float *values, uint64_t n, const char *name) {
  for (uint64_t i = 0; i < n; ++i)
    if (!std::isfinite(values[i]))
      return fail(DS_E_ARGUMENT, "backend", "adapter: weight %s: value %llu of %s is %g, expected a finite number",
                  tensor.name.c_str(), static_cast<unsigned long long>(i), name, static_cast<double>(values[i]));
  return {};
}

Result<Lora> take_lora(const Layout &layout, const dsb_lora &given) {
  const graph::Graph &graph = layout.graph;
  if (given.tensor >= graph.tensors.size() || graph.tensors[given.tensor].kind != graph::TensorKind::kWeight)
    return fail(DS_E_ARGUMENT, "backend", "adapter: tensor %u is not a weight of graph %s", given.tensor,
                graph.name.c_str());
  const graph::Tensor &tensor = graph.tensors[given.tensor];
  DS_TRY(check_use(graph, given.tensor));
  const bool stacked = tensor.shape.size() == 3;
  if (stacked ? given.expert >= static_cast<uint64_t>(tensor.shape[0]) : given.expert != DSB_NONE)
    return fail(DS_E_ARGUMENT, "backend", "adapter: weight %s: expert %u, expected %s", tensor.name.c_str(),
                given.expert, stacked ? "one of the weight's experts" : "none");
  if (given.rank < 1 || given.rank > layout.options.max_lora_rank)
    return fail(DS_E_ARGUMENT, "backend", "adapter: weight %s: rank %u, expected 1 to max_lora_rank = %u",
                tensor.name.c_str(), given.rank, layout.options.max_lora_rank);
  if (!given.a || !given.b || !std::isfinite(given.scale))
    return fail(DS_E_ARGUMENT, "backend", "adapter: weight %s: a, b and a finite scale are needed",
                tensor.name.c_str());
  Lora lora;
  lora.tensor = given.tensor;
  lora.expert = given.expert;
  lora.rank = given.rank;
  lora.scale = given.scale;
  lora.in = static_cast<uint64_t>(tensor.shape.back());
  lora.out = static_cast<uint64_t>(tensor.shape[tensor.shape.size() - 2]);
  DS_TRY(check_finite(tensor, given.a, lora.in * lora.rank, "a"));
  DS_TRY(check_finite(tensor, given.b, lora.out * lora.rank, "b"));
  lora.a.assign(given.a, given.a + lora.in * lora.rank);
  lora.b.assign(given.b, given.b + lora.out * lora.rank);
  return lora;
}

bool before(const Lora &a, const Lora &b) { return a.tensor != b.tensor ? a.tensor < b.tensor : a.expert < b.expert; }

Status check_slot(const Layout &layout, uint32_t slot) {
  if (slot >= 1 && slot <= layout.options.max_adapters) return {};
  return fail(DS_E_ARGUMENT, "backend", "adapter slot %u, expected 1 to max_adapters = %u", slot,
              layout.options.max_adapters);
}

Status take_weights(Program &program, dsb_weight *const *weights) {
  const Layout &layout = program.layout;
  for (uint32_t i = 0; i < layout.weights.size(); ++i) {
    const auto *weight = reinterpret_cast<const LoadedWeight *>(weights[i]);
    if (!weight || weight->index != i || weight->weight.form != layout.weights[i].use.form)
      return fail(DS_E_ARGUMENT, "backend", "compile: weight %u is missing or another one", i);
    program.weights.push_back(&weight->weight);
  }
  for (const PlannedNode &node : layout.nodes) {
    program.node_weights.emplace_back();
    for (uint32_t index : node.weights) program.node_weights.back().push_back(program.weights[index]);
  }
  return {};
}

}  // namespace

const Lora *Adapter::find(uint32_t tensor, uint32_t expert) const {
  Lora key;
  key.tensor = tensor;
  key.expert = expert;
  const auto found = std::lower_bound(loras.begin(), loras.end(), key, before);
  return found != loras.end() && found->tensor == tensor && found->expert == expert ? &*found : nullptr;
}

Result<Program *> Program::compile(Layout &layout, Device &device, dsb_weight *const *weights, uint32_t n_weights) {
  for (const PlannedNode &node : layout.nodes)
    if (!node.kernel && !node.plan.node.outputs.empty())
      return fail(DS_E_UNSUPPORTED, "backend", "node %s (%s): %s", node.plan.node.name.c_str(),
                  graph::op_info(node.plan.node.op).name, node.verdict.c_str());
  if (n_weights != layout.weights.size() || (n_weights && !weights))
    return fail(DS_E_ARGUMENT, "backend", "compile: %u weights, expected %zu", n_weights, layout.weights.size());
  std::unique_ptr<Program> program(new Program(layout, device));
  DS_TRY(take_weights(*program, weights));
  for (size_t i = 0; i < layout.nodes.size(); ++i) {
    const PlannedNode &node = layout.nodes[i];
    program->node_states.emplace_back();
    if (!node.kernel || !node.kernel->prepare) continue;
    DS_TRY_VALUE(program->node_states.back(), node.kernel->prepare(node.plan, program->node_weights[i]));
  }
  program->tables.assign(layout.options.max_seqs, std::vector<uint32_t>(layout.options.max_blocks_per_seq, DSB_NONE));
  program->adapters.resize(size_t{layout.options.max_adapters} + 1);
  return program.release();
}

Status Program::load_adapter(uint32_t slot, const dsb_adapter_desc &desc) {
  DS_TRY(check_slot(layout, slot));
  if (desc.n_loras && (!desc.loras || desc.lora_stride < sizeof(dsb_lora)))
    return fail(DS_E_ARGUMENT, "backend", "adapter: %u deltas with a stride of %u bytes, expected at least %zu",
                desc.n_loras, desc.lora_stride, sizeof(dsb_lora));
  auto adapter = std::make_shared<Adapter>();
  for (uint32_t i = 0; i < desc.n_loras; ++i) {
    DS_TRY_VALUE(Lora lora, take_lora(layout, element(desc.loras, desc.lora_stride, i)));
    adapter->loras.push_back(std::move(lora));
  }
  std::sort(adapter->loras.begin(), adapter->loras.end(), before);
  for (size_t i = 1; i < adapter->loras.size(); ++i)
    if (!before(adapter->loras[i - 1], adapter->loras[i]))
      return fail(DS_E_ARGUMENT, "backend", "adapter: weight %s has two deltas",
                  layout.graph.tensors[adapter->loras[i].tensor].name.c_str());
  const std::lock_guard lock(adapters_mutex);
  adapters[slot] = std::move(adapter);
  return {};
}

Status Program::unload_adapter(uint32_t slot) {
  DS_TRY(check_slot(layout, slot));
  const std::lock_guard lock(adapters_mutex);
  adapters[slot].reset();
  return {};
}

}  // namespace deepseam::sdk
