// The graphs of the two families, printed; and how gates become attributes.
#include <doctest/doctest.h>

#include <random>

#include "model/deepseek.h"
#include "tiny_config.h"
#include "tiny_directory.h"

using namespace deepseam;
using namespace deepseam::model;

namespace {

struct Built {
  Config config;
  TensorDirectory directory;
  WeightMap weights;
};

// The directory must stay where bindings point to: filled in place.
void build(const HfConfig &given, Built *built) {
  auto config = make_config(given, "config.json");
  REQUIRE_MESSAGE(config.ok(), config.status().message());
  built->config = *config;
  built->directory = hf_directory(built->config);
  auto weights = bind_weights(built->config, built->directory, "m");
  REQUIRE_MESSAGE(weights.ok(), weights.status().message());
  built->weights = std::move(*weights);
}

graph::Graph forward(const HfConfig &given, GraphOptions options = {}) {
  Built built;
  build(given, &built);
  auto made = build_forward(built.config, built.weights, options);
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  return std::move(*made);
}

const graph::Node &node(const graph::Graph &graph, graph::Op op, size_t nth = 0) {
  for (const graph::Node &candidate : graph.nodes)
    if (candidate.op == op && nth-- == 0) return candidate;
  static const graph::Node kNone;
  FAIL("no such node");
  return kNone;
}

const char kV2[] = R"(graph forward
embed: %1 f32[T, 16] = embed embed bf16[40, 16]
layers.0.attn_norm: %3 f32[T, 16] = rms_norm %1, layers.0.attn_norm bf16[16] {eps 1e-06}
layers.0.q: %5 f32[T, 24] = linear %3, layers.0.q bf16[24, 16]
layers.0.kv_a: %7 f32[T, 16] = linear %3, layers.0.kv_a bf16[16, 16]
layers.0.attn: %10 f32[T, 12] = mla_attention %5, %7, layers.0.kv_a_norm bf16[12], layers.0.kv_b bf16[28, 12] {eps 1e-06, kv_layer 0, num_attention_heads 2, qk_nope_head_dim 8, qk_rope_head_dim 4, v_head_dim 6, kv_lora_rank 12, softmax_scale 0.2886751345948129, rope_scale 1, inv_freq [1 .. 0.01; 2]}
layers.0.o: %12 f32[T, 16] = linear %10, layers.0.o bf16[16, 12]
layers.0.add: %13 f32[T, 16] = add %1, %12
layers.0.ffn_norm: %15 f32[T, 16] = rms_norm %13, layers.0.ffn_norm bf16[16] {eps 1e-06}
layers.0.gate: %17 f32[T, 20] = linear %15, layers.0.gate bf16[20, 16]
layers.0.up: %19 f32[T, 20] = linear %15, layers.0.up bf16[20, 16]
layers.0.swiglu: %20 f32[T, 20] = swiglu %17, %19
layers.0.down: %22 f32[T, 16] = linear %20, layers.0.down bf16[16, 20]
layers.0.add.2: %23 f32[T, 16] = add %13, %22
layers.1.attn_norm: %25 f32[T, 16] = rms_norm %23, layers.1.attn_norm bf16[16] {eps 1e-06}
layers.1.q: %27 f32[T, 24] = linear %25, layers.1.q bf16[24, 16]
layers.1.kv_a: %29 f32[T, 16] = linear %25, layers.1.kv_a bf16[16, 16]
layers.1.attn: %32 f32[T, 12] = mla_attention %27, %29, layers.1.kv_a_norm bf16[12], layers.1.kv_b bf16[28, 12] {eps 1e-06, kv_layer 1, num_attention_heads 2, qk_nope_head_dim 8, qk_rope_head_dim 4, v_head_dim 6, kv_lora_rank 12, softmax_scale 0.2886751345948129, rope_scale 1, inv_freq [1 .. 0.01; 2]}
layers.1.o: %34 f32[T, 16] = linear %32, layers.1.o bf16[16, 12]
layers.1.add: %35 f32[T, 16] = add %23, %34
layers.1.ffn_norm: %37 f32[T, 16] = rms_norm %35, layers.1.ffn_norm bf16[16] {eps 1e-06}
layers.1.router: %39 i32[T, 2], %40 f32[T, 2] = moe_route %37, layers.1.router bf16[8, 16] {n_routed_experts 8, num_experts_per_tok 2, scoring_func 0, group_score 0, n_group 1, topk_group 1, norm_topk_prob 0, routed_scaling_factor 1, moe_layer 0}
layers.1.experts: %47 f32[T, 16] = moe_experts %37, %39, %40, layers.1.experts.gate bf16[8, 10, 16], layers.1.experts.up bf16[8, 10, 16], layers.1.experts.down bf16[8, 16, 10], layers.1.shared.gate bf16[20, 16], layers.1.shared.up bf16[20, 16], layers.1.shared.down bf16[16, 20] {n_routed_experts 8, expert_begin 0, expert_count 8}
layers.1.add.2: %48 f32[T, 16] = add %35, %47
gather_rows: %49 f32[To, 16] = gather_rows %48
final_norm: %51 f32[To, 16] = rms_norm %49, final_norm bf16[16] {eps 1e-06}
logits: %53 f32[To, 40] = lm_head %51, lm_head bf16[40, 16] {n_vocab 40}
hidden %51 f32[To, 16]
logits %53 f32[To, 40]
)";

}  // namespace

TEST_CASE("V2 with plain queries, as text") { CHECK(graph::print(forward(tiny_v2())) == kV2); }

TEST_CASE("the norms of latents keep their own eps") {
  HfConfig given = tiny_v3();
  given.rms_norm_eps = 1e-5;
  const graph::Graph made = forward(given);
  CHECK(node(made, graph::Op::kRmsNorm, 0).get_float(graph::Attr::kEps) == 1e-5);  // attn_norm
  CHECK(node(made, graph::Op::kRmsNorm, 1).name == "layers.0.q_a_norm");
  CHECK(node(made, graph::Op::kRmsNorm, 1).get_float(graph::Attr::kEps) == 1e-6);
  CHECK(node(made, graph::Op::kMlaAttention).get_float(graph::Attr::kEps) == 1e-6);
}

TEST_CASE("low-rank queries go through their norm") {
  const graph::Graph made = forward(tiny_v3());
  CHECK(node(made, graph::Op::kLinear, 0).name == "layers.0.q_a");
  CHECK(node(made, graph::Op::kLinear, 1).name == "layers.0.q_b");
  CHECK(made.tensors[node(made, graph::Op::kLinear, 1).outputs[0]].shape == std::vector<int64_t>{graph::kRows, 24});
}

TEST_CASE("biases of attention are used if the model has them") {
  HfConfig given = tiny_v3();
  given.attention_bias = true;
  const graph::Graph made = forward(given);
  CHECK(node(made, graph::Op::kLinear, 0).inputs.size() == 3);  // q_a
  CHECK(node(made, graph::Op::kLinear, 1).inputs.size() == 2);  // q_b
  CHECK(node(made, graph::Op::kLinear, 2).inputs.size() == 3);  // kv_a
  CHECK(node(made, graph::Op::kLinear, 3).inputs.size() == 3);  // o
}

TEST_CASE("a tied model reads its embedding again") {
  HfConfig given = tiny_v2();
  given.tie_word_embeddings = true;
  const graph::Graph made = forward(given);
  CHECK(node(made, graph::Op::kLmHead).inputs[1] == node(made, graph::Op::kEmbed).inputs[0]);
}

TEST_CASE("ids without a token are told to lm_head") {
  CHECK(node(forward(tiny_v2(), {33}), graph::Op::kLmHead).get_int(graph::Attr::kNumVocab) == 33);
}

TEST_CASE("more tokens than the head has rows are refused") {
  Built built;
  build(tiny_v2(), &built);
  auto made = build_forward(built.config, built.weights, {41});
  REQUIRE_FALSE(made.ok());
  CHECK(std::string(made.status().message()) ==
        "node logits (lm_head): attribute n_vocab is 41, expected at most the 40 rows of input weight");
}

TEST_CASE("MoE layers are counted, KV layers are numbered") {
  HfConfig given = tiny_v2();
  given.num_hidden_layers = 4;
  given.first_k_dense_replace = 2;
  const graph::Graph made = forward(given);
  CHECK(node(made, graph::Op::kMoeRoute, 1).name == "layers.3.router");
  CHECK(node(made, graph::Op::kMoeRoute, 1).get_int(graph::Attr::kMoeLayer) == 1);
  CHECK(node(made, graph::Op::kMlaAttention, 3).get_int(graph::Attr::kKvLayer) == 3);
}

// Which attributes a gate becomes.
struct Gate {
  const char *method, *scores;
  bool norm;
  int64_t chosen, groups;
  int64_t group_score, norm_attribute;
  double scaling;
};

TEST_CASE("gates become attributes") {
  const Gate gates[] = {
      {"greedy", "softmax", false, 2, 4, 0, 0, 16},  // groups do not matter
      {"greedy", "softmax", true, 2, 1, 0, 1, 1},    // V2: normalised instead of scaled
      {"greedy", "softmax", true, 1, 1, 0, 0, 16},   // one expert: scaled as usual
      {"group_limited_greedy", "softmax", false, 2, 4, 1, 0, 16},
      {"group_limited_greedy", "softmax", true, 2, 4, 1, 1, 1},
      {"group_limited_greedy", "softmax", false, 2, 1, 0, 0, 16},  // one group is none
      {"noaux_tc", "sigmoid", true, 2, 4, 2, 1, 16},               // V3: both
      {"noaux_tc", "sigmoid", true, 1, 4, 2, 0, 16},
      {"noaux_tc", "sigmoid", false, 2, 1, 0, 0, 16},
  };
  for (const Gate &gate : gates) {
    CAPTURE(gate.method);
    CAPTURE(gate.norm);
    CAPTURE(gate.chosen);
    CAPTURE(gate.groups);
    HfConfig given = tiny_v2();
    given.topk_method = gate.method;
    given.scoring_func = gate.scores;
    given.norm_topk_prob = gate.norm;
    given.num_experts_per_tok = gate.chosen;
    given.n_group = gate.groups;
    given.topk_group = gate.groups == 1 ? 1 : 2;
    given.routed_scaling_factor = 16;
    const graph::Graph made = forward(given);
    const graph::Node &route = node(made, graph::Op::kMoeRoute);
    CHECK(route.get_int(graph::Attr::kGroupScore) == gate.group_score);
    CHECK(route.get_int(graph::Attr::kNumGroups) == (gate.group_score ? gate.groups : 1));
    CHECK(route.get_int(graph::Attr::kNormTopkProb) == gate.norm_attribute);
    CHECK(route.get_float(graph::Attr::kRoutedScaling) == gate.scaling);
    CHECK(route.get_int(graph::Attr::kScoringFunc) == (std::string(gate.scores) == "sigmoid"));
    CHECK(route.inputs.size() == (std::string(gate.method) == "noaux_tc" ? 3 : 2));
  }
}

TEST_CASE("the MTP module, as text") {
  Built built;
  build(tiny_v3(), &built);
  auto made = build_mtp(built.config, built.weights, 0, {});
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  const std::string text = graph::print(*made);
  const char kHead[] = R"(graph mtp.0
mtp.0.embed: %1 f32[T, 16] = embed mtp.0.embed bf16[40, 16]
mtp.0.input_hidden: %2 f32[T, 16] = input_hidden
mtp.0.enorm: %4 f32[T, 16] = rms_norm %1, mtp.0.enorm bf16[16] {eps 1e-06}
mtp.0.hnorm: %6 f32[T, 16] = rms_norm %2, mtp.0.hnorm bf16[16] {eps 1e-06}
mtp.0.concat: %7 f32[T, 32] = concat %4, %6
mtp.0.eh_proj: %9 f32[T, 16] = linear %7, mtp.0.eh_proj bf16[16, 32]
layers.2.attn_norm: )";
  const char kTail[] = R"(
mtp.0.gather_rows: %40 f32[To, 16] = gather_rows %39
mtp.0.head_norm: %42 f32[To, 16] = rms_norm %40, mtp.0.head_norm bf16[16] {eps 1e-06}
mtp.0.logits: %44 f32[To, 40] = lm_head %42, mtp.0.head bf16[40, 16] {n_vocab 40}
hidden %42 f32[To, 16]
logits %44 f32[To, 40]
)";
  CHECK(text.substr(0, sizeof kHead - 1) == kHead);
  CHECK(text.substr(text.size() - (sizeof kTail - 1)) == kTail);
  CHECK(node(*made, graph::Op::kMlaAttention).get_int(graph::Attr::kKvLayer) == 2);
  CHECK(node(*made, graph::Op::kMoeRoute).get_int(graph::Attr::kMoeLayer) == 0);
}

TEST_CASE("an MTP module without own embedding and head uses the main model's") {
  Built built;
  build(tiny_v3(), &built);
  built.directory.by_name.erase("model.layers.2.embed_tokens.weight");
  built.directory.by_name.erase("model.layers.2.shared_head.head.weight");
  built.weights = bind_weights(built.config, built.directory, "m").value();
  auto made = build_mtp(built.config, built.weights, 0, {});
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  CHECK(made->tensors[node(*made, graph::Op::kEmbed).inputs[0]].name == "embed");
  CHECK(made->tensors[node(*made, graph::Op::kLmHead).inputs[1]].name == "lm_head");
}

TEST_CASE("an MTP module that is not there is refused") {
  Built built;
  build(tiny_v3(), &built);
  CHECK(build_mtp(built.config, built.weights, 1, {}).status().code() == DS_E_UNSUPPORTED);
  CHECK(build_mtp(built.config, built.weights, -1, {}).status().code() == DS_E_UNSUPPORTED);
  built.weights.has_mtp = false;
  CHECK(std::string(build_mtp(built.config, built.weights, 0, {}).status().message()) ==
        "MTP module 0: the model has 0 in its file");
}

TEST_CASE("weights of another model are refused by name") {
  Built built;
  build(tiny_v2(), &built);
  built.config.q_lora_rank = 14;
  auto made = build_forward(built.config, built.weights, {});
  REQUIRE_FALSE(made.ok());
  CHECK(std::string(made.status().message()) == "node layers.0.linear (linear): input weight is missing");
}

// Values at both ends of what make_config lets through, and some in between.
int64_t draw(std::mt19937_64 &random, std::initializer_list<int64_t> values) {
  return values.begin()[random() % values.size()];
}

HfConfig random_config(uint64_t seed) {
  std::mt19937_64 random(seed);
  HfConfig given = random() % 2 ? tiny_v2() : tiny_v3();
  given.vocab_size = draw(random, {2, 40, 1 << 24});
  given.hidden_size = draw(random, {1, 16, 1 << 17});
  given.num_hidden_layers = seed % 100 == 0 ? 512 : draw(random, {1, 2, 3});
  given.num_attention_heads = draw(random, {1, 2, 4096});
  given.kv_lora_rank = draw(random, {1, 12, 1 << 16});
  given.qk_nope_head_dim = draw(random, {1, 8, 4096});
  given.qk_rope_head_dim = draw(random, {2, 4, 4096});
  given.v_head_dim = draw(random, {1, 6, 4096});
  if (random() % 2) given.q_lora_rank = draw(random, {1, 14, 1 << 16});
  given.intermediate_size = draw(random, {1, 20, 1 << 20});
  given.moe_intermediate_size = draw(random, {1, 10, 1 << 18});
  given.n_routed_experts = draw(random, {0, 1, 8, 4096});
  given.num_experts_per_tok = draw(random, {1, 2, 256});
  given.n_shared_experts = draw(random, {0, 1, 64});
  given.n_group = draw(random, {1, 2, 4});
  given.topk_group = draw(random, {1, 2});
  given.first_k_dense_replace = draw(random, {0, 1, 5});
  given.moe_layer_freq = draw(random, {1, 2});
  given.attention_bias = random() % 2 == 0;
  given.tie_word_embeddings = random() % 2 == 0;
  given.rms_norm_eps = random() % 2 ? 1e-30 : 0.1;
  given.rope_theta = random() % 2 ? 1.001 : 1e12;
  given.rope_factor = random() % 2 ? 1.0 : 1e6;
  given.rope_mscale = random() % 2 ? 0.0 : 100.0;
  given.rope_mscale_all_dim = random() % 2 ? 0.0 : 100.0;
  given.routed_scaling_factor = random() % 2 ? 1e-6 : 1e6;
  return given;
}

TEST_CASE("whatever configuration is accepted gives graphs that are") {
  size_t accepted = 0;
  for (uint64_t seed = 1; seed <= 250; ++seed) {
    CAPTURE(seed);
    auto config = make_config(random_config(seed), "config.json");
    if (!config.ok()) continue;
    ++accepted;
    const TensorDirectory directory = role_directory(*config, DType::kQ8_0);
    auto weights = bind_weights(*config, directory, "m");
    REQUIRE_MESSAGE(weights.ok(), weights.status().message());
    auto made = build_forward(*config, *weights, {});
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    if (!weights->has_mtp) continue;
    auto module = build_mtp(*config, *weights, 0, {});
    REQUIRE_MESSAGE(module.ok(), module.status().message());
  }
  CHECK(accepted > 50);
}
