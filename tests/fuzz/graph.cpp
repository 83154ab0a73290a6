// Whatever bytes arrive as a graph: a refusal with a sentence, or a graph that can be printed, planned, cut, and sent
// on to come back the same.
#include <cstdlib>

#include "graph/plan.h"

using namespace deepseam;
using namespace deepseam::graph;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

std::span<const uint8_t> bytes_of(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

// Every second node on another device: the worst of cuts.
void cut(const Graph &graph) {
  std::vector<uint32_t> placement;
  for (size_t i = 0; i < graph.nodes.size(); ++i) placement.push_back(static_cast<uint32_t>(i / 2 % 2));
  auto made = segments(graph, placement);
  require(made.ok());
  for (const Segment &segment : *made) {
    auto part = subgraph(graph, segment);
    require(!part.ok() || verify(*part).ok());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  auto graph = parse({data, size});
  if (!graph.ok()) {
    require(graph.status().message()[0] != 0);
    return 0;
  }
  require(verify(*graph).ok());
  const std::string text = print(*graph), sent = serialize(*graph);
  auto again = parse(bytes_of(sent));
  require(again.ok() && print(*again) == text && serialize(*again) == sent);
  auto arena = plan_arena(*graph, 77, 5);
  require(arena.ok() || arena.status().code() == DS_E_MEMORY);
  cut(*graph);
  return 0;
}
