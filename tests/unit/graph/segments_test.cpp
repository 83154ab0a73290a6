// Cutting a graph by devices.
#include "graph/plan.h"
#include "tiny_graph.h"

using namespace deepseam;
using namespace deepseam::graph;

namespace {

// Nodes before `first` on device 0, from there on on device 1, from `second` on on device 2.
std::vector<uint32_t> cut(const Graph &graph, size_t first, size_t second = SIZE_MAX) {
  std::vector<uint32_t> placement(graph.nodes.size(), 0);
  for (size_t i = first; i < placement.size(); ++i) placement[i] = i < second ? 1 : 2;
  return placement;
}

size_t position(const Graph &graph, const std::string &name) {
  for (size_t i = 0; i < graph.nodes.size(); ++i)
    if (graph.nodes[i].name == name) return i;
  FAIL("no node " << name);
  return 0;
}

std::vector<Segment> cut_segments(const Graph &graph, std::vector<uint32_t> placement) {
  auto made = segments(graph, placement);
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  return std::move(made).value();
}

}  // namespace

TEST_CASE("without a placement there is one segment of all nodes") {
  const Graph graph = made_tiny_graph();
  const auto made = cut_segments(graph, {});
  REQUIRE(made.size() == 1);
  CHECK(made[0].n_nodes == graph.nodes.size());
  CHECK(made[0].inputs.empty());
  CHECK(made[0].outputs == std::vector<uint32_t>{graph.hidden, graph.logits});
}

TEST_CASE("the subgraph of the only segment is the graph") {
  const Graph graph = made_tiny_graph();
  auto part = subgraph(graph, cut_segments(graph, {})[0]);
  REQUIRE_MESSAGE(part.ok(), part.status().message());
  part->name = graph.name;
  CHECK(print(*part) == print(graph));
}

TEST_CASE("adjacent nodes of a device are one segment, what crosses is named on both sides") {
  const Graph graph = made_tiny_graph();
  const size_t at = position(graph, "layers.3.attn_norm");
  const auto made = cut_segments(graph, cut(graph, at, position(graph, "gather_rows")));
  REQUIRE(made.size() == 3);
  CHECK(made[0].first_node == 0);
  CHECK(made[0].n_nodes == at);
  CHECK(made[1].device == 1);
  const uint32_t x = graph.nodes[at - 1].outputs[0];
  CHECK(made[0].outputs == std::vector<uint32_t>{x});
  CHECK(made[1].inputs == std::vector<uint32_t>{x});
  CHECK(made[2].outputs == std::vector<uint32_t>{graph.hidden, graph.logits});
}

TEST_CASE("a placement of another length is refused") {
  const Graph graph = made_tiny_graph();
  const std::vector<uint32_t> placement(3, 0);
  CHECK(std::string(segments(graph, placement).status().message()) ==
        "3 devices for the nodes of graph tiny, expected 20 or none");
}

TEST_CASE("a segment in the middle takes hidden rows in and gives hidden rows out") {
  const Graph graph = made_tiny_graph();
  const auto made =
      cut_segments(graph, cut(graph, position(graph, "layers.3.attn_norm"), position(graph, "layers.3.router")));
  auto part = subgraph(graph, made[1]);
  REQUIRE_MESSAGE(part.ok(), part.status().message());
  CHECK(part->nodes.front().op == Op::kInputHidden);
  CHECK(part->nodes.back().op == Op::kGatherRows);
  CHECK(part->hidden == part->nodes.back().outputs[0]);
  CHECK(part->logits == kAbsent);
  CHECK(node_of(*part, "layers.3.attn").get_int(Attr::kKvLayer) == 3);
  auto last = subgraph(graph, made[2]);
  REQUIRE_MESSAGE(last.ok(), last.status().message());
  CHECK(last->logits != kAbsent);
}

TEST_CASE("a cut through two activations is refused") {
  const Graph graph = made_tiny_graph();
  const auto made = cut_segments(graph, cut(graph, position(graph, "layers.3.attn")));
  auto part = subgraph(graph, made[0]);
  CHECK(part.status().code() == DS_E_UNSUPPORTED);
  CHECK(std::string(part.status().message()) == "3 activations leave the segment at node embed, expected one");
  CHECK(std::string(subgraph(graph, made[1]).status().message()) ==
        "3 activations come into the segment at node layers.3.attn, expected one");
}

TEST_CASE("a cut behind gather_rows is refused") {
  const Graph graph = made_tiny_graph();
  const auto made = cut_segments(graph, cut(graph, position(graph, "final_norm")));
  CHECK(std::string(subgraph(graph, made[1]).status().message()) ==
        "activation gather_rows come into the segment at node final_norm, expected one of f32 [T, ...]");
}

TEST_CASE("a segment outside the graph is refused") {
  const Graph graph = made_tiny_graph();
  CHECK(subgraph(graph, {0, 0, 0, {}, {}}).status().code() == DS_E_ARGUMENT);
  CHECK(subgraph(graph, {0, 5, UINT32_MAX, {}, {}}).status().code() == DS_E_ARGUMENT);
  CHECK(subgraph(graph, {0, 21, 1, {}, {}}).status().code() == DS_E_ARGUMENT);
}
