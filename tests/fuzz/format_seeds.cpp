// Writes the seeds of the fuzz targets safetensors, config, quant_config, dsm, gguf, ollama and lora:
//   fuzz_format_seeds FOLDER
// Small files that between them reach every branch of the parsers' good paths.
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "format/dsm.h"
#include "format/safetensors.h"
#include "unit/format/gguf_samples.h"
#include "unit/format/int4_samples.h"

using namespace deepseam;

namespace {

bool write(const std::string &path, const std::string &content) {
  return static_cast<bool>(
      std::ofstream(path, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size())));
}

bool write_safetensors(const std::string &folder) {
  TensorInfo weight, norm;
  weight.name = "model.layers.0.self_attn.o_proj.weight";
  weight.dtype = DType::kF8E4M3;
  weight.shape = {4, 8};
  norm.name = "model.norm.weight";
  norm.dtype = DType::kBF16;
  norm.shape = {8};
  const TensorInfo tensors[] = {weight, norm};
  const auto header = safetensors_header(tensors);
  if (!header.ok()) return false;
  const std::string typed =
      R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"BOOL","shape":[3,0],"data_offsets":[8,8]},"w.weight_scale_inv":{"dtype":"F32",)"
      R"("shape":[1,1],"data_offsets":[8,12]},"w.weight":{"dtype":"F8_E4M3","shape":[2,3],"data_offsets":[12,18]}})";
  const char length[8] = {static_cast<char>(typed.size() & 0xff), static_cast<char>(typed.size() >> 8)};
  return write(folder + "/plain", header.value() + std::string(48, 'w')) &&
         write(folder + "/scaled", std::string(length, 8) + typed + std::string(18, 's')) &&
         write(folder + "/header_only", typed);
}

bool write_configs(const std::string &folder) {
  return write(folder + "/v2",
               R"({"architectures":["DeepseekV2ForCausalLM"],"model_type":"deepseek_v2","vocab_size":512,
"hidden_size":64,"q_lora_rank":null,"kv_lora_rank":64,"topk_method":"greedy","norm_topk_prob":false,
"routed_scaling_factor":1.0,"rms_norm_eps":1e-06,"rope_theta":10000,"eos_token_id":1,"torch_dtype":"bfloat16",
"rope_scaling":{"type":"yarn","factor":40,"original_max_position_embeddings":64,"mscale":0.707}})") &&
         write(folder + "/v3", R"({"model_type":"deepseek_v3","dtype":"bfloat16","eos_token_id":[1,2],
"rope_parameters":{"rope_type":"yarn","rope_theta":1e4,"beta_fast":32,"beta_slow":1,"mscale_all_dim":1.0},
"quantization_config":{"quant_method":"fp8","fmt":"e4m3","activation_scheme":"dynamic","weight_block_size":[128,128]}})") &&
         write(folder + "/generation", R"({"do_sample":true,"temperature":0.3,"top_p":0.95,"eos_token_id":100001})");
}

// Configurations with a file of what they describe, and one alone.
bool write_quant_configs(const std::string &folder) {
  const auto config = [](const std::string &quant) { return "{\"quantization_config\":{" + quant + "}}"; };
  const std::string awq = config(R"("quant_method":"awq","bits":4,"group_size":32,"zero_point":true,"version":"gemm")");
  const std::string gptq = config(R"("quant_method":"gptq","bits":4,"group_size":32,"desc_act":true,"sym":false,)"
                                  R"("checkpoint_format":"gptq","pack_dtype":"int32","dynamic":{"-:gate":{}})");
  const std::string rows =
      config(R"("quant_method":"compressed-tensors","format":"mixed-precision","ignore":["lm_head"],)"
             R"("config_groups":{"a":{"format":"pack-quantized","weights":{"num_bits":4,"type":"int",)"
             R"("strategy":"group","group_size":32,"symmetric":false,"actorder":"group"}},)"
             R"("b":{"format":"float-quantized","input_activations":{},"weights":{"num_bits":8,)"
             R"("type":"float","strategy":"block","block_structure":[4,6]}}})");
  const std::string fp8 =
      config(R"("quant_method":"fp8","fmt":"e4m3","activation_scheme":"static","ignored_layers":["x"])");
  const std::string zero(1, '\0');
  test::Int4Sample sample = test::Int4Sample::random(8, 32, 32, 1);
  return write(folder + "/fp8", fp8) && write(folder + "/awq", awq + zero + test::awq_file(sample)) &&
         write(folder + "/gptq", gptq + zero + test::gptq_file(sample, 1)) &&
         write(folder + "/rows", rows + zero + test::rows_file(sample, true, true));
}

Status write_dsm(const std::string &path, bool whole) {
  DS_TRY_VALUE(DsmWriter writer, DsmWriter::create(path));
  const uint64_t plain[] = {3, 4}, stacked[] = {2, 3, 5}, blocks[] = {2, 40};
  DS_TRY(writer.begin_tensor("layers.0.attn_norm", DType::kF32, plain));
  DS_TRY(writer.append(std::vector<uint8_t>(48, 1)));
  DS_TRY(writer.end_tensor());
  if (whole) {
    DS_TRY(writer.begin_tensor("layers.0.experts.up", DType::kF8E4M3, stacked, 2, 4));
    DS_TRY(writer.append(std::vector<uint8_t>(30, 0x38)));
    DS_TRY(writer.append_scales(std::vector<float>(8, 0.5f)));
    DS_TRY(writer.end_tensor());
    DS_TRY(writer.begin_tensor("layers.0.q", DType::kQ4_0, blocks));
    DS_TRY(writer.append(std::vector<uint8_t>(72, 0x21)));
    DS_TRY(writer.end_tensor());
    DS_TRY(writer.add_tokenizer(std::vector<uint8_t>(20, 't')));
    DS_TRY(writer.add_hint("onednn", "layout", "avx2", std::vector<uint8_t>(10, 'h')));
  }
  HfConfig config;
  config.model_type = "deepseek_v3";
  config.architectures = {"DeepseekV3ForCausalLM"};
  config.hidden_size = 8;
  config.eos_token_ids = {1};
  GenerationDefaults generation;
  generation.temperature = 0.5;
  return writer.finish(config, generation, whole ? "card" : "");
}

bool write_gguf(const std::string &folder) {
  test::GgufBuilder small, blocks, split;
  small.text("general.architecture", "deepseek2").u32("general.alignment", 32).u32("deepseek2.block_count", 1);
  small.f32("deepseek2.rope.scaling.yarn_log_multiplier", 0.1f).text("deepseek2.rope.scaling.type", "yarn");
  small.texts("tokenizer.ggml.tokens", {"a", "b", "<|x|>"}).integers("tokenizer.ggml.token_type", {1, 1, 3});
  small.flag("deepseek2.expert_weights_norm", true).key("a", 9, test::gguf_raw<uint32_t>(0) + std::string(8, 0));
  small.tensor("token_embd.weight", {4, 2}, 1, std::string(16, 'e'))
      .tensor("blk.0.exp_probs_b.bias", {2}, 0, "12345678");
  blocks.text("general.architecture", "deepseek2");
#define DS_DTYPE(name, id, text, elements, bytes)
#define DS_STORED_DTYPE(name, id, text, elements, bytes, compute) \
  blocks.tensor(text, {elements}, id - 64, std::string(bytes, 0x35));
#include "base/dtype.def"
#undef DS_DTYPE
  split.u16("split.no", 1).u16("split.count", 2).tensor("a", {32}, 8, std::string(34, 'q'));
  return write(folder + "/small", small.file()) && write(folder + "/blocks", blocks.file()) &&
         write(folder + "/split", split.file());
}

bool write_ollama(const std::string &folder) {
  const std::string layer = R"({"mediaType":"application/vnd.ollama.image.model","digest":"sha256:)";
  return write(folder + "/manifest",
               R"({"schemaVersion":2,"layers":[)" + layer + std::string(64, 'a') + R"(","size":1}]})") &&
         write(folder + "/parameters", R"({"stop":["User:"],"temperature":0.5,"top_k":40,"num_predict":-1})");
}

bool write_lora(const std::string &folder) {
  return write(folder + "/plain",
               R"({"peft_type":"LORA","r":8,"lora_alpha":16,"target_modules":["q_proj"],"bias":"none"})") &&
         write(
             folder + "/patterns",
             R"({"peft_type":"LORA","r":8,"lora_alpha":2.5,"use_rslora":true,"use_dora":false,"modules_to_save":null,)"
             R"("rank_pattern":{"^lm_head":4,"kv_b_proj":2},"alpha_pattern":{"model.layers.0.self_attn.q_proj":1e-3},)"
             R"("init_lora_weights":"gaussian","fan_in_fan_out":false,"layer_replication":null,"lora_bias":false})") &&
         write(folder + "/refused", R"({"peft_type":"LORA","r":8,"lora_alpha":16,"use_dora":true})");
}

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: fuzz_format_seeds FOLDER\n"), 2;
  const std::string folder = argv[1];
  const bool written = write_safetensors(folder + "/safetensors") && write_configs(folder + "/config") &&
                       write_quant_configs(folder + "/quant_config") && write_dsm(folder + "/dsm/small", false).ok() &&
                       write_dsm(folder + "/dsm/whole", true).ok() && write_gguf(folder + "/gguf") &&
                       write_ollama(folder + "/ollama") && write_lora(folder + "/lora");
  return written ? 0 : 1;
}
