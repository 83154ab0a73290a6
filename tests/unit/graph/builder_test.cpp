// What the builder derives, and that the first mistake is told at the end.
#include "tiny_graph.h"

using namespace deepseam;
using namespace deepseam::graph;

namespace {

const char kText[] = R"(graph tiny
embed: %1 f32[T, 16] = embed embed bf16[40, 16]
input_hidden: %2 f32[T, 16] = input_hidden
concat: %3 f32[T, 32] = concat %1, %2
eh_proj: %5 f32[T, 16] = linear %3, eh_proj bf16[16, 32]
layers.3.attn_norm: %7 f32[T, 16] = rms_norm %5, layers.3.attn_norm bf16[16] {eps 1e-06}
layers.3.q: %9 f32[T, 24] = linear %7, layers.3.q bf16[24, 16]
layers.3.kv_a: %12 f32[T, 16] = linear %7, layers.3.kv_a bf16[16, 16], layers.3.kv_a.bias bf16[16]
layers.3.attn: %15 f32[T, 12] = mla_attention %9, %12, layers.3.kv_a_norm bf16[12], layers.3.kv_b bf16[28, 12] {eps 1e-06, kv_layer 3, num_attention_heads 2, qk_nope_head_dim 8, qk_rope_head_dim 4, v_head_dim 6, kv_lora_rank 12, softmax_scale 0.25, rope_scale 1, inv_freq [1 .. 0.01; 2]}
layers.3.o: %17 f32[T, 16] = linear %15, layers.3.o bf16[16, 12]
layers.3.add: %18 f32[T, 16] = add %5, %17
layers.3.router: %21 i32[T, 2], %22 f32[T, 2] = moe_route %18, layers.3.router f32[8, 16], layers.3.router.bias f32[8] {n_routed_experts 8, num_experts_per_tok 2, scoring_func 1, group_score 2, n_group 4, topk_group 2, norm_topk_prob 1, routed_scaling_factor 2.5, moe_layer 0}
layers.3.experts: %29 f32[T, 16] = moe_experts %18, %21, %22, experts.gate q4_0[8, 10, 16], experts.up q4_0[8, 10, 16], experts.down q4_0[8, 16, 10], shared.gate bf16[20, 16], shared.up bf16[20, 16], shared.down bf16[16, 20] {n_routed_experts 8, expert_begin 0, expert_count 8}
layers.3.add.2: %30 f32[T, 16] = add %18, %29
gate: %32 f32[T, 20] = linear %30, gate bf16[20, 16]
up: %34 f32[T, 20] = linear %30, up bf16[20, 16]
layers.3.swiglu: %35 f32[T, 20] = swiglu %32, %34
down: %37 f32[T, 16] = linear %35, down bf16[16, 20]
gather_rows: %38 f32[To, 16] = gather_rows %37
final_norm: %40 f32[To, 16] = rms_norm %38, final_norm bf16[16] {eps 1e-06}
logits: %42 f32[To, 40] = lm_head %40, lm_head q8_0[40, 16] {n_vocab 33}
hidden %40 f32[To, 16]
logits %42 f32[To, 40]
)";

// The first mistake in a graph that ends properly.
template <typename Step>
std::string mistake(Step step) {
  GraphBuilder g("g");
  const Value x = g.embed(g.weight("embed", DType::kBF16, {40, kH}));
  step(g, x);
  g.output_hidden(g.gather_rows(x));
  auto made = g.finish();
  return made.ok() ? "accepted" : made.status().message();
}

}  // namespace

TEST_CASE("shapes, names and numbers of a whole graph") { CHECK(print(made_tiny_graph()) == kText); }

TEST_CASE("a graph can be printed whatever is wrong with it") {
  Graph graph = made_tiny_graph();
  graph.nodes[3].inputs[0] = 4000;
  graph.nodes[4].op = static_cast<Op>(99);
  graph.nodes[5].outputs[0] = 5000;
  graph.nodes[6].inputs[2] = kAbsent;
  graph.hidden = 6000;
  const std::string text = print(graph);
  CHECK(text.find("linear ?4000, eh_proj") != text.npos);
  CHECK(text.find("= ? %5") != text.npos);
  CHECK(text.find("?5000 = linear") != text.npos);
  CHECK(text.find("hidden ?6000") != text.npos);
}

TEST_CASE("a weight asked for twice is one tensor") {
  GraphBuilder g("g");
  const Value a = g.weight("w", DType::kBF16, {40, kH}), b = g.weight("w", DType::kBF16, {40, kH});
  CHECK(a.id == b.id);
}

TEST_CASE("a weight asked for with another shape is a mistake") {
  CHECK(mistake([](GraphBuilder &g, Value) {
          g.weight("embed", DType::kBF16, {41, kH});
        }) == "weight embed is asked for as bf16[41, 16], earlier as bf16[40, 16]");
}

TEST_CASE("the first of several mistakes is told") {
  CHECK(mistake([](GraphBuilder &g, Value x) {
          const Value y = g.rms_norm(x, g.weight("n", DType::kF32, {kH + 1}), 1e-6);
          g.add(y, y);
          g.rms_norm(x, g.weight("n2", DType::kF32, {kH + 2}), 1e-6);
        }) == "node n (rms_norm): input weight [17] has 17 entries, expected D = 16 as of input x");
}

TEST_CASE("a value of another graph is a mistake") {
  CHECK(mistake([](GraphBuilder &g, Value x) { g.add(x, Value{77}); }) ==
        "node add: input tensor 77 is not of this graph");
}

TEST_CASE("an absent value is a mistake where one is needed") {
  CHECK(mistake([](GraphBuilder &g, Value x) { g.add(x, Value{}); }) == "node add (add): input b is missing");
}

TEST_CASE("what nothing uses is left out") {
  GraphBuilder g("g");
  g.weight("unused", DType::kBF16, {4});
  g.output_hidden(g.gather_rows(g.embed(g.weight("embed", DType::kBF16, {40, kH}))));
  auto made = g.finish();
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  CHECK(made->tensors.size() == 3);
}

TEST_CASE("a builder is empty after finish") {
  GraphBuilder g("g");
  g.output_hidden(g.gather_rows(g.embed(g.weight("embed", DType::kBF16, {40, kH}))));
  CHECK(g.finish().ok());
  CHECK_FALSE(g.finish().ok());
}

TEST_CASE("a part of the experts is a node of its own kind") {
  GraphBuilder g("g");
  const Value x = g.embed(g.weight("embed", DType::kBF16, {40, kH}));
  const Routing routing = g.moe_route(x, g.weight("r", DType::kF32, {8, kH}), {}, [] {
    RouteOptions options;
    options.n_routed_experts = 8;
    options.num_experts_per_tok = 3;
    return options;
  }());
  ExpertWeights part;
  part.n_routed_experts = 8;
  part.expert_begin = 4;
  part.expert_count = 4;
  part.gate = g.weight("gate", DType::kF32, {4, 10, kH});
  part.up = g.weight("up", DType::kF32, {4, 10, kH});
  part.down = g.weight("down", DType::kF32, {4, kH, 10});
  g.output_hidden(g.gather_rows(g.moe_experts(x, routing, part)));
  auto made = g.finish();
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  CHECK(made->nodes[2].inputs.size() == 6);
  CHECK(made->nodes[2].get_int(Attr::kExpertBegin) == 4);
}
