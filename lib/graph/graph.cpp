// Reading a node's attributes.
#include "graph/graph.h"

namespace deepseam::graph {
namespace {

const Attribute *find(const Node &node, Attr key) {
  for (const Attribute &attribute : node.attributes)
    if (attribute.key == key) return &attribute;
  return nullptr;
}

}  // namespace

int64_t Node::get_int(Attr key, int64_t otherwise) const {
  const Attribute *attribute = find(*this, key);
  return attribute ? attribute->i : otherwise;
}

double Node::get_float(Attr key, double otherwise) const {
  const Attribute *attribute = find(*this, key);
  return attribute ? attribute->f : otherwise;
}

std::span<const double> Node::get_list(Attr key) const {
  const Attribute *attribute = find(*this, key);
  return attribute ? std::span<const double>(attribute->list) : std::span<const double>();
}

}  // namespace deepseam::graph
