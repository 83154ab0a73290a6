// Writes the seeds of the fuzz targets safetensors, config and dsm:  fuzz_format_seeds FOLDER
// Small files that between them reach every branch of the parsers' good paths.
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "format/dsm.h"
#include "format/safetensors.h"

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

}  // namespace

int main(int argc, char **argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: fuzz_format_seeds FOLDER\n"), 2;
  const std::string folder = argv[1];
  const bool written = write_safetensors(folder + "/safetensors") && write_configs(folder + "/config") &&
                       write_dsm(folder + "/dsm/small", false).ok() && write_dsm(folder + "/dsm/whole", true).ok();
  return written ? 0 : 1;
}
