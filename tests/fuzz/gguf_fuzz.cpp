// Any bytes as a GGUF file; what opens is read to its last row, its keys become a configuration.
#include <vector>

#include "format/gguf_config.h"
#include "format/repack.h"
#include "format/tensor_read.h"

using namespace deepseam;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const std::vector<uint8_t> file(data, data + size);
  auto source = open_memory("fuzz.gguf", file);
  if (!source.ok()) return 0;
  auto gguf = open_gguf(source.value());
  if (!gguf.ok()) {
    if (gguf.status().message()[0] == 0) __builtin_trap();  // every failure has a sentence
    return 0;
  }
  const auto config = read_gguf_config(*gguf, "fuzz.gguf");
  if (!config.ok() && config.status().message()[0] == 0) __builtin_trap();
  for (const char *key : {"tokenizer.ggml.tokens", "tokenizer.ggml.merges", "a"}) {
    size_t bytes = 0;
    for (const std::string_view text : gguf->metadata.texts(key)) bytes += text.size();
    if (bytes > size) __builtin_trap();
    static_cast<void>(gguf->metadata.integers(key));
  }
  for (const TensorInfo &tensor : gguf->tensors.tensors) {
    auto reader = RowReader::open(gguf->tensors, tensor);
    if (!reader.ok() || tensor.elements() > 4096) continue;
    std::vector<float> rows(tensor.elements());
    if (!reader->read(0, tensor.rows(), rows.data()).ok()) __builtin_trap();  // the directory said it is there
    const RowsName name{tensor.name.c_str(), 0};
    const uint8_t *bytes = file.data() + tensor.range.offset;
    for (const DType to : {compute_dtype(tensor.dtype), basic_dtype(tensor.dtype)}) {
      std::vector<uint8_t> packed(tensor.rows() * row_bytes(to, tensor.cols()));
      static_cast<void>(repack_rows(tensor.dtype, to, bytes, tensor.rows(), tensor.cols(), packed.data(), name));
    }
  }
  return 0;
}
