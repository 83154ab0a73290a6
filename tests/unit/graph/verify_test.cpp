// Every damage that a graph can have, each with its sentence.
#include <cmath>
#include <functional>
#include <limits>

#include "graph/limits.h"
#include "graph/shapes.h"
#include "tiny_graph.h"

using namespace deepseam;
using namespace deepseam::graph;

namespace {

std::string refusal(const std::function<void(Graph &)> &damage) {
  Graph graph = made_tiny_graph();
  damage(graph);
  const Status status = verify(graph);
  if (status.ok()) return "accepted";
  CHECK(status.code() == DS_E_FORMAT);
  return status.message();
}

void set_int(Graph &graph, const char *node, Attr key, int64_t value) { attribute_of(graph, node, key).i = value; }
void set_float(Graph &graph, const char *node, Attr key, double value) { attribute_of(graph, node, key).f = value; }

uint32_t index_of(Graph &graph, const char *name) {
  return static_cast<uint32_t>(&tensor_of(graph, name) - graph.tensors.data());
}

}  // namespace

TEST_CASE("an undamaged graph is accepted") {
  CHECK(refusal([](Graph &) {}) == "accepted");
}

TEST_CASE("every op has a rule that fits its arity, and every rule's words can be read") {
  for (uint32_t id = 1; id <= 20; ++id) {
    const OpInfo info = op_info(static_cast<Op>(id));
    CAPTURE(info.name);
    const Rule rule = op_rule(info.op);
    size_t needed = 0;
    for (const Slot &slot : rule.inputs) {
      needed += !slot.optional;
      CHECK_FALSE(slot.dims.empty());
      CHECK((slot.format == "f32" || slot.format == "i32" || slot.format == "plain" || slot.format == "stored"));
    }
    CHECK(needed == info.least_inputs);
    CHECK(rule.inputs.size() == info.most_inputs);
    CHECK(rule.outputs.size() == info.outputs);
  }
}

TEST_CASE("frame") {
  CHECK(refusal([](Graph &g) { g.name = ""; }) ==
        "the graph's name must be 1 to 200 printable ASCII characters without spaces");
  CHECK(refusal([](Graph &g) { g.required_features = 6; }) ==
        "graph tiny requires features 0x6, which this library does not know");
  CHECK(refusal([](Graph &g) { g.nodes.clear(); }) == "graph tiny has 0 nodes, expected 1 to 8192");
  CHECK(refusal([](Graph &g) { g.nodes.resize(kMaxNodes + 1); }) == "graph tiny has 8193 nodes, expected 1 to 8192");
  CHECK(refusal([](Graph &g) { g.tensors.resize(kMaxTensors + 1); }) ==
        "graph tiny has 65537 tensors, expected at most 65536");
}

TEST_CASE("tensors") {
  CHECK(refusal([](Graph &g) { g.tensors[0].name = "a\nb"; }) ==
        "tensor 0: its name must be 1 to 200 printable ASCII characters without spaces");
  CHECK(refusal([](Graph &g) { g.tensors[1].name = std::string(201, 'x'); }) ==
        "tensor 1: its name must be 1 to 200 printable ASCII characters without spaces");
  CHECK(refusal([](Graph &g) { g.tensors[0].kind = static_cast<TensorKind>(2); }) ==
        "tensor 0 is of kind 2, which this library does not know");
  CHECK(refusal([](Graph &g) { g.tensors[0].dtype = static_cast<DType>(250); }) ==
        "tensor 0 (embed) is of number format 250, which this library does not know");
  CHECK(refusal([](Graph &g) { g.tensors[0].shape.clear(); }) == "tensor 0 (embed) has 0 dimensions, expected 1 to 3");
  CHECK(refusal([](Graph &g) { g.tensors[1].shape.push_back(1); }) ==
        "tensor 1 (embed) has 3 dimensions, expected 1 to 2");
  CHECK(refusal([](Graph &g) { tensor_of(g, "gate").name = "up"; }).find("role up is there twice") !=
        std::string::npos);
  const std::string range = "dimension 0 is out of range (sizes 1 to 2^40, 2^48 elements)";
  CHECK(refusal([](Graph &g) { g.tensors[0].shape[0] = 0; }) == "tensor 0 (embed) [0, 16]: " + range);
  CHECK(refusal([](Graph &g) { g.tensors[0].shape[0] = kRows; }) == "tensor 0 (embed) [T, 16]: " + range);
  CHECK(refusal([](Graph &g) { g.tensors[0].shape[0] = INT64_MAX; }) ==
        "tensor 0 (embed) [9223372036854775807, 16]: " + range);
  CHECK(refusal([](Graph &g) {
          g.tensors[0].shape = {1 << 30, 1 << 30};
        }) ==
        "tensor 0 (embed) [1073741824, 1073741824]: dimension 1 is out of range (sizes 1 to 2^40, 2^48 elements)");
  CHECK(refusal([](Graph &g) { g.tensors[1].shape[1] = -7; }) ==
        "tensor 1 (embed) [T, -7]: dimension 1 is out of range (sizes 1 to 2^40, 2^48 elements)");
}

TEST_CASE("nodes and their order") {
  CHECK(refusal([](Graph &g) { g.nodes[2].name = "embed"; }) ==
        "node 2: its name must be unique and 1 to 200 printable ASCII characters without spaces");
  CHECK(refusal([](Graph &g) { g.nodes[2].op = static_cast<Op>(21); }) ==
        "node concat: op 21 is not known to this library");
  CHECK(refusal([](Graph &g) { g.nodes[2].version = 2; }) ==
        "node concat (concat): op version 2, this library knows 1 to 1");
  CHECK(refusal([](Graph &g) { g.nodes[2].version = 0; }) ==
        "node concat (concat): op version 0, this library knows 1 to 1");
  CHECK(refusal([](Graph &g) { g.nodes[2].required_features = 1; }) ==
        "node concat (concat): requires features 0x1, which this library does not know");
  CHECK(refusal([](Graph &g) { g.nodes[2].inputs.pop_back(); }) == "node concat (concat): 1 inputs, expected 2 to 2");
  CHECK(refusal([](Graph &g) { node_of(g, "layers.3.kv_a").inputs.push_back(0); }) ==
        "node layers.3.kv_a (linear): 4 inputs, expected 2 to 3");
  CHECK(refusal([](Graph &g) { node_of(g, "layers.3.router").outputs.pop_back(); }) ==
        "node layers.3.router (moe_route): 1 outputs, expected 2");
  CHECK(refusal([](Graph &g) { g.nodes[2].inputs[1] = 43; }) ==
        "node concat (concat): input tensor 43 does not exist, there are 43");
  CHECK(refusal([](Graph &g) { g.nodes[2].outputs[0] = 99; }) ==
        "node concat (concat): output tensor 99 does not exist, there are 43");
  CHECK(refusal([](Graph &g) { std::swap(g.nodes[2], g.nodes[3]); }) ==
        "node eh_proj (linear): input tensor 3 (concat) is not given by an earlier node");
  CHECK(refusal([](Graph &g) { g.nodes[2].inputs[1] = g.nodes[2].outputs[0]; }) ==
        "node concat (concat): input tensor 3 (concat) is not given by an earlier node");
  CHECK(refusal([](Graph &g) { g.nodes[1].outputs[0] = 1; }) ==
        "node input_hidden (input_hidden): output tensor 1 (embed) is a weight or already given by another node");
  CHECK(refusal([](Graph &g) { g.nodes[1].outputs[0] = 0; }) ==
        "node input_hidden (input_hidden): output tensor 0 (embed) is a weight or already given by another node");
  CHECK(refusal([](Graph &g) {
          g.tensors.push_back({"stray", TensorKind::kActivation, DType::kF32, {kRows, 4}});
        }) == "tensor 43 (stray) is an activation that no node gives");
}

TEST_CASE("inputs and outputs of single nodes") {
  CHECK(refusal([](Graph &g) {
          tensor_of(g, "layers.3.q").shape = {23, kH};
        }) == "node layers.3.q (linear): output out [T, 24] has 24 columns, expected Out = 23 as of input weight");
  CHECK(refusal([](Graph &g) {
          tensor_of(g, "layers.3.q").shape = {25, kH};
          g.tensors[node_of(g, "layers.3.q").outputs[0]].shape = {kRows, 25};
        }) ==
        "node layers.3.attn (mla_attention): input q [T, 25] has 25 columns, expected num_attention_heads * "
        "(qk_nope_head_dim + qk_rope_head_dim) = 2 * (8 + 4) = 24");
  CHECK(refusal([](Graph &g) { set_int(g, "layers.3.attn", Attr::kVHeadDim, 7); }) ==
        "node layers.3.attn (mla_attention): input kv_b [28, 12] has 28 rows, expected num_attention_heads * "
        "(qk_nope_head_dim + v_head_dim) = 2 * (8 + 7) = 30");
  CHECK(refusal([](Graph &g) { tensor_of(g, "layers.3.kv_a_norm").shape = {13}; }) ==
        "node layers.3.attn (mla_attention): input kv_a_norm [13] has 13 entries, expected kv_lora_rank = 12");
  CHECK(refusal([](Graph &g) {
          tensor_of(g, "layers.3.kv_a_norm").shape = {12, 1};
        }) == "node layers.3.attn (mla_attention): input kv_a_norm [12, 1] has 2 dimensions, expected 1");
  CHECK(refusal([](Graph &g) {
          tensor_of(g, "experts.up").shape = {7, 10, kH};
        }) == "node layers.3.experts (moe_experts): input up [7, 10, 16] has 7 experts, expected expert_count = 8");
  CHECK(refusal([](Graph &g) {
          tensor_of(g, "experts.down").shape = {8, kH, 11};
        }) ==
        "node layers.3.experts (moe_experts): input down [8, 16, 11] has 11 columns, expected I = 10 as of input gate");
  CHECK(refusal([](Graph &g) {
          g.tensors[node_of(g, "concat").outputs[0]].shape = {kRows, 33};
        }) == "node concat (concat): output out [T, 33] has 33 columns, expected A + B = 16 + 16 = 32");
  CHECK(refusal([](Graph &g) {
          g.tensors[g.hidden].shape = {kRows, kH};
        }) == "node final_norm (rms_norm): output out [T, 16] has T rows, expected To as of input x");
  CHECK(refusal([](Graph &g) { node_of(g, "logits").inputs[0] = node_of(g, "down").outputs[0]; }) ==
        "node logits (lm_head): input x [T, 16] has T rows, expected To");
  CHECK(refusal([](Graph &g) { tensor_of(g, "final_norm").dtype = DType::kQ8_0; }) ==
        "node final_norm (rms_norm): input weight is weight q8_0[16], expected a weight of type f32, f16 or bf16");
  CHECK(refusal([](Graph &g) { tensor_of(g, "embed").dtype = DType::kI32; }) ==
        "node embed (embed): input table is weight i32[40, 16], expected a weight of a floating or block type");
  CHECK(refusal([](Graph &g) { node_of(g, "layers.3.q").inputs[1] = node_of(g, "layers.3.q").inputs[0]; }) ==
        "node layers.3.q (linear): input weight is f32[T, 16], expected a weight");
  CHECK(refusal([](Graph &g) { node_of(g, "layers.3.q").inputs[0] = index_of(g, "layers.3.q"); }) ==
        "node layers.3.q (linear): input x is weight bf16[24, 16], expected an activation of type f32");
  CHECK(refusal([](Graph &g) { tensor_of(g, "layers.3.router.ids").dtype = DType::kF32; }) ==
        "node layers.3.router (moe_route): output ids is f32[T, 2], expected an activation of type i32");
  CHECK(refusal([](Graph &g) { node_of(g, "layers.3.q").inputs[0] = kAbsent; }) ==
        "node layers.3.q (linear): input x is missing");
}

TEST_CASE("attributes") {
  CHECK(refusal([](Graph &g) { node_of(g, "final_norm").attributes.clear(); }) ==
        "node final_norm (rms_norm): attribute eps is missing");
  CHECK(refusal([](Graph &g) {
          auto &list = node_of(g, "final_norm").attributes;
          list.push_back(list[0]);
        }) == "node final_norm (rms_norm): attribute eps is there twice");
  CHECK(refusal([](Graph &g) {
          node_of(g, "concat").attributes.push_back({Attr::kEps, 0, 1e-6, {}});
        }) == "node concat (concat): attribute eps does not belong to this op");
  CHECK(refusal([](Graph &g) { set_float(g, "final_norm", Attr::kEps, 0); }) ==
        "node final_norm (rms_norm): attribute eps is 0, expected 1e-30 to 1");
  CHECK(refusal([](Graph &g) { set_float(g, "final_norm", Attr::kEps, std::nan("")); }) ==
        "node final_norm (rms_norm): attribute eps is nan, expected 1e-30 to 1");
  CHECK(refusal([](Graph &g) { set_int(g, "layers.3.attn", Attr::kNumHeads, 0); }) ==
        "node layers.3.attn (mla_attention): attribute num_attention_heads is 0, expected 1 to 65536");
  CHECK(
      refusal([](Graph &g) { set_int(g, "layers.3.attn", Attr::kNumHeads, INT64_MAX); }) ==
      "node layers.3.attn (mla_attention): attribute num_attention_heads is 9223372036854775807, expected 1 to 65536");
  CHECK(refusal([](Graph &g) {
          set_int(g, "layers.3.attn", Attr::kQkRopeHeadDim, 3);
        }).find("input q [T, 24] has 24 columns, expected") != std::string::npos);
  CHECK(refusal([](Graph &g) { attribute_of(g, "layers.3.attn", Attr::kInvFreq).list.pop_back(); }) ==
        "node layers.3.attn (mla_attention): attribute inv_freq has 1 entries, expected qk_rope_head_dim / 2 = 2");
  CHECK(refusal([](Graph &g) { attribute_of(g, "layers.3.attn", Attr::kInvFreq).list[1] = -1; }) ==
        "node layers.3.attn (mla_attention): attribute inv_freq is -1, expected 0 to 1e+06");
  CHECK(refusal([](Graph &g) {
          set_float(g, "layers.3.attn", Attr::kSoftmaxScale, std::numeric_limits<double>::infinity());
        }) == "node layers.3.attn (mla_attention): attribute softmax_scale is inf, expected 1e-30 to 1e+06");
  CHECK(refusal([](Graph &g) { set_int(g, "logits", Attr::kNumVocab, 41); }) ==
        "node logits (lm_head): attribute n_vocab is 41, expected at most the 40 rows of input weight");
}

TEST_CASE("gates and experts") {
  const std::string route = "node layers.3.router (moe_route): ", experts = "node layers.3.experts (moe_experts): ";
  CHECK(refusal([](Graph &g) { set_int(g, "layers.3.router", Attr::kExpertsPerTok, 9); }) ==
        route + "attribute num_experts_per_tok is 9, expected at most n_routed_experts = 8");
  CHECK(refusal([](Graph &g) { set_int(g, "layers.3.router", Attr::kScoringFunc, 2); }) ==
        route + "attribute scoring_func is 2, expected 0 to 1");
  CHECK(refusal([](Graph &g) { set_int(g, "layers.3.router", Attr::kNumGroups, 3); }) ==
        route + "attribute n_group is 3, expected a divisor of n_routed_experts = 8");
  CHECK(refusal([](Graph &g) { set_int(g, "layers.3.router", Attr::kTopkGroup, 5); }) ==
        route + "attribute topk_group is 5, expected at most n_group = 4");
  CHECK(refusal([](Graph &g) { set_int(g, "layers.3.router", Attr::kNumGroups, 8); }) ==
        route + "groups have 1 expert, expected at least 2 where group_score is the sum of the two largest");
  CHECK(refusal([](Graph &g) {
          set_int(g, "layers.3.router", Attr::kTopkGroup, 1);
          set_int(g, "layers.3.router", Attr::kExpertsPerTok, 3);
        }) ==
        route + "attribute num_experts_per_tok is 3, expected at most topk_group * n_routed_experts / n_group = 2");
  CHECK(refusal([](Graph &g) { set_int(g, "layers.3.router", Attr::kNumExperts, 16); }) ==
        route + "input weight [8, 16] has 8 rows, expected n_routed_experts = 16");
  CHECK(refusal([](Graph &g) { set_int(g, "layers.3.experts", Attr::kExpertBegin, 1); }) ==
        experts + "experts 1 to 9 do not lie within n_routed_experts = 8");
  CHECK(refusal([](Graph &g) { node_of(g, "layers.3.experts").inputs.pop_back(); }) ==
        experts + "2 of the 3 weights of the shared expert are there, expected all or none");
  CHECK(refusal([](Graph &g) { node_of(g, "layers.3.experts").inputs[7] = kAbsent; }) ==
        experts + "2 of the 3 weights of the shared expert are there, expected all or none");
}

TEST_CASE("no shared expert, written either way") {
  CHECK(refusal([](Graph &g) { node_of(g, "layers.3.experts").inputs.resize(6); }) == "accepted");
  CHECK(refusal([](Graph &g) {
          auto &inputs = node_of(g, "layers.3.experts").inputs;
          inputs[6] = inputs[7] = inputs[8] = kAbsent;
        }) == "accepted");
}

TEST_CASE("layers") {
  const auto second_attention = [](Graph &g, int64_t kv_layer) {
    Node node = node_of(g, "layers.3.attn");
    node.name = "again";
    node.outputs[0] = static_cast<uint32_t>(g.tensors.size());
    for (Attribute &attribute : node.attributes)
      if (attribute.key == Attr::kKvLayer) attribute.i = kv_layer;
    g.tensors.push_back({"again", TensorKind::kActivation, DType::kF32, {kRows, 12}});
    return node;
  };
  CHECK(refusal([&](Graph &g) { g.nodes.insert(g.nodes.begin() + 8, second_attention(g, 4)); }) == "accepted");
  CHECK(refusal([&](Graph &g) { g.nodes.insert(g.nodes.begin() + 8, second_attention(g, 3)); }) ==
        "node again (mla_attention): attribute kv_layer is 3 like that of another node");
  CHECK(refusal([&](Graph &g) { g.nodes.push_back(second_attention(g, 4)); }) ==
        "node again (mla_attention): comes after gather_rows, expected before");
}

TEST_CASE("results") {
  CHECK(refusal([](Graph &g) { g.hidden = g.logits = kAbsent; }) == "graph tiny gives out neither hidden nor logits");
  CHECK(refusal([](Graph &g) { g.hidden = kAbsent; }) == "accepted");
  CHECK(refusal([](Graph &g) { g.logits = 43; }) == "logits tensor 43 does not exist, there are 43");
  CHECK(refusal([](Graph &g) { g.hidden = 1; }) ==
        "hidden tensor 1 (embed) is f32[T, 16], expected an activation of type f32 and gathered rows [To, ...]");
  CHECK(refusal([](Graph &g) { g.hidden = 0; }) ==
        "hidden tensor 0 (embed) is bf16[40, 16], expected an activation of type f32 and gathered rows [To, ...]");
}

// Ops that no model of the family uses yet: one node of each, between ranks or to the host.
TEST_CASE("ops between ranks") {
  const auto with = [](Op op, int64_t columns, std::vector<Attribute> attributes) {
    Graph graph = made_tiny_graph();
    Node node;
    node.op = op;
    node.version = 1;
    node.name = "extra";
    node.inputs = {1};
    node.outputs = {static_cast<uint32_t>(graph.tensors.size())};
    node.attributes = std::move(attributes);
    graph.tensors.push_back({"extra", TensorKind::kActivation, DType::kF32, {kRows, columns}});
    graph.nodes.push_back(std::move(node));
    const Status status = verify(graph);
    return std::string(status.ok() ? "accepted" : status.message());
  };
  const auto ranks = [](int64_t rank, int64_t world) {
    return std::vector<Attribute>{{Attr::kRank, rank, 0, {}}, {Attr::kWorld, world, 0, {}}};
  };
  CHECK(with(Op::kAllReduce, 16, ranks(1, 2)) == "accepted");
  CHECK(with(Op::kAllGather, 32, ranks(1, 2)) == "accepted");
  CHECK(with(Op::kReduceScatter, 8, ranks(1, 2)) == "accepted");
  CHECK(with(Op::kAllToAll, 16, ranks(0, 1)) == "accepted");
  CHECK(with(Op::kCopy, 16, {}) == "accepted");
  CHECK(with(Op::kForeign, 5, {{Attr::kForeignId, 7, 0, {}}}) == "accepted");
  CHECK(with(Op::kAllReduce, 16, ranks(2, 2)) ==
        "node extra (all_reduce): attribute rank is 2, expected less than world = 2");
  CHECK(with(Op::kAllGather, 16, ranks(1, 2)) ==
        "node extra (all_gather): output out [T, 16] has 16 columns, expected D * world = 16 * 2 = 32");
  CHECK(with(Op::kReduceScatter, 5, ranks(1, 3)) ==
        "node extra (reduce_scatter): output out [T, 5] has 5 columns, expected a whole number: D / world = 16 / 3");
}
