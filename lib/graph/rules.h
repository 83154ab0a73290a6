// What a node's attributes and shapes must fulfil beyond the table of op.def. Internal to lib/graph.
#pragma once

#include <string>
#include <vector>

#include "graph/graph.h"

namespace deepseam::graph {

// What is wrong with a node whose attributes are in range and whose inputs have the right shapes; empty if nothing is.
std::string broken_rule(const Node &node, const std::vector<Tensor> &tensors);

}  // namespace deepseam::graph
