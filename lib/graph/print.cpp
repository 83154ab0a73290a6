// print(): a graph as text, one line a node with the shapes of what goes in and comes out.
#include "graph/shapes.h"

namespace deepseam::graph {
namespace {

std::string typed(const Tensor &tensor) { return dtype_info(tensor.dtype).name + shape_text(tensor.shape); }

// Weights by role and type, activations by number. Safe for graphs that have not been verified.
std::string input_text(const Graph &graph, uint32_t index) {
  if (index == kAbsent) return "-";
  if (index >= graph.tensors.size()) return "?" + std::to_string(index);
  const Tensor &tensor = graph.tensors[index];
  if (tensor.kind == TensorKind::kWeight) return tensor.name + " " + typed(tensor);
  return "%" + std::to_string(index);
}

std::string output_text(const Graph &graph, uint32_t index) {
  if (index >= graph.tensors.size()) return "?" + std::to_string(index);
  return "%" + std::to_string(index) + " " + typed(graph.tensors[index]);
}

std::string value_text(const Attribute &attribute) {
  const AttrInfo info = attr_info(attribute.key);
  if (info.kind == AttrKind::kInt) return std::to_string(attribute.i);
  if (info.kind == AttrKind::kFloat) return number_text(attribute.f);
  const std::string first = attribute.list.empty() ? "" : number_text(attribute.list.front());
  if (attribute.list.size() < 2) return "[" + first + "]";
  return "[" + first + " .. " + number_text(attribute.list.back()) + "; " + std::to_string(attribute.list.size()) + "]";
}

std::string node_text(const Graph &graph, const Node &node) {
  std::string line;
  for (uint32_t output : node.outputs) line += (line.empty() ? "" : ", ") + output_text(graph, output);
  line += std::string(line.empty() ? "" : " = ") + op_info(node.op).name;
  for (size_t i = 0; i < node.inputs.size(); ++i) line += (i ? ", " : " ") + input_text(graph, node.inputs[i]);
  for (size_t i = 0; i < node.attributes.size(); ++i)
    line +=
        (i ? ", " : " {") + std::string(attr_info(node.attributes[i].key).name) + " " + value_text(node.attributes[i]);
  if (!node.attributes.empty()) line += "}";
  return node.name + ": " + line + "\n";
}

}  // namespace

std::string print(const Graph &graph) {
  std::string text = "graph " + graph.name + "\n";
  for (const Node &node : graph.nodes) text += node_text(graph, node);
  if (graph.hidden != kAbsent) text += "hidden " + output_text(graph, graph.hidden) + "\n";
  if (graph.logits != kAbsent) text += "logits " + output_text(graph, graph.logits) + "\n";
  return text;
}

}  // namespace deepseam::graph
