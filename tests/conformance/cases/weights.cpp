// Loading weights: sources that lie are refused, exported bytes map to the same program, a layout tells what it will
// do.
#include <cstddef>
#include <cstring>

#include "tiny.h"

namespace conformance {
namespace {

dsb_layout *plan(const graph::Graph &graph) {
  const std::string bytes = graph::serialize(graph);
  const dsb_plan_options options = tiny_options();
  dsb_layout *layout = nullptr;
  Error error;
  REQUIRE_MESSAGE(api().plan_graph(Machine::get().instance(), 0, nullptr, nullptr, bytes.data(), bytes.size(), &options,
                                   &layout, &error) == DS_OK,
                  error.message);
  return layout;
}

}  // namespace

CONFORMANCE("weights: exported bytes map to a program with the same results") {
  Tiny tiny;
  const std::vector<uint32_t> tokens = random_tokens(101, 9);
  const std::vector<float> truth = tiny.forward(0, 0, tokens);
  dsb_layout *layout = plan(tiny.program.graph);
  std::vector<dsb_weight *> weights;
  std::vector<std::vector<uint8_t>> memory;
  for (uint32_t i = 0; i < tiny.program.weights.size(); ++i) {
    uint64_t size = 0;
    REQUIRE(api().weight_export(tiny.program.weights[i], nullptr, &size, nullptr) == DS_OK);
    memory.emplace_back(size + 4096);
    uint8_t *aligned = memory.back().data() + (4096 - reinterpret_cast<uintptr_t>(memory.back().data()) % 4096);
    uint64_t small = size - 1;
    CHECK(api().weight_export(tiny.program.weights[i], aligned, &small, nullptr) == DS_E_BUFFER);
    REQUIRE(api().weight_export(tiny.program.weights[i], aligned, &size, nullptr) == DS_OK);
    dsb_weight *weight = nullptr;
    CHECK(api().weight_map(layout, device(), i, aligned, size - 1, &weight, nullptr) != DS_OK);
    Error error;
    REQUIRE_MESSAGE(api().weight_map(layout, device(), i, aligned, size, &weight, &error) == DS_OK, error.message);
    weights.push_back(weight);
  }
  dsb_program *program = nullptr;
  dsb_exec *exec = nullptr;
  REQUIRE(api().compile(layout, device(), weights.data(), static_cast<uint32_t>(weights.size()), &program, nullptr) ==
          DS_OK);
  REQUIRE(api().exec_create(program, 64, &exec, nullptr) == DS_OK);
  Step step = tiny.step(1, 0, tokens, DSB_WANT_LOGITS);
  std::vector<float> found(truth.size());
  step.outputs.logits = found.data();
  run_ok(exec, step);
  check_same(found, truth);
  api().exec_destroy(exec);
  api().program_destroy(program);
  for (dsb_weight *weight : weights) api().weight_release(weight);
  api().layout_destroy(layout);
}

CONFORMANCE("weights: sources that do not fit are refused") {
  dsb_layout *layout = plan(tiny_graph());
  const graph::Graph graph = tiny_graph();
  const Weights weights = tiny_weights();
  dsb_packed_weight packed{};
  packed.struct_size = sizeof packed;
  REQUIRE(api().layout_weight(layout, 0, &packed, nullptr) == DS_OK);
  const Tensor &tensor = weights.at(graph.tensors[packed.slices[0].tensor].name);
  const auto load = [&](const dsb_weight_source &raw, uint32_t index = 0, uint32_t n = 1,
                        uint32_t stride = sizeof(dsb_weight_source)) {
    dsb_weight *weight = nullptr;
    dsb_ticket *ticket = nullptr;
    Error error;
    const ds_status code = api().weight_load(layout, device(), index, &raw, n, stride, nullptr, nullptr, nullptr,
                                             &ticket, &weight, &error);
    if (code != DS_OK) CHECK(error.message[0] != 0);
    CHECK((code == DS_OK) == (weight != nullptr));
    api().weight_release(weight);
    return code;
  };
  if (packed.n_slices == 1) {
    const Source good(tensor);
    CHECK(load(good.raw) == DS_OK);
    dsb_weight_source bad = good.raw;
    CHECK(load((bad.dtype = DSB_Q4_0, bad)) != DS_OK);
    CHECK(load((bad = good.raw, bad.dims[0] += 1, bad)) != DS_OK);
    CHECK(load((bad = good.raw, bad.n_dims = 1, bad)) != DS_OK);
    CHECK(load((bad = good.raw, bad.n_parts = 2, bad)) != DS_OK);
    CHECK(load((bad = good.raw, bad.n_parts = 0, bad)) != DS_OK);
    CHECK(load((bad = good.raw, bad.part_stride = 4, bad)) != DS_OK);
    CHECK(load((bad = good.raw, bad.struct_size = 8, bad)) != DS_OK);
    constexpr uint32_t kFirst = offsetof(dsb_weight_source, read);  // what hosts of the first version have
    CHECK(load(good.raw, 0, 1, kFirst) != DS_OK);
    CHECK(load((bad = good.raw, bad.struct_size = kFirst, bad), 0, 1, kFirst) == DS_OK);
    Source part(tensor);
    part.parts[0].bytes -= 1;
    CHECK(load(part.raw) != DS_OK);
    part.parts[0].bytes += 1;
    part.parts[0].data = nullptr;
    CHECK(load(part.raw) != DS_OK);
  }
  const Source good(tensor);
  CHECK(load(good.raw, UINT32_MAX) != DS_OK);
  CHECK(load(good.raw, 0, packed.n_slices + 1) != DS_OK);
  CHECK(load(good.raw, 0, packed.n_slices, 8) != DS_OK);
  api().layout_destroy(layout);
}

std::vector<uint8_t> exported(dsb_weight *weight) {
  uint64_t size = 0;
  REQUIRE(api().weight_export(weight, nullptr, &size, nullptr) == DS_OK);
  std::vector<uint8_t> bytes(size);
  REQUIRE(api().weight_export(weight, bytes.data(), &size, nullptr) == DS_OK);
  return bytes;
}

// Reads a tensor's parts, unless it is broken.
struct Pulled {
  const Source *source;
  bool broken = false;
  static ds_status DS_CALL read(void *user, uint32_t part, uint64_t offset, void *into, uint64_t size) {
    const auto *self = static_cast<const Pulled *>(user);
    if (self->broken) return DS_E_IO;
    const dsb_weight_part &from = self->source->parts[part];
    if (offset > from.bytes || size > from.bytes - offset) return DS_E_ARGUMENT;
    std::memcpy(into, static_cast<const uint8_t *>(from.data) + offset, size);
    return DS_OK;
  }
};

CONFORMANCE("weights: a source that is read gives the bytes of one that is there, and its failure ends the load") {
  dsb_layout *layout = plan(tiny_graph());
  const graph::Graph graph = tiny_graph();
  const Weights weights = tiny_weights();
  dsb_layout_summary summary{};
  summary.struct_size = sizeof summary;
  REQUIRE(api().layout_summary(layout, &summary, nullptr) == DS_OK);
  for (uint32_t i = 0; i < summary.n_weights; ++i) {
    dsb_packed_weight packed{};
    packed.struct_size = sizeof packed;
    REQUIRE(api().layout_weight(layout, i, &packed, nullptr) == DS_OK);
    const Tensor &tensor = weights.at(graph.tensors[packed.slices[0].tensor].name);
    if (!(packed.flags & DSB_WEIGHT_PULLED) || packed.n_slices != 1) continue;
    const Source there(tensor);
    Pulled pulled{&there};
    Source read(tensor);
    for (dsb_weight_part &part : read.parts) part.data = nullptr;
    read.raw.read = Pulled::read;
    read.raw.read_user = &pulled;
    const auto load = [&](const Source &source, std::vector<uint8_t> *bytes) {
      dsb_ticket *ticket = nullptr;
      dsb_weight *weight = nullptr;
      ds_status code = api().weight_load(layout, device(), i, &source.raw, 1, sizeof source.raw, nullptr, nullptr,
                                         nullptr, &ticket, &weight, nullptr);
      uint32_t state = DSB_TICKET_DONE;
      if (ticket) code = api().ticket_wait(ticket, UINT64_MAX, &state, nullptr);
      if (ticket) api().ticket_release(ticket);
      if (code == DS_OK) *bytes = exported(weight);
      api().weight_release(weight);
      return code;
    };
    std::vector<uint8_t> given, found, none;
    REQUIRE(load(there, &given) == DS_OK);
    REQUIRE(load(read, &found) == DS_OK);
    CHECK(found == given);
    pulled.broken = true;
    CHECK(load(read, &none) == DS_E_IO);
  }
  api().layout_destroy(layout);
}

CONFORMANCE("weights: a cancelled load ends as cancelled") {
  dsb_layout *layout = plan(tiny_graph());
  const graph::Graph graph = tiny_graph();
  const Weights weights = tiny_weights();
  dsb_packed_weight packed{};
  packed.struct_size = sizeof packed;
  REQUIRE(api().layout_weight(layout, 0, &packed, nullptr) == DS_OK);
  std::vector<Source> sources;
  std::vector<dsb_weight_source> raw;
  for (uint32_t i = 0; i < packed.n_slices; ++i) {
    sources.emplace_back(weights.at(graph.tensors[packed.slices[i].tensor].name), false);
    raw.push_back(sources.back().raw);
  }
  const uint32_t cancel = 1;
  dsb_weight *weight = nullptr;
  dsb_ticket *ticket = nullptr;
  CHECK(api().weight_load(layout, device(), 0, raw.data(), packed.n_slices, sizeof raw[0], &cancel, nullptr, nullptr,
                          &ticket, &weight, nullptr) == DS_E_CANCELLED);
  CHECK(weight == nullptr);
  api().layout_destroy(layout);
}

CONFORMANCE("layout: verdicts, sizes and numerics_id without an open device") {
  dsb_layout *layout = plan(tiny_graph()), *same = plan(tiny_graph());
  dsb_layout_summary summary{}, other{};
  summary.struct_size = other.struct_size = sizeof summary;
  REQUIRE(api().layout_summary(layout, &summary, nullptr) == DS_OK);
  REQUIRE(api().layout_summary(same, &other, nullptr) == DS_OK);
  CHECK(summary.n_nodes == tiny_graph().nodes.size());
  CHECK(summary.n_kv_layers == kLayers);
  CHECK(summary.kv_bytes_per_block == kLayers * 8 * 4 * (kRank + kRope));
  CHECK(summary.numerics_id == other.numerics_id);
  CHECK(summary.numerics_id != 0);
  for (uint32_t i = 0; i < summary.n_nodes; ++i) {
    dsb_node_verdict verdict{};
    verdict.struct_size = sizeof verdict;
    REQUIRE(api().layout_node(layout, i, &verdict, nullptr) == DS_OK);
    CHECK(verdict.supported == 1);
    CHECK(verdict.reason[0] != 0);
  }
  uint64_t few = 0, many = 0;
  REQUIRE(api().layout_scratch(layout, 1, &few, nullptr) == DS_OK);
  REQUIRE(api().layout_scratch(layout, 64, &many, nullptr) == DS_OK);
  CHECK(few < many);
  CHECK(many == summary.scratch_bytes);
  CHECK(api().layout_scratch(layout, 65, &many, nullptr) != DS_OK);
  CHECK(api().layout_scratch(layout, 0, &many, nullptr) != DS_OK);
  api().layout_destroy(layout);
  api().layout_destroy(same);
}

}  // namespace conformance
