// From a graph to something that can be run: segments by device, lifetimes of activations, one scratch arena.
//
// It knows no device beyond a number: a placement names, per node, which device index runs it. Adjacent nodes of one
// device form a segment; the trivial plan has one. Lifetimes are node indices; arena offsets never overlap while two
// tensors live. Both core and backends (through backends/sdk) use the same arena planner.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "graph/graph.h"

namespace deepseam::graph {

struct Segment {
  uint32_t device = 0;
  uint32_t first_node = 0, n_nodes = 0;
  std::vector<uint32_t> inputs;   // activations made by earlier segments
  std::vector<uint32_t> outputs;  // activations needed by later segments, and the graph's own outputs
};

// placement[i] is the device of node i; empty: all on device 0.
Result<std::vector<Segment>> segments(const Graph &graph, std::span<const uint32_t> placement);

// The subgraph of a segment as a graph of its own: its inputs become input tensors, roles stay.
Result<Graph> subgraph(const Graph &graph, const Segment &segment);

struct Lifetime {
  uint32_t first = kAbsent, last = 0;  // node indices; first kAbsent: not an activation, or never made
};
std::vector<Lifetime> lifetimes(const Graph &graph);

struct Arena {
  std::vector<uint64_t> offset;  // per tensor; UINT64_MAX for what has no place in it
  uint64_t bytes = 0;
};
// Bytes of every activation for `rows` rows of which `gathered` are gathered; 64-byte aligned, first fit by size.
Result<Arena> plan_arena(const Graph &graph, uint64_t rows, uint64_t gathered);

}  // namespace deepseam::graph
