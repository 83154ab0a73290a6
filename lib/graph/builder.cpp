// GraphBuilder: each call is one node, checked by the same rules as a graph that arrives from elsewhere (shapes.h).
#include "graph/builder.h"

#include "graph/shapes.h"

namespace deepseam::graph {
namespace {

Attribute number(Attr key, int64_t value) { return {key, value, 0, {}}; }
Attribute number(Attr key, double value) { return {key, 0, value, {}}; }

// Numbers tensors in the order in which nodes mention them, and drops those that none does: the order in which a
// compiler evaluates the arguments of a call does not show.
void renumber(Graph *graph) {
  std::vector<uint32_t> index(graph->tensors.size(), kAbsent);
  std::vector<Tensor> tensors;
  const auto move = [&](uint32_t *tensor) {
    if (*tensor >= index.size()) return;
    if (index[*tensor] == kAbsent) {
      index[*tensor] = static_cast<uint32_t>(tensors.size());
      tensors.push_back(std::move(graph->tensors[*tensor]));
    }
    *tensor = index[*tensor];
  };
  for (Node &node : graph->nodes) {
    for (uint32_t &input : node.inputs) move(&input);
    for (uint32_t &output : node.outputs) move(&output);
  }
  move(&graph->hidden);
  move(&graph->logits);
  graph->tensors = std::move(tensors);
}

}  // namespace

GraphBuilder::GraphBuilder(std::string name) { graph_.name = std::move(name); }

Value GraphBuilder::weight(const std::string &role, DType dtype, std::vector<int64_t> shape) {
  const auto [entry, fresh] = roles_.try_emplace(role, static_cast<uint32_t>(graph_.tensors.size()));
  if (fresh) {
    graph_.tensors.push_back({role, TensorKind::kWeight, dtype, std::move(shape)});
    return {entry->second};
  }
  const Tensor &known = graph_.tensors[entry->second];
  if (failure_.ok() && (known.dtype != dtype || known.shape != shape))
    failure_ = fail(DS_E_FORMAT, "graph", "weight %s is asked for as %s%s, earlier as %s%s", role.c_str(),
                    dtype_info(dtype).name, shape_text(shape).c_str(), dtype_info(known.dtype).name,
                    shape_text(known.shape).c_str());
  return {entry->second};
}

Value GraphBuilder::embed(Value table) { return append_one(Op::kEmbed, scoped("embed"), {table}); }

Value GraphBuilder::input_hidden(int64_t hidden_size) {
  return append_one(Op::kInputHidden, scoped("input_hidden"), {}, {}, hidden_size);
}

Value GraphBuilder::rms_norm(Value x, Value weight, double eps) {
  return append_one(Op::kRmsNorm, role(weight, "norm"), {x, weight}, {number(Attr::kEps, eps)});
}

Value GraphBuilder::linear(Value x, Value weight, Value bias) {
  std::vector<Value> inputs = {x, weight};
  if (bias.id != kAbsent) inputs.push_back(bias);
  return append_one(Op::kLinear, role(weight, "linear"), inputs);
}

Value GraphBuilder::concat(Value a, Value b) { return append_one(Op::kConcat, scoped("concat"), {a, b}); }

Value GraphBuilder::mla_attention(Value q, Value kv_a, Value kv_a_norm, Value kv_b, const MlaOptions &options) {
  const MlaShape &shape = options.shape;
  Attribute inv_freq{Attr::kInvFreq, 0, 0, options.inv_freq};
  return append_one(
      Op::kMlaAttention, scoped("attn"), {q, kv_a, kv_a_norm, kv_b},
      {number(Attr::kEps, options.eps), number(Attr::kKvLayer, options.kv_layer),
       number(Attr::kNumHeads, shape.num_attention_heads), number(Attr::kQkNopeHeadDim, shape.qk_nope_head_dim),
       number(Attr::kQkRopeHeadDim, shape.qk_rope_head_dim), number(Attr::kVHeadDim, shape.v_head_dim),
       number(Attr::kKvLoraRank, shape.kv_lora_rank), number(Attr::kSoftmaxScale, options.softmax_scale),
       number(Attr::kRopeScale, options.rope_scale), std::move(inv_freq)});
}

Value GraphBuilder::swiglu(Value gate, Value up) { return append_one(Op::kSwiglu, scoped("swiglu"), {gate, up}); }

Routing GraphBuilder::moe_route(Value x, Value weight, Value bias, const RouteOptions &options) {
  std::vector<Value> inputs = {x, weight};
  if (bias.id != kAbsent) inputs.push_back(bias);
  const auto made = append(
      Op::kMoeRoute, role(weight, "router"), inputs,
      {number(Attr::kNumExperts, options.n_routed_experts), number(Attr::kExpertsPerTok, options.num_experts_per_tok),
       number(Attr::kScoringFunc, static_cast<int64_t>(options.scoring_func)),
       number(Attr::kGroupScore, static_cast<int64_t>(options.group_score)), number(Attr::kNumGroups, options.n_group),
       number(Attr::kTopkGroup, options.topk_group), number(Attr::kNormTopkProb, int64_t{options.norm_topk_prob}),
       number(Attr::kRoutedScaling, options.routed_scaling_factor), number(Attr::kMoeLayer, options.moe_layer)});
  if (made.size() != 2) return {};
  return {{made[0]}, {made[1]}};
}

Value GraphBuilder::moe_experts(Value x, const Routing &routing, const ExpertWeights &weights) {
  std::vector<Value> inputs = {x, routing.ids, routing.weights, weights.gate, weights.up, weights.down};
  const Value shared[] = {weights.shared_gate, weights.shared_up, weights.shared_down};
  if (shared[0].id != kAbsent || shared[1].id != kAbsent || shared[2].id != kAbsent)
    inputs.insert(inputs.end(), shared, shared + 3);
  return append_one(
      Op::kMoeExperts, scoped("experts"), inputs,
      {number(Attr::kNumExperts, weights.n_routed_experts), number(Attr::kExpertBegin, weights.expert_begin),
       number(Attr::kExpertCount, weights.expert_count)});
}

Value GraphBuilder::add(Value a, Value b) { return append_one(Op::kAdd, scoped("add"), {a, b}); }

Value GraphBuilder::gather_rows(Value x) { return append_one(Op::kGatherRows, scoped("gather_rows"), {x}); }

Value GraphBuilder::lm_head(Value x, Value weight, int64_t n_vocab) {
  return append_one(Op::kLmHead, scoped("logits"), {x, weight}, {number(Attr::kNumVocab, n_vocab)});
}

std::vector<uint32_t> GraphBuilder::append(Op op, const std::string &name, const std::vector<Value> &inputs,
                                           std::vector<Attribute> attributes, int64_t columns) {
  if (!failure_.ok()) return {};
  Node node;
  node.op = op;
  node.version = op_info(op).version;
  node.name = unique(name);
  for (Value input : inputs) node.inputs.push_back(input.id);
  for (uint32_t input : node.inputs)
    if (input != kAbsent && input >= graph_.tensors.size())
      failure_ = fail(DS_E_FORMAT, "graph", "node %s: input tensor %u is not of this graph", node.name.c_str(), input);
  node.attributes = std::move(attributes);
  if (failure_.ok()) failure_ = check_node(node, graph_.tensors, false);
  if (!failure_.ok()) return {};
  auto outputs = infer_outputs(node, graph_.tensors, columns);
  if (!outputs.ok()) {
    failure_ = std::move(outputs).status();
    return {};
  }
  for (Tensor &tensor : outputs.value()) {
    node.outputs.push_back(static_cast<uint32_t>(graph_.tensors.size()));
    graph_.tensors.push_back(std::move(tensor));
  }
  graph_.nodes.push_back(std::move(node));
  return graph_.nodes.back().outputs;
}

Value GraphBuilder::append_one(Op op, const std::string &name, const std::vector<Value> &inputs,
                               std::vector<Attribute> attributes, int64_t columns) {
  const auto made = append(op, name, inputs, std::move(attributes), columns);
  return made.empty() ? Value{} : Value{made[0]};
}

std::string GraphBuilder::scoped(const char *name) const { return scope_.empty() ? name : scope_ + "." + name; }

std::string GraphBuilder::role(Value weight, const char *otherwise) const {
  return weight.id < graph_.tensors.size() ? graph_.tensors[weight.id].name : scoped(otherwise);
}

std::string GraphBuilder::unique(const std::string &name) {
  const uint32_t uses = ++names_[name];
  return uses == 1 ? name : unique(name + "." + std::to_string(uses));
}

Result<Graph> GraphBuilder::finish() {
  Graph graph = std::exchange(graph_, {});
  roles_.clear();
  names_.clear();
  DS_TRY(std::exchange(failure_, {}));
  renumber(&graph);
  DS_TRY(verify(graph));
  return graph;
}

}  // namespace deepseam::graph
