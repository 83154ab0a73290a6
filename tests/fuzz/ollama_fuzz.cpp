// Any bytes as a manifest of Ollama's, and as a layer of parameters.
#include <vector>

#include "format/ollama.h"

using namespace deepseam;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::vector<uint8_t> file(data, data + size);
  auto source = open_memory("fuzz", file);
  if (!source.ok()) return 0;
  auto manifest = read_ollama_manifest(*source.value());
  if (!manifest.ok() && manifest.status().message()[0] == 0) __builtin_trap();
  if (manifest.ok() && manifest->has_value())
    for (const char c : ollama_blob_name((*manifest)->model))
      if (c == '/' || c == '.' || c == '\\') __builtin_trap();  // it becomes a file name
  auto parameters = parse_ollama_parameters("fuzz", {reinterpret_cast<const char *>(file.data()), file.size()});
  if (!parameters.ok() && parameters.status().message()[0] == 0) __builtin_trap();
  return 0;
}
