// Lifetimes of activations and their places in one scratch arena.
#include <algorithm>
#include <optional>

#include "base/checked.h"
#include "graph/plan.h"

namespace deepseam::graph {
namespace {

constexpr uint64_t kAlignment = 64;

// Bytes of an activation; nothing on overflow.
std::optional<uint64_t> activation_bytes(const Tensor &tensor, uint64_t rows, uint64_t gathered) {
  uint64_t elements = 1;
  for (int64_t size : tensor.shape) {
    const uint64_t factor = size == kRows ? rows : size == kGatheredRows ? gathered : static_cast<uint64_t>(size);
    const auto product = checked_mul(elements, factor);
    if (!product) return std::nullopt;
    elements = *product;
  }
  const auto bytes = checked_mul(elements, dtype_info(tensor.dtype).block_bytes);
  return bytes ? checked_align(*bytes, kAlignment) : std::nullopt;
}

struct Place {
  uint64_t offset = 0, bytes = 0;
  Lifetime life;
};

bool meet(const Lifetime &a, const Lifetime &b) { return a.first <= b.last && b.first <= a.last; }

// The lowest offset where `bytes` fit between those places that live at the same time. `places` are sorted by offset.
std::optional<uint64_t> first_fit(const std::vector<Place> &places, uint64_t bytes, const Lifetime &life) {
  uint64_t offset = 0;
  for (const Place &place : places) {
    if (!meet(place.life, life)) continue;
    if (place.offset >= offset && place.offset - offset >= bytes) break;
    offset = std::max(offset, place.offset + place.bytes);
  }
  return checked_add(offset, bytes) ? std::optional(offset) : std::nullopt;
}

}  // namespace

std::vector<Lifetime> lifetimes(const Graph &graph) {
  std::vector<Lifetime> lives(graph.tensors.size());
  const auto is_activation = [&](uint32_t index) {
    return index < lives.size() && graph.tensors[index].kind == TensorKind::kActivation;
  };
  for (uint32_t i = 0; i < graph.nodes.size(); ++i) {
    for (uint32_t input : graph.nodes[i].inputs)
      if (is_activation(input)) lives[input].last = i;
    for (uint32_t output : graph.nodes[i].outputs)
      if (is_activation(output)) lives[output] = {i, i};
  }
  for (uint32_t result : {graph.hidden, graph.logits})
    if (is_activation(result)) lives[result].last = static_cast<uint32_t>(graph.nodes.size()) - 1;
  return lives;
}

Result<Arena> plan_arena(const Graph &graph, uint64_t rows, uint64_t gathered) {
  const auto lives = lifetimes(graph);
  std::vector<uint64_t> bytes(graph.tensors.size());
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < graph.tensors.size(); ++i) {
    if (lives[i].first == kAbsent) continue;
    const auto size = activation_bytes(graph.tensors[i], rows, gathered);
    if (!size)
      return fail(DS_E_MEMORY, "graph", "activation %s of graph %s with %llu rows does not fit into memory",
                  graph.tensors[i].name.c_str(), graph.name.c_str(), static_cast<unsigned long long>(rows));
    bytes[i] = *size;
    order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return bytes[a] > bytes[b]; });

  Arena arena;
  arena.offset.assign(graph.tensors.size(), UINT64_MAX);
  std::vector<Place> places;
  for (uint32_t index : order) {
    const auto offset = first_fit(places, bytes[index], lives[index]);
    if (!offset)
      return fail(DS_E_MEMORY, "graph", "the activations of graph %s with %llu rows do not fit into memory",
                  graph.name.c_str(), static_cast<unsigned long long>(rows));
    arena.offset[index] = *offset;
    arena.bytes = std::max(arena.bytes, *offset + bytes[index]);
    const Place place{*offset, bytes[index], lives[index]};
    const auto behind = std::upper_bound(places.begin(), places.end(), place,
                                         [](const Place &a, const Place &b) { return a.offset < b.offset; });
    places.insert(behind, place);
  }
  return arena;
}

}  // namespace deepseam::graph
