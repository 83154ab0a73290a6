// Any text as config.json and generation_config.json; what parses is written and must parse to the same.
#include <string>

#include "format/hf_config.h"

using namespace deepseam;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::string text(reinterpret_cast<const char *>(data), size);
  auto config = parse_hf_config("config.json", text);
  if (config.ok()) {
    auto again = parse_hf_config("again", write_hf_config(config.value()));
    // Spellings that are not written (a scaled RoPE of type "default", blocks without a method) may differ; the rest
    // may not.
    if (!again.ok() || again->hidden_size != config->hidden_size || again->rope_theta != config->rope_theta)
      __builtin_trap();
  } else if (config.status().message()[0] == 0) {
    __builtin_trap();
  }
  auto generation = parse_generation_config("generation_config.json", text);
  if (generation.ok()) {
    auto again = parse_generation_config("again", write_generation_config(generation.value()));
    if (!again.ok() || !(again.value() == generation.value())) __builtin_trap();
  }
  return 0;
}
