// Any bytes as a safetensors file, and as the header of one; what opens is read to its last row.
#include <cstring>
#include <string>
#include <vector>

#include "format/safetensors.h"
#include "format/tensor_read.h"

using namespace deepseam;

namespace {

void open_and_read(const std::vector<uint8_t> &file) {
  auto source = open_memory("fuzz.safetensors", file);
  if (!source.ok()) return;
  auto raw = read_safetensors(source.value());
  if (!raw.ok() && raw.status().message()[0] == 0) __builtin_trap();  // every failure has a sentence
  auto joined = open_hf_tensors(source.value(), QuantScheme());
  if (!joined.ok()) return;
  for (const TensorInfo &tensor : joined->tensors) {
    auto reader = RowReader::open(joined.value(), tensor);
    if (!reader.ok() || tensor.elements() > 4096) continue;
    std::vector<float> rows(tensor.elements());
    if (!reader->read(0, tensor.rows(), rows.data()).ok()) __builtin_trap();  // the directory said it is there
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  open_and_read({data, data + size});
  std::vector<uint8_t> framed(8 + size + 18);  // the data of the seed `scaled`
  const uint64_t length = size;
  std::memcpy(framed.data(), &length, 8);
  if (size) std::memcpy(framed.data() + 8, data, size);
  open_and_read(framed);
  return 0;
}
