// Cutting a graph into runs of nodes by device, and a run as a graph of its own.
#include <algorithm>

#include "graph/plan.h"

namespace deepseam::graph {
namespace {

// Sorted, each once.
void tidy(std::vector<uint32_t> *list) {
  std::sort(list->begin(), list->end());
  list->erase(std::unique(list->begin(), list->end()), list->end());
}

// Copies nodes into a new graph, with the tensors that they touch.
class Extract {
 public:
  Extract(const Graph &from, std::string name) : from_(from), index_(from.tensors.size(), kAbsent) {
    graph_.name = std::move(name);
    graph_.required_features = from.required_features;
  }

  uint32_t tensor(uint32_t index) {
    if (index == kAbsent) return kAbsent;
    if (index_[index] == kAbsent) {
      index_[index] = static_cast<uint32_t>(graph_.tensors.size());
      graph_.tensors.push_back(from_.tensors[index]);
    }
    return index_[index];
  }

  void node(const Node &from) {
    Node node = from;
    for (uint32_t &input : node.inputs) input = tensor(input);
    for (uint32_t &output : node.outputs) output = tensor(output);
    graph_.nodes.push_back(std::move(node));
  }

  void add(Op op, const char *name, std::vector<uint32_t> inputs, uint32_t output) {
    Node node;
    node.op = op;
    node.version = op_info(op).version;
    node.name = name;
    node.inputs = std::move(inputs);
    node.outputs = {output};
    graph_.nodes.push_back(std::move(node));
  }

  Graph &graph() { return graph_; }
  bool has(uint32_t index) const { return index < index_.size() && index_[index] != kAbsent; }

 private:
  const Graph &from_;
  std::vector<uint32_t> index_;  // per tensor of from_: its index here
  Graph graph_;
};

bool is_stream(const Tensor &tensor) {
  return tensor.dtype == DType::kF32 && tensor.shape.size() == 2 && tensor.shape[0] == kRows;
}

Status check_cut(const Graph &graph, const Segment &segment, const std::vector<uint32_t> &crossing, const char *way) {
  if (crossing.size() > 1)
    return fail(DS_E_UNSUPPORTED, "graph", "%zu activations %s the segment at node %s, expected one", crossing.size(),
                way, graph.nodes[segment.first_node].name.c_str());
  for (uint32_t index : crossing)
    if (!is_stream(graph.tensors[index]))
      return fail(DS_E_UNSUPPORTED, "graph", "activation %s %s the segment at node %s, expected one of f32 [T, ...]",
                  graph.tensors[index].name.c_str(), way, graph.nodes[segment.first_node].name.c_str());
  return {};
}

}  // namespace

Result<std::vector<Segment>> segments(const Graph &graph, std::span<const uint32_t> placement) {
  if (!placement.empty() && placement.size() != graph.nodes.size())
    return fail(DS_E_ARGUMENT, "graph", "%zu devices for the nodes of graph %s, expected %zu or none", placement.size(),
                graph.name.c_str(), graph.nodes.size());
  std::vector<Segment> found;
  std::vector<uint32_t> made_in(graph.tensors.size(), kAbsent);  // segment
  for (uint32_t i = 0; i < graph.nodes.size(); ++i) {
    const uint32_t device = placement.empty() ? 0 : placement[i];
    if (found.empty() || found.back().device != device) found.push_back({device, i, 0, {}, {}});
    ++found.back().n_nodes;
    const uint32_t here = static_cast<uint32_t>(found.size()) - 1;
    for (uint32_t input : graph.nodes[i].inputs) {
      if (input == kAbsent || made_in[input] == kAbsent || made_in[input] == here) continue;
      found[here].inputs.push_back(input);
      found[made_in[input]].outputs.push_back(input);
    }
    for (uint32_t output : graph.nodes[i].outputs) made_in[output] = here;
  }
  for (uint32_t result : {graph.hidden, graph.logits})
    if (result != kAbsent && made_in[result] != kAbsent) found[made_in[result]].outputs.push_back(result);
  for (Segment &segment : found) tidy(&segment.inputs), tidy(&segment.outputs);
  return found;
}

Result<Graph> subgraph(const Graph &graph, const Segment &segment) {
  if (segment.n_nodes < 1 || segment.first_node > graph.nodes.size() ||
      segment.n_nodes > graph.nodes.size() - segment.first_node)
    return fail(DS_E_ARGUMENT, "graph", "a segment of %u nodes from %u, expected within the %zu of graph %s",
                segment.n_nodes, segment.first_node, graph.nodes.size(), graph.name.c_str());
  std::vector<uint32_t> passed_on;
  for (uint32_t output : segment.outputs)
    if (output != graph.hidden && output != graph.logits) passed_on.push_back(output);
  DS_TRY(check_cut(graph, segment, segment.inputs, "come into"));
  DS_TRY(check_cut(graph, segment, passed_on, "leave"));

  Extract part(graph, graph.name + "." + std::to_string(segment.first_node));
  if (!segment.inputs.empty()) part.add(Op::kInputHidden, "segment_input", {}, part.tensor(segment.inputs[0]));
  for (uint32_t i = 0; i < segment.n_nodes; ++i) part.node(graph.nodes[segment.first_node + i]);
  if (part.has(graph.hidden)) part.graph().hidden = part.tensor(graph.hidden);
  if (part.has(graph.logits)) part.graph().logits = part.tensor(graph.logits);
  if (!passed_on.empty()) {
    if (part.graph().hidden != kAbsent)
      return fail(DS_E_UNSUPPORTED, "graph", "the segment at node %s gives out hidden and passes another activation on",
                  graph.nodes[segment.first_node].name.c_str());
    Tensor gathered = graph.tensors[passed_on[0]];
    gathered.name = "segment_output";
    gathered.shape[0] = kGatheredRows;
    part.graph().hidden = static_cast<uint32_t>(part.graph().tensors.size());
    part.graph().tensors.push_back(std::move(gathered));
    part.add(Op::kGatherRows, "segment_output", {part.tensor(passed_on[0])}, part.graph().hidden);
  }
  DS_TRY(verify(part.graph()));
  return std::move(part.graph());
}

}  // namespace deepseam::graph
