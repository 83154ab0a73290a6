// The FlatBuffers form of a graph. What arrives is checked as a FlatBuffer, against limits.h, then as a graph.
//
// FlatBuffers lets entries share bytes, so a small buffer can claim a huge graph: parse() refuses one that claims more
// than it holds. Attributes with keys that are not known here are dropped: by the rule of graph.fbs they do not change
// a result of the op version and features that the node states.
#include <cstring>

#include "graph/limits.h"
#include "graph/shapes.h"
#include "graph_generated.h"

namespace deepseam::graph {
namespace {

constexpr uint32_t kSchemaVersion = 1;

flatbuffers::Offset<fb::Attribute> put(flatbuffers::FlatBufferBuilder *out, const Attribute &attribute) {
  const auto list = attribute.list.empty() ? 0 : out->CreateVector(attribute.list);
  return fb::CreateAttribute(*out, static_cast<uint32_t>(attribute.key), attribute.i, attribute.f, list);
}

flatbuffers::Offset<fb::Node> put(flatbuffers::FlatBufferBuilder *out, const Node &node) {
  std::vector<flatbuffers::Offset<fb::Attribute>> attributes;
  for (const Attribute &attribute : node.attributes) attributes.push_back(put(out, attribute));
  const auto name = out->CreateString(node.name);
  const auto inputs = out->CreateVector(node.inputs), outputs = out->CreateVector(node.outputs);
  const auto all = out->CreateVector(attributes);
  return fb::CreateNode(*out, static_cast<uint32_t>(node.op), node.version, node.required_features, name, inputs,
                        outputs, all);
}

flatbuffers::Offset<fb::Tensor> put(flatbuffers::FlatBufferBuilder *out, const Tensor &tensor) {
  const auto name = out->CreateString(tensor.name);
  const auto shape = out->CreateVector(tensor.shape);
  return fb::CreateTensor(*out, name, static_cast<fb::TensorKind>(tensor.kind), static_cast<uint32_t>(tensor.dtype),
                          shape);
}

// Reads a verified FlatBuffer, counting what it claims against the bytes there are.
class Reader {
 public:
  explicit Reader(size_t bytes) : budget_(bytes) {}

  Status read(const fb::Graph &from, Graph *graph) {
    if (from.version() != kSchemaVersion)
      return fail(DS_E_FORMAT, "graph", "graph schema version %u, this library knows %u", from.version(),
                  kSchemaVersion);
    const size_t nodes = from.nodes() ? from.nodes()->size() : 0, tensors = from.tensors() ? from.tensors()->size() : 0;
    if (nodes > kMaxNodes || tensors > kMaxTensors)
      return fail(DS_E_FORMAT, "graph", "%zu nodes and %zu tensors, expected at most %zu and %zu", nodes, tensors,
                  kMaxNodes, kMaxTensors);
    graph->required_features = from.required_features();
    graph->hidden = from.hidden();
    graph->logits = from.logits();
    DS_TRY(read(from.name(), &graph->name));
    graph->tensors.resize(tensors);
    graph->nodes.resize(nodes);
    for (uint32_t i = 0; i < tensors; ++i) DS_TRY(read(*from.tensors()->Get(i), &graph->tensors[i]));
    for (uint32_t i = 0; i < nodes; ++i) DS_TRY(read(*from.nodes()->Get(i), &graph->nodes[i]));
    return {};
  }

 private:
  Status spend(size_t bytes) {
    if (bytes > budget_) return fail(DS_E_FORMAT, "graph", "the graph claims more content than its buffer holds");
    budget_ -= bytes;
    return {};
  }
  Status read(const flatbuffers::String *from, std::string *into) {
    if (!from) return {};
    DS_TRY(spend(from->size()));
    into->assign(from->data(), from->size());
    return {};
  }
  template <typename T>
  Status read(const flatbuffers::Vector<T> *from, std::vector<T> *into) {
    if (!from) return {};
    DS_TRY(spend(from->size() * sizeof(T)));
    into->resize(from->size());  // the FlatBuffers verifier lets vectors of 8-byte numbers lie at multiples of 4
    if (from->size()) std::memcpy(into->data(), from->Data(), from->size() * sizeof(T));
    return {};
  }
  Status read(const fb::Tensor &from, Tensor *tensor) {
    tensor->kind = static_cast<TensorKind>(from.kind());
    tensor->dtype = static_cast<DType>(from.dtype());
    DS_TRY(read(from.name(), &tensor->name));
    return read(from.shape(), &tensor->shape);
  }
  Status read(const fb::Node &from, Node *node) {
    node->op = static_cast<Op>(from.op());
    node->version = from.op_version();
    node->required_features = from.required_features();
    DS_TRY(read(from.name(), &node->name));
    DS_TRY(read(from.inputs(), &node->inputs));
    DS_TRY(read(from.outputs(), &node->outputs));
    const size_t n = from.attributes() ? from.attributes()->size() : 0;
    DS_TRY(spend(n * sizeof(uint32_t)));
    for (uint32_t i = 0; i < n; ++i) DS_TRY(read(*from.attributes()->Get(i), &node->attributes));
    return {};
  }
  Status read(const fb::Attribute &from, std::vector<Attribute> *into) {
    Attribute attribute;
    attribute.key = attr_info(static_cast<Attr>(from.key())).attr;
    attribute.i = from.i();
    attribute.f = from.f();
    DS_TRY(read(from.list(), &attribute.list));
    if (attribute.list.size() > kMaxListEntries)
      return fail(DS_E_FORMAT, "graph", "attribute %s has %zu entries, expected at most %zu",
                  attr_info(attribute.key).name, attribute.list.size(), kMaxListEntries);
    if (attribute.key != Attr::kNone) into->push_back(std::move(attribute));
    return {};
  }
  size_t budget_;
};

}  // namespace

std::string serialize(const Graph &graph) {
  flatbuffers::FlatBufferBuilder out(64 * 1024);
  std::vector<flatbuffers::Offset<fb::Tensor>> tensors;
  std::vector<flatbuffers::Offset<fb::Node>> nodes;
  for (const Tensor &tensor : graph.tensors) tensors.push_back(put(&out, tensor));
  for (const Node &node : graph.nodes) nodes.push_back(put(&out, node));
  const auto name = out.CreateString(graph.name);
  const auto all_tensors = out.CreateVector(tensors);
  const auto all_nodes = out.CreateVector(nodes);
  fb::FinishGraphBuffer(out, fb::CreateGraph(out, kSchemaVersion, graph.required_features, name, all_tensors, all_nodes,
                                             graph.hidden, graph.logits));
  return std::string(reinterpret_cast<const char *>(out.GetBufferPointer()), out.GetSize());
}

Result<Graph> parse(std::span<const uint8_t> bytes) {
  if (bytes.size() > kMaxGraphBytes)
    return fail(DS_E_FORMAT, "graph", "%zu bytes of graph, expected at most %zu", bytes.size(), kMaxGraphBytes);
  std::vector<uint64_t> aligned((bytes.size() + 7) / 8);  // FlatBuffers reads numbers in place
  if (!bytes.empty()) std::memcpy(aligned.data(), bytes.data(), bytes.size());
  const uint8_t *data = reinterpret_cast<const uint8_t *>(aligned.data());
  constexpr uint32_t kMaxDepth = 8, kMaxTables = 1u << 20;
  flatbuffers::Verifier verifier(data, bytes.size(), kMaxDepth, kMaxTables);
  if (!fb::VerifyGraphBuffer(verifier))
    return fail(DS_E_FORMAT, "graph", "%zu bytes are not an intact graph (FlatBuffer with identifier %s)", bytes.size(),
                fb::GraphIdentifier());
  Graph graph;
  DS_TRY(Reader(bytes.size()).read(*fb::GetGraph(data), &graph));
  DS_TRY(verify(graph));
  return graph;
}

}  // namespace deepseam::graph
