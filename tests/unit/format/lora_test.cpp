#include "format/lora.h"

#include <doctest/doctest.h>

#include "samples.h"

using namespace deepseam;
using test::MemoryFolder;

namespace {

Result<LoraConfig> config(const std::string &more) {
  return parse_lora_config("adapter_config.json", R"({"peft_type":"LORA","r":4,"lora_alpha":8)" + more + "}");
}

constexpr const char *kWeights = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";

}  // namespace

TEST_CASE("rank and scale by module: the first pattern that fits, whole names and ends behind a dot") {
  const auto read = config(
      R"(,"use_rslora":false,"bias":"none","use_dora":false,"modules_to_save":null,"target_modules":["q_proj"],)"
      R"("rank_pattern":{"kv_b_proj":10},"alpha_pattern":{"layers.1.self_attn.o_proj":3,"o_proj":6,"^lm_head":1})");
  REQUIRE(read.ok());
  CHECK(read->rank_of("model.layers.0.self_attn.kv_b_proj") == 10);
  CHECK(read->rank_of("model.layers.0.self_attn.mkv_b_proj") == 4);
  CHECK(read->scale_of("model.layers.0.self_attn.kv_b_proj") == 0.8);
  CHECK(read->scale_of("model.layers.1.self_attn.o_proj") == 0.75);
  CHECK(read->scale_of("model.layers.2.self_attn.o_proj") == 1.5);
  CHECK(read->scale_of("lm_head") == 0.25);
  CHECK(read->scale_of("model.lm_head") == 2);
}

TEST_CASE("rslora divides by the root of the rank") {
  const auto read = config(R"(,"use_rslora":true)");
  REQUIRE(read.ok());
  CHECK(read->scale_of("q_proj") == 4);
}

TEST_CASE("what changes results and is not computed is refused by its field") {
  const char *const fields[] = {
      R"("use_dora":true)",
      R"("lora_bias":true)",
      R"("fan_in_fan_out":true)",
      R"("modules_to_save":["lm_head"])",
      R"("target_parameters":["w"])",
      R"("layer_replication":[[0,4]])",
      R"("use_qalora":true)",
      R"("trainable_token_indices":[1])",
      R"("arrow_config":{"k":1})",
      R"("alora_invocation_tokens":[1,2])",
      R"("bias":"lora_only")",
      R"("bias":3)",
      R"("init_lora_weights":"pissa_niter_4")",
      R"("alpha_pattern":{"layers.[01].*":2})",
  };
  for (const char *field : fields) {
    const std::string name = std::string(field).substr(1, std::string(field).find('"', 1) - 1);
    CHECK_FAILS(config(std::string(",") + field), DS_E_UNSUPPORTED, ("'" + name + "'").c_str());
  }
  CHECK_FAILS(parse_lora_config("c", R"({"peft_type":"IA3"})"), DS_E_UNSUPPORTED, "\"IA3\"");
  CHECK(config(R"(,"init_lora_weights":"gaussian","lora_bias":false,"modules_to_save":[])").ok());
}

TEST_CASE("fields that are missing, of another type or out of range") {
  CHECK_FAILS(parse_lora_config("c", "[]"), DS_E_FORMAT, "not a JSON object");
  CHECK_FAILS(parse_lora_config("c", "{"), DS_E_FORMAT, "c");
  CHECK_FAILS(parse_lora_config("c", R"({"r":4})"), DS_E_FORMAT, "'peft_type'");
  CHECK_FAILS(parse_lora_config("c", R"({"peft_type":"LORA","lora_alpha":8})"), DS_E_FORMAT, "'r'");
  CHECK_FAILS(parse_lora_config("c", R"({"peft_type":"LORA","r":0,"lora_alpha":8})"), DS_E_FORMAT, "'r'");
  CHECK_FAILS(parse_lora_config("c", R"({"peft_type":"LORA","r":513,"lora_alpha":8})"), DS_E_FORMAT, "'r'");
  CHECK_FAILS(parse_lora_config("c", R"({"peft_type":"LORA","r":4,"lora_alpha":"8"})"), DS_E_FORMAT, "'lora_alpha'");
  CHECK_FAILS(parse_lora_config("c", R"({"peft_type":"LORA","r":4,"lora_alpha":0})"), DS_E_FORMAT, "'lora_alpha'");
  CHECK_FAILS(config(R"(,"use_rslora":1)"), DS_E_FORMAT, "'use_rslora'");
  CHECK_FAILS(config(R"(,"rank_pattern":[])"), DS_E_FORMAT, "'rank_pattern'");
  CHECK_FAILS(config(R"(,"rank_pattern":{"q":1.5})"), DS_E_FORMAT, "'rank_pattern'");
  CHECK_FAILS(config(R"(,"rank_pattern":{"q":1e9})"), DS_E_FORMAT, "'rank_pattern'");
}

TEST_CASE("a folder: what is missing is named, a pickle is not read") {
  MemoryFolder folder;
  CHECK_FAILS(open_lora(folder), DS_E_NOT_FOUND, "adapter_config.json");
  folder.files["adapter_config.json"] = R"({"peft_type":"LORA","r":4,"lora_alpha":8})";
  CHECK_FAILS(open_lora(folder), DS_E_NOT_FOUND, "adapter_model.safetensors");
  folder.files["adapter_model.bin"] = "x";
  CHECK_FAILS(open_lora(folder), DS_E_UNSUPPORTED, "adapter_model.bin");
  folder.files["adapter_model.safetensors"] = "short";
  CHECK_FAILS(open_lora(folder), DS_E_FORMAT, "adapter_model.safetensors");
  folder.files["adapter_model.safetensors"] = test::safetensors_file(kWeights, "1234");
  const auto files = open_lora(folder);
  REQUIRE(files.ok());
  CHECK(files->tensors.tensors.size() == 1);
}
