// The backend-neutral graph: tensors, nodes in execution order, and nothing about devices or KV blocks.
//
// A Graph is plain data. GraphBuilder appends nodes and derives output shapes; verify() checks a whole graph, whoever
// made it, and answers in sentences; print() shows it as text; serialize() and parse() are its FlatBuffers form.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"

namespace deepseam::graph {

inline constexpr uint32_t kAbsent = UINT32_MAX;
inline constexpr int64_t kRows = -1;          // T: rows of the step
inline constexpr int64_t kGatheredRows = -2;  // rows that want something

enum class Op : uint32_t {
  kNone = 0,
#define DS_OP(name, id, text, version, least, most, outputs) name = id,
#include "graph/op.def"
#undef DS_OP
};

enum class Attr : uint32_t {
  kNone = 0,
#define DS_OP(name, id, text, version, least, most, outputs)
#define DS_ATTR(name, id, text, kind) name = id,
#include "graph/op.def"
#undef DS_ATTR
#undef DS_OP
};

enum class AttrKind { kInt, kFloat, kList };

struct OpInfo {
  Op op = Op::kNone;
  const char *name = "?";
  uint32_t version = 0;
  uint32_t least_inputs = 0, most_inputs = 0, outputs = 0;
};
struct AttrInfo {
  Attr attr = Attr::kNone;
  const char *name = "?";
  AttrKind kind = AttrKind::kInt;
};
OpInfo op_info(Op op);  // Op::kNone for an unknown id
AttrInfo attr_info(Attr attr);

enum class TensorKind : uint8_t { kActivation = 0, kWeight = 1 };

struct Tensor {
  std::string name;  // of a weight: its role
  TensorKind kind = TensorKind::kActivation;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
};

struct Attribute {
  Attr key = Attr::kNone;
  int64_t i = 0;
  double f = 0;
  std::vector<double> list;
};

struct Node {
  Op op = Op::kNone;
  uint32_t version = 0;
  uint64_t required_features = 0;
  std::string name;
  std::vector<uint32_t> inputs;  // kAbsent for an optional input that is not there
  std::vector<uint32_t> outputs;
  std::vector<Attribute> attributes;

  int64_t get_int(Attr key, int64_t otherwise = 0) const;
  double get_float(Attr key, double otherwise = 0) const;
  std::span<const double> get_list(Attr key) const;
};

struct Graph {
  std::string name;
  uint64_t required_features = 0;
  std::vector<Tensor> tensors;
  std::vector<Node> nodes;
  uint32_t hidden = kAbsent;
  uint32_t logits = kAbsent;
};

Status verify(const Graph &graph);
std::string print(const Graph &graph);
std::string serialize(const Graph &graph);
Result<Graph> parse(std::span<const uint8_t> bytes);  // verified both as FlatBuffer and as graph

}  // namespace deepseam::graph
