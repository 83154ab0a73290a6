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

// The subgraph of a segment as a graph of its own, with roles, KV layers and MoE layers as they were. What comes from
// earlier segments becomes input_hidden, what goes to later ones becomes the hidden output behind gather_rows, so that
// a chain of programs is run with steps whose rows all want hidden and pass it on as hidden_in. DS_E_UNSUPPORTED where
// that does not express the cut: more than one activation crosses it, or one that is not f32 [T, ...].
Result<Graph> subgraph(const Graph &graph, const Segment &segment);

struct Lifetime {
  uint32_t first = kAbsent, last = 0;  // node indices; first kAbsent: not an activation, or never made
};
std::vector<Lifetime> lifetimes(const Graph &graph);  // the graph's own outputs live to the end

struct Arena {
  std::vector<uint64_t> offset;  // per tensor; UINT64_MAX for what has no place in it
  uint64_t bytes = 0;
};
// Places every activation for `rows` rows of which `gathered` are gathered; 64-byte aligned, first fit, largest first.
// DS_E_MEMORY if the sum does not fit into 64 bits.
Result<Arena> plan_arena(const Graph &graph, uint64_t rows, uint64_t gathered);

}  // namespace deepseam::graph
