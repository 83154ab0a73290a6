// The shape and number format rules of op.def, interpreted: one matcher serves the builder, which asks what a node
// gives, and the verifier, which asks whether a node's tensors fit. Internal to lib/graph.
//
// Rules hold for one node at a time; what concerns the graph as a whole is verify.cpp's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace deepseam::graph {

// One input or output of a rule: "bias plain[Out]?".
struct Slot {
  std::string_view name;
  std::string_view format;  // f32, i32: activations; plain, stored: weights
  std::vector<std::string_view> dims;
  bool optional = false;
};
struct Rule {
  std::vector<Slot> inputs, outputs;
};
Rule op_rule(Op op);  // empty for an unknown op

// An attribute that nodes of an op have, and its range.
struct AttrUse {
  Attr attr = Attr::kNone;
  double least = 0, most = 0;
};
std::vector<AttrUse> op_attrs(Op op);  // of every node of the op

// A node and what its indices mean: the graph's tensors. Inputs and outputs point into `tensors`, checked by the
// caller. Checks attributes, then inputs; with `outputs` those of the node too.
Status check_node(const Node &node, const std::vector<Tensor> &tensors, bool outputs);

// The outputs that a node with these inputs gives. `columns` stands for a size that the inputs do not tell
// (input_hidden, foreign). The node has passed check_node(…, false).
Result<std::vector<Tensor>> infer_outputs(const Node &node, const std::vector<Tensor> &tensors, int64_t columns);

// "[T, 2048]"
std::string shape_text(const std::vector<int64_t> &shape);
std::string number_text(double value);  // shortest form, the same in every locale

}  // namespace deepseam::graph
