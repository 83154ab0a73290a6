// Lifetimes and the scratch arena, on the tiny graph and on random ones.
#include <random>

#include "graph/limits.h"
#include "graph/plan.h"
#include "tiny_graph.h"

using namespace deepseam;
using namespace deepseam::graph;

namespace {

uint64_t bytes_of(const Tensor &tensor, uint64_t rows, uint64_t gathered) {
  return (tensor.shape[0] == kRows ? rows : gathered) * static_cast<uint64_t>(tensor.shape[1]) * 4;
}

// A random graph of adds, norms and concatenations over earlier values.
Graph random_graph(uint64_t seed, size_t n) {
  std::mt19937_64 random(seed);
  GraphBuilder g("random");
  struct Known {
    Value value;
    int64_t columns;
  };
  std::vector<Known> values = {{g.embed(g.weight("embed", DType::kF32, {40, kH})), kH}};
  for (size_t i = 0; i < n; ++i) {
    const Known a = values[random() % values.size()];
    const Known b = values[values.size() - 1 - random() % std::min<size_t>(4, values.size())];
    const std::string role = "w" + std::to_string(i);
    if (random() % 3 == 0 && a.columns + b.columns < 4000) {
      values.push_back({g.concat(a.value, b.value), a.columns + b.columns});
    } else if (a.columns == b.columns && random() % 2) {
      values.push_back({g.add(a.value, b.value), a.columns});
    } else {
      const int64_t out = 1 + static_cast<int64_t>(random() % 300);
      values.push_back({g.linear(b.value, g.weight(role, DType::kBF16, {out, b.columns})), out});
    }
  }
  g.output_hidden(g.gather_rows(values[random() % values.size()].value));
  auto made = g.finish();
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  return std::move(made).value();
}

// Places are aligned and inside the arena, and two tensors that live at once do not share a byte. -> bytes in all.
uint64_t check_arena(const Graph &graph, uint64_t rows, uint64_t gathered) {
  auto arena = plan_arena(graph, rows, gathered);
  REQUIRE_MESSAGE(arena.ok(), arena.status().message());
  const auto lives = lifetimes(graph);
  uint64_t sum = 0;
  for (size_t a = 0; a < graph.tensors.size(); ++a) {
    if (graph.tensors[a].kind == TensorKind::kWeight) {
      CHECK(arena->offset[a] == UINT64_MAX);
      continue;
    }
    const uint64_t begin = arena->offset[a], end = begin + bytes_of(graph.tensors[a], rows, gathered);
    sum += end - begin;
    REQUIRE(begin % 64 == 0);
    REQUIRE(end <= arena->bytes);
    for (size_t b = 0; b < a; ++b) {
      if (graph.tensors[b].kind == TensorKind::kWeight) continue;
      const bool at_once = lives[a].first <= lives[b].last && lives[b].first <= lives[a].last;
      const uint64_t other = arena->offset[b];
      const bool apart = end <= other || other + bytes_of(graph.tensors[b], rows, gathered) <= begin;
      REQUIRE((!at_once || apart));
    }
  }
  return sum;
}

}  // namespace

TEST_CASE("lifetimes reach from the node that gives to the last that takes") {
  const Graph graph = made_tiny_graph();
  const auto lives = lifetimes(graph);
  const uint32_t x = graph.nodes[3].outputs[0];  // eh_proj, added to after attention
  CHECK(lives[x].first == 3);
  CHECK(lives[x].last == 9);
  CHECK(lives[0].first == kAbsent);  // a weight
  CHECK(lives[graph.hidden].last == graph.nodes.size() - 1);
  CHECK(lives[graph.logits].last == graph.nodes.size() - 1);
}

TEST_CASE("an arena is smaller than the sum of its tensors and never overlaps") {
  const Graph graph = made_tiny_graph();
  const uint64_t sum = check_arena(graph, 512, 16);
  CHECK(plan_arena(graph, 512, 16)->bytes < sum / 2);
}

TEST_CASE("arenas of random graphs never overlap") {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    check_arena(random_graph(seed, 5 + random() % 60), random() % 100, random() % 10);
  }
}

TEST_CASE("an arena without rows is empty") { CHECK(plan_arena(made_tiny_graph(), 0, 0)->bytes == 0); }

TEST_CASE("the same graph gives the same places") {
  const Graph graph = random_graph(7, 50);
  CHECK(plan_arena(graph, 31, 2)->offset == plan_arena(graph, 31, 2)->offset);
}

TEST_CASE("what does not fit into 64 bits is refused") {
  const Graph graph = made_tiny_graph();
  auto arena = plan_arena(graph, UINT64_MAX, 1);
  CHECK(arena.status().code() == DS_E_MEMORY);
  CHECK(plan_arena(graph, UINT64_MAX / 256, 1).status().code() == DS_E_MEMORY);
}
