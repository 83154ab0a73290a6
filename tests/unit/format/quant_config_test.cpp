#include "format/quant_config.h"

#include <doctest/doctest.h>

#include "samples.h"

using namespace deepseam;

namespace {

Result<QuantScheme> parse(const std::string &quant) {
  return parse_quant_config("config.json", "{\"quantization_config\":" + quant + "}");
}

// A compressed-tensors configuration of one group.
std::string compressed(const std::string &format, const std::string &weights, const std::string &more = "") {
  return R"({"quant_method":"compressed-tensors","format":")" + format +
         R"(","ignore":["lm_head","re:.*gate$"],"config_groups":{"group_0":{"targets":["Linear"],"weights":)" +
         weights + "}}" + more + "}";
}

}  // namespace

TEST_CASE("without a quantization 8-bit floats have DeepSeek's blocks") {
  for (const char *text : {"{}", R"({"quantization_config":null})", R"({"quantization_config":{}})"}) {
    const auto scheme = parse_quant_config("config.json", text);
    REQUIRE(scheme.ok());
    CHECK(scheme->method == QuantMethod::kNone);
    REQUIRE_EQ(scheme->ways.size(), 1);
    CHECK(scheme->ways[0].blocks == ScaleBlocks{128, 128});
  }
}

TEST_CASE("fp8: blocks, one scale a tensor, or what the tensors show") {
  auto scheme =
      parse(R"({"quant_method":"fp8","fmt":"e4m3","activation_scheme":"dynamic","weight_block_size":[64,32]})");
  REQUIRE(scheme.ok());
  CHECK(scheme->method == QuantMethod::kFp8);
  REQUIRE_EQ(scheme->ways.size(), 1);
  CHECK(scheme->ways[0].blocks == ScaleBlocks{64, 32});
  CHECK(scheme->notes.empty());
  scheme = parse(R"({"quant_method":"fp8","weight_block_size":null})");
  REQUIRE_EQ(scheme->ways.size(), 1);
  CHECK(scheme->ways[0].blocks == ScaleBlocks{0, 0});
  scheme = parse(R"({"quant_method":"fp8","activation_scheme":"static","ignored_layers":["lm_head"]})");
  REQUIRE_EQ(scheme->ways.size(), 2);
  CHECK(scheme->ways[1].blocks == ScaleBlocks{0, 0});
  REQUIRE_EQ(scheme->notes.size(), 1);
  CHECK(test::contains(scheme->notes[0].c_str(), "activation_scheme asks for quantised activations"));
}

TEST_CASE("awq and gptq") {
  auto scheme = parse(R"({"quant_method":"awq","bits":4,"group_size":64,"zero_point":true,"version":"GEMM"})");
  REQUIRE(scheme.ok());
  CHECK(scheme->method == QuantMethod::kAwq);
  CHECK(scheme->ways[0].integers);
  CHECK_EQ(scheme->ways[0].blocks.cols, 64);
  CHECK_FALSE(scheme->ways[0].symmetric);
  CHECK_EQ(scheme->zero_added, 0);
  scheme = parse(R"({"quant_method":"gptq","bits":4,"group_size":-1,"desc_act":true,"sym":true})");
  REQUIRE(scheme.ok());
  CHECK_EQ(scheme->ways[0].blocks.cols, 0);
  CHECK(scheme->ways[0].symmetric);
  CHECK(scheme->ways[0].scattered);
  CHECK_EQ(scheme->zero_added, 1);
  scheme = parse(
      R"({"quant_method":"gptq","bits":4,"group_size":128,"checkpoint_format":"gptq_v2","dynamic":{"-:.*gate":{}}})");
  REQUIRE(scheme.ok());
  CHECK_EQ(scheme->zero_added, 0);
}

TEST_CASE("compressed-tensors: strategies, act order, several groups") {
  const auto way = [](const std::string &format, const std::string &weights) {
    auto scheme = parse(compressed(format, weights));
    INFO(scheme.status().message());
    REQUIRE(scheme.ok());
    return scheme->ways[0];
  };
  const std::string f8 = R"({"num_bits":8,"type":"float","symmetric":true,"dynamic":false,"strategy":)";
  CHECK(way("float-quantized", f8 + R"("tensor"})").blocks == ScaleBlocks{0, 0});
  CHECK(way("naive-quantized", f8 + R"("channel"})").blocks == ScaleBlocks{1, 0});
  CHECK(way("float-quantized", f8 + R"("block","block_structure":[128,64]})").blocks == ScaleBlocks{128, 64});
  const std::string i4 = R"({"num_bits":4,"type":"int","strategy":)";
  const WeightScheme grouped = way("pack-quantized", i4 + R"("group","group_size":128,"actorder":"weight"})");
  CHECK(grouped.integers);
  CHECK(grouped.symmetric);
  CHECK_FALSE(grouped.scattered);
  CHECK(grouped.blocks == ScaleBlocks{1, 128});
  CHECK(way("pack-quantized", i4 + R"("channel","symmetric":false})").blocks == ScaleBlocks{1, 0});
  CHECK(way("pack-quantized", i4 + R"("group","group_size":32,"actorder":"group"})").scattered);
  CHECK(way("pack-quantized", i4 + R"("group","group_size":32,"actorder":true})").scattered);
  const auto both = parse(R"({"quant_method":"compressed-tensors","format":"mixed-precision","config_groups":{
    "a":{"format":"pack-quantized","weights":{"num_bits":4,"type":"int","strategy":"group","group_size":64}},
    "b":{"format":"float-quantized","input_activations":{"dynamic":true},
         "weights":{"num_bits":8,"type":"float","strategy":"channel"}}}})");
  REQUIRE(both.ok());
  CHECK_EQ(both->ways.size(), 2);
  CHECK_EQ(both->notes.size(), 1);
}

TEST_CASE("what is not read is refused by field, found and expected") {
  struct Case {
    std::string quant;
    const char *sentence;
  };
  const std::string i4 = R"({"num_bits":4,"type":"int","strategy":"group","group_size":128)";
  const Case cases[] = {
      {R"({"quant_method":"bitsandbytes"})",
       "config.json: quantization_config.quant_method is 'bitsandbytes', expected 'fp8' or 'compressed-tensors' or "
       "'awq' "
       "or 'gptq'"},
      {R"({"bits":4})", "quantization_config.quant_method is missing"},
      {R"({"quant_method":"fp8","fmt":"e5m2"})", "quantization_config.fmt is 'e5m2', expected 'e4m3' or 'e4m3fn'"},
      {R"({"quant_method":"awq","bits":8,"group_size":128})", "quantization_config.bits is 8, expected 4"},
      {R"({"quant_method":"awq","group_size":128})", "quantization_config.bits is missing, expected 4"},
      {R"({"quant_method":"awq","bits":4})", "group_size is missing, expected -1 or a multiple of 32"},
      {R"({"quant_method":"awq","bits":4,"group_size":48})", "group_size is 48, expected -1 or a multiple of 32"},
      {R"({"quant_method":"awq","bits":4,"group_size":128,"version":"gemv"})", "version is 'gemv', expected 'gemm'"},
      {R"({"quant_method":"awq","bits":4,"group_size":128,"backend":"llm-awq"})", "backend is 'llm-awq'"},
      {R"({"quant_method":"awq","bits":4,"group_size":128,"zero_point":false})", "zero_point is false, expected true"},
      {R"({"quant_method":"gptq","bits":3,"group_size":128})", "bits is 3, expected 4"},
      {R"({"quant_method":"gptq","bits":4,"group_size":0})", "group_size is 0"},
      {R"({"quant_method":"gptq","bits":4,"group_size":128,"checkpoint_format":"marlin"})",
       "checkpoint_format is 'marlin', expected 'gptq' or 'gptq_v2'"},
      {R"({"quant_method":"gptq","bits":4,"group_size":128,"pack_dtype":"int16"})", "pack_dtype is 'int16'"},
      {R"({"quant_method":"gptq","bits":4,"group_size":128,"dynamic":{".*down.*":{"bits":8}}})",
       "dynamic is a list with other settings for some modules, expected one setting"},
      {R"({"quant_method":"compressed-tensors","config_groups":{}})", "config_groups is 0 groups, expected 1 to 64"},
      {compressed("int-quantized", i4 + "}"), "quantization_config.format is 'int-quantized'"},
      {compressed("float-quantized", i4 + "}"), "group_0.weights.type is 'int', expected 'float'"},
      {compressed("pack-quantized", R"({"num_bits":8,"type":"int","strategy":"channel"})"),
       "num_bits is 8, expected 4"},
      {compressed("pack-quantized", R"({"num_bits":4,"type":"int","strategy":"tensor"})"), "strategy is 'tensor'"},
      {compressed("pack-quantized", R"({"num_bits":4,"type":"int"})"), "strategy is missing"},
      {compressed("float-quantized", R"({"num_bits":8,"type":"float","strategy":"channel","actorder":"group"})"),
       "actorder is 'group'"},
      {compressed("pack-quantized", i4 + R"(,"dynamic":true})"), "dynamic is true, expected false"},
      {compressed("pack-quantized", i4 + "}", R"(,"sparsity_config":{"format":"sparse-24-bitmask"})"),
       "sparsity_config.format is 'sparse-24-bitmask', expected 'dense'"},
      {compressed("pack-quantized", i4 + "}", R"(,"transform_config":{"config_groups":{}})"),
       "transform_config is an object, expected nothing"},
      {R"({"quant_method":"compressed-tensors","format":"float-quantized","config_groups":{"g":{"weights":null}}})",
       "config_groups is without weights"},
  };
  for (const Case &each : cases) {
    INFO(each.quant);
    CHECK_FAILS(parse(each.quant), DS_E_UNSUPPORTED, each.sentence);
  }
}

TEST_CASE("a value of the wrong type is a damaged configuration") {
  const std::pair<const char *, const char *> cases[] = {
      {"[]", "quantization_config is a list of 0, expected an object"},
      {R"({"quant_method":4})", "quant_method is 4, expected a string"},
      {R"({"quant_method":"awq","bits":"4"})", "bits is '4', expected an integer"},
      {R"({"quant_method":"awq","bits":4,"group_size":128.5})", "group_size is 128.5, expected an integer"},
      {R"({"quant_method":"gptq","bits":4,"group_size":128,"desc_act":"no"})",
       "desc_act is 'no', expected true or false"},
      {R"({"quant_method":"fp8","weight_block_size":[128]})", "weight_block_size is a list of 1"},
      {R"({"quant_method":"fp8","weight_block_size":[0,128]})",
       "weight_block_size is 0 x 128, expected 1 to 2^20 each"},
      {R"({"quant_method":"fp8","ignored_layers":"lm_head"})",
       "ignored_layers is 'lm_head', expected a list of strings"},
      {R"({"quant_method":"compressed-tensors","ignore":[1],"config_groups":{}})", "ignore is a list with 1"},
      {R"({"quant_method":"compressed-tensors","config_groups":[]})",
       "config_groups is a list of 0, expected an object"},
  };
  for (const auto &[quant, sentence] : cases) {
    INFO(quant);
    CHECK_FAILS(parse(quant), DS_E_FORMAT, sentence);
  }
  CHECK_FAILS(parse_quant_config("config.json", "{"), DS_E_FORMAT, "config.json");
  const auto long_name = parse("{\"quant_method\":\"" + std::string(5000, 'x') + "\"}");
  CHECK_LT(std::strlen(long_name.status().message()), 300);
}
