#include "format/hf_config.h"

#include <doctest/doctest.h>

#include "samples.h"

using namespace deepseam;

namespace {

HfConfig parsed(const std::string &text) {
  auto config = parse_hf_config("config.json", text);
  if (!config.ok()) FAIL(std::string(config.status().message()));
  return config.value();
}

}  // namespace

TEST_CASE("absent and null fields take the family's defaults") {
  const HfConfig v2 = parsed(R"({"model_type":"deepseek_v2","q_lora_rank":null,"n_routed_experts":null})");
  CHECK_FALSE(v2.q_lora_rank.has_value());
  CHECK_FALSE(v2.hidden_size.has_value());
  CHECK_EQ(*v2.n_routed_experts, 0);
  CHECK_EQ(*v2.moe_layer_freq, 1);
  CHECK_EQ(*v2.topk_method, "greedy");
  CHECK_EQ(*v2.scoring_func, "softmax");
  CHECK_EQ(*v2.norm_topk_prob, false);
  CHECK_EQ(*v2.rms_norm_eps, 1e-6);
  CHECK_EQ(*v2.rope_theta, 10000.0);
  CHECK_EQ(*v2.rope_type, "default");
  CHECK_EQ(v2.quant_block_rows, 128);
  const HfConfig v3 = parsed(R"({"model_type":"deepseek_v3"})");
  CHECK_EQ(*v3.topk_method, "noaux_tc");
  CHECK_EQ(*v3.scoring_func, "sigmoid");
  CHECK_EQ(*v3.norm_topk_prob, true);
}

TEST_CASE("what the file says beats the family's default") {
  const HfConfig v3 = parsed(R"({"model_type":"deepseek_v3","topk_method":"greedy","norm_topk_prob":false})");
  CHECK_EQ(*v3.topk_method, "greedy");
  CHECK_EQ(*v3.norm_topk_prob, false);
}

TEST_CASE("old and new spellings mean the same") {
  const HfConfig old_style = parsed(R"({"model_type":"deepseek_v2","torch_dtype":"bfloat16","rope_theta":5000,
    "rope_scaling":{"type":"yarn","factor":40,"original_max_position_embeddings":4096,"beta_fast":32,"beta_slow":1,
    "mscale":0.707,"mscale_all_dim":0.707}})");
  const HfConfig new_style = parsed(R"({"model_type":"deepseek_v2","dtype":"bfloat16",
    "rope_parameters":{"rope_type":"yarn","rope_theta":5000,"factor":40.0,"original_max_position_embeddings":4096,
    "beta_fast":32.0,"beta_slow":1.0,"mscale":0.707,"mscale_all_dim":0.707}})");
  CHECK(old_style == new_style);
  CHECK_EQ(*old_style.rope_type, "yarn");
  CHECK_EQ(*old_style.rope_theta, 5000.0);
  CHECK_EQ(*old_style.rope_factor, 40.0);
  CHECK_EQ(*old_style.rope_original_max_position_embeddings, 4096);
  CHECK_EQ(*old_style.rope_mscale_all_dim, 0.707);
  CHECK_EQ(*old_style.torch_dtype, "bfloat16");
}

TEST_CASE("null rope_scaling is none") {
  CHECK_EQ(*parsed(R"({"model_type":"deepseek_v2","rope_scaling":null})").rope_type, "default");
}

TEST_CASE("rope_parameters wins over rope_scaling, rope_type over type") {
  const HfConfig both = parsed(R"({"rope_scaling":{"type":"linear","factor":2},
    "rope_parameters":{"rope_type":"yarn","type":"other","factor":8}})");
  CHECK_EQ(*both.rope_type, "yarn");
  CHECK_EQ(*both.rope_factor, 8.0);
}

TEST_CASE("end tokens are one number or a list") {
  CHECK_EQ(parsed(R"({"eos_token_id":7})").eos_token_ids, std::vector<int64_t>{7});
  CHECK_EQ(parsed(R"({"eos_token_id":[7,9]})").eos_token_ids, std::vector<int64_t>{7, 9});
  CHECK(parsed(R"({"eos_token_id":null})").eos_token_ids.empty());
}

TEST_CASE("quantization_config") {
  const HfConfig fp8 = parsed(R"({"quantization_config":{"quant_method":"fp8","fmt":"e4m3",
    "activation_scheme":"dynamic","weight_block_size":[64,32]}})");
  CHECK_EQ(*fp8.quant_method, "fp8");
  CHECK_EQ(*fp8.quant_format, "e4m3");
  CHECK_EQ(fp8.quant_block_rows, 64);
  CHECK_EQ(fp8.quant_block_cols, 32);
  CHECK_EQ(parsed(R"({"quantization_config":{"quant_method":"fp8","weight_block_size":null}})").quant_block_rows, 0);
}

TEST_CASE("a value of the wrong type is named with what was found") {
  struct Case {
    const char *text, *field, *found;
  };
  const Case cases[] = {
      {R"({"hidden_size":"2048"})", "'hidden_size' must be an integer", "a string"},
      {R"({"hidden_size":2048.5})", "'hidden_size' must be an integer", "a number with a fraction"},
      {R"({"rms_norm_eps":"1e-6"})", "'rms_norm_eps' must be a number", "a string"},
      {R"({"norm_topk_prob":1})", "'norm_topk_prob' must be true or false", "an integer"},
      {R"({"topk_method":false})", "'topk_method' must be a string", "a bool"},
      {R"({"rope_scaling":[1]})", "'rope_scaling' must be an object", "a list"},
      {R"({"rope_scaling":{"factor":{}}})", "'factor' must be a number", "an object"},
      {R"({"architectures":"X"})", "'architectures' must be a list of strings", "a string"},
      {R"({"architectures":[1]})", "'architectures' must be a list of strings", "an integer"},
      {R"({"eos_token_id":["a"]})", "'eos_token_id' must be a list of integers", "a string"},
      {R"({"quantization_config":{"weight_block_size":[128]}})", "'weight_block_size' must be a list of two", "a list"},
      {R"({"quantization_config":{"weight_block_size":[0,128]}})", "weight_block_size must lie between", "0 x 128"},
      {R"([])", "expected a JSON object", "a list"},
  };
  for (const Case &each : cases) {
    INFO(each.text);
    const auto config = parse_hf_config("dir/config.json", each.text);
    CHECK_FAILS(config, DS_E_FORMAT, each.field);
    CHECK(test::contains(config.status().message(), each.found));
    CHECK(test::contains(config.status().message(), "dir/config.json"));
  }
}

TEST_CASE("what is not JSON is refused") {
  for (const char *text : {"", "{", "{\"a\":1,\"a\":2}", "{\"hidden_size\":1e999}", "\xff\xfe"}) {
    INFO(text);
    CHECK_FAILS(parse_hf_config("config.json", text), DS_E_FORMAT, "config.json");
  }
}

TEST_CASE("a configuration survives being written and read") {
  HfConfig config = parsed(R"({"architectures":["DeepseekV3ForCausalLM"],"model_type":"deepseek_v3","hidden_size":7168,
    "q_lora_rank":1536,"routed_scaling_factor":2.5,"eos_token_id":[1,2],"rms_norm_eps":1e-6,"torch_dtype":"bfloat16",
    "rope_scaling":{"type":"yarn","factor":40,"mscale":0.707},
    "quantization_config":{"quant_method":"fp8","fmt":"e4m3","weight_block_size":[128,64]}})");
  CHECK(parsed(write_hf_config(config)) == config);
  config.quant_block_rows = config.quant_block_cols = 0;
  CHECK(parsed(write_hf_config(config)) == config);
  config.q_lora_rank.reset();
  config.routed_scaling_factor = 16;
  const std::string text = write_hf_config(config);
  CHECK(parsed(text) == config);
  CHECK(text.find("\"q_lora_rank\":null") != std::string::npos);
  CHECK(text.find("\"routed_scaling_factor\":16.0") != std::string::npos);
}

TEST_CASE("generation_config.json") {
  const char *text = R"({"_from_model_config":true,"do_sample":true,"temperature":0.3,"top_p":0.95,"top_k":null,
    "bos_token_id":0,"eos_token_id":[1,5],"transformers_version":"4.39"})";
  const auto defaults = parse_generation_config("generation_config.json", text);
  REQUIRE(defaults.ok());
  CHECK_EQ(*defaults->temperature, 0.3);
  CHECK_EQ(*defaults->top_p, 0.95);
  CHECK_EQ(*defaults->do_sample, true);
  CHECK_FALSE(defaults->top_k.has_value());
  CHECK_EQ(defaults->eos_token_ids, std::vector<int64_t>{1, 5});
  const auto again = parse_generation_config("again", write_generation_config(defaults.value()));
  REQUIRE(again.ok());
  CHECK(again.value() == defaults.value());
  CHECK_FAILS(parse_generation_config("g.json", R"({"temperature":"hot"})"), DS_E_FORMAT, "'temperature'");
}
