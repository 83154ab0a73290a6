// Any text as adapter_config.json: a failure has a sentence, what is taken has ranks and scales that can be used.
#include <cmath>
#include <string>

#include "format/lora.h"

using namespace deepseam;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string text(reinterpret_cast<const char *>(data), size);
  const auto config = parse_lora_config("adapter_config.json", text);
  if (!config.ok()) {
    if (config.status().message()[0] == 0) __builtin_trap();
    return 0;
  }
  for (const char *module :
       {"lm_head", "model.layers.0.self_attn.q_proj", "model.layers.1.mlp.experts.7.up_proj", ""}) {
    const uint32_t rank = config->rank_of(module);
    const double scale = config->scale_of(module);
    if (rank < 1 || rank > kMostLoraRank || !std::isfinite(scale) || scale <= 0) __builtin_trap();
  }
  return 0;
}
