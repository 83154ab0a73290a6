// verify(): whether a graph, whoever made it, is one that this library understands and can be run as it stands.
//
// Afterwards a reader may index tensors, multiply dims and follow inputs without further checks. The rules of single
// nodes are in shapes.cpp and rules.cpp.
#include <unordered_set>

#include "base/checked.h"
#include "graph/limits.h"
#include "graph/shapes.h"

namespace deepseam::graph {
namespace {

constexpr uint64_t kKnownFeatures = 0;  // no feature bit has a meaning yet

// Names go into messages, logs and reports.
bool is_name(const std::string &name) {
  if (name.empty() || name.size() > kMaxName) return false;
  for (char c : name)
    if (c < 0x21 || c > 0x7e) return false;
  return true;
}

class Verifier {
 public:
  explicit Verifier(const Graph &graph) : graph_(graph), made_by_(graph.tensors.size(), kAbsent) {}

  Status run() {
    DS_TRY(check_frame());
    for (uint32_t i = 0; i < graph_.tensors.size(); ++i) DS_TRY(check_tensor(i));
    for (uint32_t i = 0; i < graph_.nodes.size(); ++i) DS_TRY(check_one(i));
    for (uint32_t i = 0; i < graph_.tensors.size(); ++i)
      if (graph_.tensors[i].kind == TensorKind::kActivation && made_by_[i] == kAbsent)
        return fail(DS_E_FORMAT, "graph", "tensor %u (%s) is an activation that no node gives", i,
                    graph_.tensors[i].name.c_str());
    return check_results();
  }

 private:
  Status check_frame() const {
    if (!is_name(graph_.name))
      return fail(DS_E_FORMAT, "graph", "the graph's name must be 1 to %zu printable ASCII characters without spaces",
                  kMaxName);
    if (graph_.required_features & ~kKnownFeatures)
      return fail(DS_E_FORMAT, "graph", "graph %s requires features 0x%llx, which this library does not know",
                  graph_.name.c_str(), static_cast<unsigned long long>(graph_.required_features & ~kKnownFeatures));
    if (graph_.nodes.empty() || graph_.nodes.size() > kMaxNodes)
      return fail(DS_E_FORMAT, "graph", "graph %s has %zu nodes, expected 1 to %zu", graph_.name.c_str(),
                  graph_.nodes.size(), kMaxNodes);
    if (graph_.tensors.size() > kMaxTensors)
      return fail(DS_E_FORMAT, "graph", "graph %s has %zu tensors, expected at most %zu", graph_.name.c_str(),
                  graph_.tensors.size(), kMaxTensors);
    return {};
  }

  Status check_tensor(uint32_t index) {
    const Tensor &tensor = graph_.tensors[index];
    const bool weight = tensor.kind == TensorKind::kWeight;
    if (tensor.kind > TensorKind::kWeight)
      return fail(DS_E_FORMAT, "graph", "tensor %u is of kind %u, which this library does not know", index,
                  static_cast<unsigned>(tensor.kind));
    if (!is_name(tensor.name))
      return fail(DS_E_FORMAT, "graph",
                  "tensor %u: its name must be 1 to %zu printable ASCII characters without spaces", index, kMaxName);
    if (dtype_info(tensor.dtype).dtype == DType::kNone)
      return fail(DS_E_FORMAT, "graph", "tensor %u (%s) is of number format %u, which this library does not know",
                  index, tensor.name.c_str(), static_cast<unsigned>(tensor.dtype));
    if (compute_dtype(tensor.dtype) != tensor.dtype)
      return fail(DS_E_FORMAT, "graph", "tensor %u (%s) is of number format %s, which only files hold", index,
                  tensor.name.c_str(), dtype_info(tensor.dtype).name);
    const size_t dims = tensor.shape.size(), most = weight ? kMaxWeightDims : 2;
    if (dims < 1 || dims > most)
      return fail(DS_E_FORMAT, "graph", "tensor %u (%s) has %zu dimensions, expected 1 to %zu", index,
                  tensor.name.c_str(), dims, most);
    if (weight && !roles_.insert(tensor.name).second)
      return fail(DS_E_FORMAT, "graph", "tensor %u: role %s is there twice", index, tensor.name.c_str());
    return check_sizes(index, tensor, weight);
  }

  Status check_sizes(uint32_t index, const Tensor &tensor, bool weight) const {
    uint64_t elements = 1;
    for (size_t axis = 0; axis < tensor.shape.size(); ++axis) {
      const int64_t size = tensor.shape[axis];
      if (!weight && axis == 0 && (size == kRows || size == kGatheredRows)) continue;
      const auto product = checked_mul(elements, static_cast<uint64_t>(size));
      if (size < 1 || size > kMaxDim || !product || *product > kMaxElements)
        return fail(DS_E_FORMAT, "graph",
                    "tensor %u (%s) %s: dimension %zu is out of range (sizes 1 to 2^40, 2^48 elements)", index,
                    tensor.name.c_str(), shape_text(tensor.shape).c_str(), axis);
      elements = *product;
    }
    return {};
  }

  Status check_one(uint32_t index) {
    const Node &node = graph_.nodes[index];
    const OpInfo info = op_info(node.op);
    if (!is_name(node.name) || !names_.insert(node.name).second)
      return fail(DS_E_FORMAT, "graph",
                  "node %u: its name must be unique and 1 to %zu printable ASCII characters without spaces", index,
                  kMaxName);
    if (info.op == Op::kNone)
      return fail(DS_E_FORMAT, "graph", "node %s: op %u is not known to this library", node.name.c_str(),
                  static_cast<unsigned>(node.op));
    if (node.version < 1 || node.version > info.version)
      return fail(DS_E_FORMAT, "graph", "node %s (%s): op version %u, this library knows 1 to %u", node.name.c_str(),
                  info.name, node.version, info.version);
    if (node.required_features & ~kKnownFeatures)
      return fail(DS_E_FORMAT, "graph", "node %s (%s): requires features 0x%llx, which this library does not know",
                  node.name.c_str(), info.name,
                  static_cast<unsigned long long>(node.required_features & ~kKnownFeatures));
    DS_TRY(check_arity(node, info));
    DS_TRY(check_order(index, node, info));
    DS_TRY(check_node(node, graph_.tensors, true));
    return check_layers(node, info);
  }

  Status check_arity(const Node &node, const OpInfo &info) const {
    if (node.inputs.size() < info.least_inputs || node.inputs.size() > info.most_inputs)
      return fail(DS_E_FORMAT, "graph", "node %s (%s): %zu inputs, expected %u to %u", node.name.c_str(), info.name,
                  node.inputs.size(), info.least_inputs, info.most_inputs);
    if (node.outputs.size() != info.outputs)
      return fail(DS_E_FORMAT, "graph", "node %s (%s): %zu outputs, expected %u", node.name.c_str(), info.name,
                  node.outputs.size(), info.outputs);
    return {};
  }

  // Execution order: inputs were given before, outputs are given once.
  Status check_order(uint32_t index, const Node &node, const OpInfo &info) {
    const size_t n_tensors = graph_.tensors.size();
    for (uint32_t input : node.inputs) {
      if (input == kAbsent) continue;
      if (input >= n_tensors)
        return fail(DS_E_FORMAT, "graph", "node %s (%s): input tensor %u does not exist, there are %zu",
                    node.name.c_str(), info.name, input, n_tensors);
      if (graph_.tensors[input].kind == TensorKind::kActivation && made_by_[input] == kAbsent)
        return fail(DS_E_FORMAT, "graph", "node %s (%s): input tensor %u (%s) is not given by an earlier node",
                    node.name.c_str(), info.name, input, graph_.tensors[input].name.c_str());
    }
    for (uint32_t output : node.outputs) {
      if (output >= n_tensors)
        return fail(DS_E_FORMAT, "graph", "node %s (%s): output tensor %u does not exist, there are %zu",
                    node.name.c_str(), info.name, output, n_tensors);
      if (graph_.tensors[output].kind != TensorKind::kActivation || made_by_[output] != kAbsent)
        return fail(DS_E_FORMAT, "graph",
                    "node %s (%s): output tensor %u (%s) is a weight or already given by another node",
                    node.name.c_str(), info.name, output, graph_.tensors[output].name.c_str());
      made_by_[output] = index;
    }
    return {};
  }

  // Numbers that stand for a place outside the graph belong to one node; rows are gathered after the last attention.
  Status check_layers(const Node &node, const OpInfo &info) {
    const bool attends = node.op == Op::kMlaAttention;
    gathered_ = gathered_ || node.op == Op::kGatherRows;
    if (attends && gathered_)
      return fail(DS_E_FORMAT, "graph", "node %s (%s): comes after gather_rows, expected before", node.name.c_str(),
                  info.name);
    if (!attends && node.op != Op::kMoeRoute) return {};
    const Attr key = attends ? Attr::kKvLayer : Attr::kMoeLayer;
    if (!(attends ? kv_layers_ : moe_layers_).insert(node.get_int(key)).second)
      return fail(DS_E_FORMAT, "graph", "node %s (%s): attribute %s is %lld like that of another node",
                  node.name.c_str(), info.name, attr_info(key).name, static_cast<long long>(node.get_int(key)));
    return {};
  }

  Status check_results() const {
    if (graph_.hidden == kAbsent && graph_.logits == kAbsent)
      return fail(DS_E_FORMAT, "graph", "graph %s gives out neither hidden nor logits", graph_.name.c_str());
    DS_TRY(check_result("hidden", graph_.hidden));
    return check_result("logits", graph_.logits);
  }
  Status check_result(const char *what, uint32_t index) const {
    if (index == kAbsent) return {};
    if (index >= graph_.tensors.size())
      return fail(DS_E_FORMAT, "graph", "%s tensor %u does not exist, there are %zu", what, index,
                  graph_.tensors.size());
    const Tensor &tensor = graph_.tensors[index];
    if (tensor.kind != TensorKind::kActivation || tensor.dtype != DType::kF32 || tensor.shape.size() != 2 ||
        tensor.shape[0] != kGatheredRows)
      return fail(DS_E_FORMAT, "graph",
                  "%s tensor %u (%s) is %s%s, expected an activation of type f32 and gathered rows [To, ...]", what,
                  index, tensor.name.c_str(), dtype_info(tensor.dtype).name, shape_text(tensor.shape).c_str());
    return {};
  }

  const Graph &graph_;
  std::vector<uint32_t> made_by_;  // per tensor: the node that gives it
  std::unordered_set<std::string> roles_, names_;
  std::unordered_set<int64_t> kv_layers_, moe_layers_;
  bool gathered_ = false;
};

}  // namespace

Status verify(const Graph &graph) { return Verifier(graph).run(); }

}  // namespace deepseam::graph
