// Each impossible value of a configuration is refused with its sentence.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tiny_config.h"

using namespace deepseam;
using namespace deepseam::model;

namespace {

std::string refusal(const HfConfig &given) {
  auto config = make_config(given, "config.json");
  if (config.ok()) return "accepted";
  CHECK(config.status().code() == DS_E_MODEL);
  CHECK(config.status().failure()->path == "config.json");
  return config.status().message();
}

template <typename Change>
std::string refused(Change change, HfConfig given = tiny_v2()) {
  change(given);
  return refusal(given);
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr int64_t kHuge = std::numeric_limits<int64_t>::max();

}  // namespace

TEST_CASE("values arrive under their names") {
  auto made = make_config(tiny_v3(), "config.json");
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  const Config &c = *made;
  CHECK(c.family == Family::kV3);
  CHECK(c.vocab_size == 40);
  CHECK(c.hidden_size == 16);
  CHECK(c.num_hidden_layers == 2);
  CHECK(c.num_attention_heads == 2);
  CHECK(c.q_lora_rank == 14);
  CHECK(c.kv_lora_rank == 12);
  CHECK(c.qk_head_dim() == 12);
  CHECK(c.v_head_dim == 6);
  CHECK(c.intermediate_size == 20);
  CHECK(c.moe_intermediate_size == 10);
  CHECK(c.n_routed_experts == 8);
  CHECK(c.num_experts_per_tok == 2);
  CHECK(c.n_shared_experts == 1);
  CHECK(c.n_group == 4);
  CHECK(c.topk_group == 2);
  CHECK(c.topk_method == TopkMethod::kNoauxTc);
  CHECK(c.sigmoid_scores);
  CHECK(c.norm_topk_prob);
  CHECK(c.routed_scaling_factor == 2.5);
  CHECK(c.yarn.on);
  CHECK(c.yarn.factor == 40);
  CHECK(c.yarn.original_max_position_embeddings == 64);
  CHECK(c.yarn.beta_fast == 32);
  CHECK(c.yarn.mscale_all_dim == 1);
  CHECK(c.num_nextn_predict_layers == 1);
}

TEST_CASE("absent fields take the family's defaults") {
  HfConfig given = tiny_v2();
  given.topk_method.reset();
  given.scoring_func.reset();
  given.norm_topk_prob.reset();
  auto v2 = make_config(given, "config.json");
  REQUIRE(v2.ok());
  CHECK(v2->topk_method == TopkMethod::kGreedy);
  CHECK_FALSE(v2->sigmoid_scores);
  given.model_type = "deepseek_v3";
  auto v3 = make_config(given, "config.json");
  REQUIRE(v3.ok());
  CHECK(v3->topk_method == TopkMethod::kNoauxTc);
  CHECK(v3->sigmoid_scores);
  CHECK(v3->norm_topk_prob);
}

TEST_CASE("which layers are MoE") {
  HfConfig given = tiny_v2();
  given.num_hidden_layers = 8;
  given.first_k_dense_replace = 3;
  given.moe_layer_freq = 2;
  auto config = make_config(given, "config.json");
  REQUIRE(config.ok());
  CHECK_FALSE(config->is_moe(2));
  CHECK_FALSE(config->is_moe(3));
  CHECK(config->is_moe(4));
  CHECK(config->n_moe_layers() == 2);
}

TEST_CASE("a model without experts needs none of their fields") {
  HfConfig given = tiny_v2();
  given.n_routed_experts = 0;
  given.num_experts_per_tok.reset();
  given.moe_intermediate_size.reset();
  given.topk_method = "something";
  CHECK(refusal(given) == "accepted");
}

TEST_CASE("a model without dense layers needs no dense width") {
  HfConfig given = tiny_v2();
  given.first_k_dense_replace = 0;
  given.intermediate_size.reset();
  CHECK(refusal(given) == "accepted");
}

TEST_CASE("impossible sizes are refused with field, found and expected") {
  CHECK(refused([](HfConfig &c) { c.vocab_size.reset(); }) ==
        "config.json: vocab_size is missing, expected 2 to 16777216");
  CHECK(refused([](HfConfig &c) { c.vocab_size = 1; }) == "config.json: vocab_size is 1, expected 2 to 16777216");
  CHECK(refused([](HfConfig &c) { c.hidden_size = 0; }) == "config.json: hidden_size is 0, expected 1 to 131072");
  CHECK(refused([](HfConfig &c) { c.hidden_size = -16; }) == "config.json: hidden_size is -16, expected 1 to 131072");
  CHECK(refused([](HfConfig &c) { c.hidden_size = kHuge; }) ==
        "config.json: hidden_size is 9223372036854775807, expected 1 to 131072");
  CHECK(refused([](HfConfig &c) { c.num_hidden_layers = 513; }) ==
        "config.json: num_hidden_layers is 513, expected 1 to 512");
  CHECK(refused([](HfConfig &c) { c.num_attention_heads = 0; }) ==
        "config.json: num_attention_heads is 0, expected 1 to 4096");
  CHECK(refused([](HfConfig &c) { c.num_key_value_heads = 1; }) ==
        "config.json: num_key_value_heads is 1, expected num_attention_heads = 2");
  CHECK(refused([](HfConfig &c) { c.q_lora_rank = 0; }) == "config.json: q_lora_rank is 0, expected 1 to 65536");
  CHECK(refused([](HfConfig &c) { c.kv_lora_rank.reset(); }) ==
        "config.json: kv_lora_rank is missing, expected 1 to 65536");
  CHECK(refused([](HfConfig &c) { c.qk_nope_head_dim = 0; }) ==
        "config.json: qk_nope_head_dim is 0, expected 1 to 4096");
  CHECK(refused([](HfConfig &c) { c.qk_rope_head_dim = 7; }) ==
        "config.json: qk_rope_head_dim is 7, expected an even number");
  CHECK(refused([](HfConfig &c) { c.v_head_dim = kHuge; }) ==
        "config.json: v_head_dim is 9223372036854775807, expected 1 to 4096");
  CHECK(refused([](HfConfig &c) { c.intermediate_size.reset(); }) ==
        "config.json: intermediate_size is missing, expected 1 to 1048576");
  CHECK(refused([](HfConfig &c) { c.max_position_embeddings = 0; }) ==
        "config.json: max_position_embeddings is 0, expected 1 to 1073741824");
  CHECK(refused([](HfConfig &c) { c.num_nextn_predict_layers = -1; }) ==
        "config.json: num_nextn_predict_layers is -1, expected 0 to 8");
}

TEST_CASE("impossible gates are refused") {
  CHECK(refused([](HfConfig &c) { c.num_experts_per_tok = 9; }) ==
        "config.json: num_experts_per_tok is 9, expected at most n_routed_experts = 8");
  CHECK(refused([](HfConfig &c) { c.n_routed_experts = -8; }) ==
        "config.json: n_routed_experts is -8, expected 0 to 4096");
  CHECK(refused([](HfConfig &c) { c.moe_layer_freq = 0; }) ==
        "config.json: moe_layer_freq is 0, expected 1 to 1073741824");
  CHECK(refused([](HfConfig &c) { c.n_group = 3; }, tiny_v3()) ==
        "config.json: n_group is 3, expected a divisor of n_routed_experts = 8");
  CHECK(refused([](HfConfig &c) { c.n_group = 0; }, tiny_v3()) == "config.json: n_group is 0, expected 1 to 4096");
  CHECK(refused([](HfConfig &c) { c.topk_group = 5; }, tiny_v3()) ==
        "config.json: topk_group is 5, expected at most n_group = 4");
  CHECK(refused([](HfConfig &c) { c.num_experts_per_tok = 5; }, tiny_v3()) ==
        "config.json: num_experts_per_tok is 5, expected at most topk_group * n_routed_experts / n_group = 4");
  CHECK(refused([](HfConfig &c) { c.n_group = 8; }, tiny_v3()) ==
        "config.json: n_group is 8, expected at least 2 of the 8 experts in every group (noaux_tc)");
  CHECK(refused([](HfConfig &c) { c.topk_method = "random"; }) ==
        "config.json: topk_method is 'random', expected greedy or group_limited_greedy or noaux_tc");
  CHECK(refused([](HfConfig &c) { c.scoring_func = "relu"; }) ==
        "config.json: scoring_func is 'relu', expected softmax or sigmoid");
  CHECK(refused([](HfConfig &c) { c.routed_scaling_factor = kNan; }) ==
        "config.json: routed_scaling_factor is nan, expected 1e-06 to 1e+06");
}

TEST_CASE("greedy gates ignore groups") {
  CHECK(refused([](HfConfig &c) { c.n_group = 3; }) == "accepted");
}

TEST_CASE("impossible numbers are refused") {
  CHECK(refused([](HfConfig &c) { c.rms_norm_eps = 0; }) == "config.json: rms_norm_eps is 0, expected 1e-30 to 0.1");
  CHECK(refused([](HfConfig &c) { c.rms_norm_eps = kNan; }) ==
        "config.json: rms_norm_eps is nan, expected 1e-30 to 0.1");
  CHECK(refused([](HfConfig &c) { c.rope_theta = 1; }) == "config.json: rope_theta is 1, expected 1.001 to 1e+12");
  CHECK(refused([](HfConfig &c) { c.rope_theta = kInf; }) == "config.json: rope_theta is inf, expected 1.001 to 1e+12");
  CHECK(refused([](HfConfig &c) { c.rope_factor = 0.5; }, tiny_v3()) ==
        "config.json: rope factor is 0.5, expected 1 to 1e+06");
  CHECK(refused([](HfConfig &c) { c.rope_factor.reset(); }, tiny_v3()) ==
        "config.json: rope factor is missing, expected 1 to 1e+06");
  CHECK(refused([](HfConfig &c) { c.rope_original_max_position_embeddings = 0; }, tiny_v3()) ==
        "config.json: rope original_max_position_embeddings is 0, expected 1 to 1073741824");
  CHECK(refused([](HfConfig &c) { c.rope_beta_slow = 64; }, tiny_v3()) ==
        "config.json: rope beta_slow is 64, expected 1e-06 to 32");
  CHECK(refused([](HfConfig &c) { c.rope_mscale_all_dim = -20; }, tiny_v3()) ==
        "config.json: rope mscale_all_dim is -20, expected 0 to 100");
}

TEST_CASE("models outside the family are refused") {
  CHECK(refused([](HfConfig &c) { c.model_type = "llama"; }) ==
        "config.json: model_type is 'llama', expected deepseek_v2 or deepseek_v3");
  CHECK(refused([](HfConfig &c) { c.model_type.reset(); }) ==
        "config.json: model_type is missing, expected deepseek_v2 or deepseek_v3");
  CHECK(refused([](HfConfig &c) { c.model_type = std::string(300, '\n'); }).size() < 200);
  CHECK(refused([](HfConfig &c) { c.hidden_act = "gelu"; }) == "config.json: hidden_act is 'gelu', expected silu");
  CHECK(refused([](HfConfig &c) { c.rope_type = "linear"; }) ==
        "config.json: rope type is 'linear', expected default or yarn");
  CHECK(refused([](HfConfig &c) { c.rope_interleave = false; }) ==
        "config.json: rope_interleave is false, expected true");
  CHECK(refused([](HfConfig &c) { c.quant_method = "hqq"; }) ==
        "config.json: quant_method is 'hqq', expected fp8 or compressed-tensors or awq or gptq");
}
