// Text before the first zero byte as config.json, the bytes behind it as the safetensors file that it describes;
// without any, files of every packing. What opens is read to its last row, in numbers and in blocks.
#include <algorithm>
#include <string>
#include <vector>

#include "format/safetensors.h"
#include "format/tensor_read.h"
#include "unit/format/int4_samples.h"

using namespace deepseam;

namespace {

void read_all(const TensorDirectory &directory) {
  for (const TensorInfo &tensor : directory.tensors) {
    if (tensor.elements() > 4096 || tensor.dtype == DType::kNone) continue;
    auto reader = RowReader::open(directory, tensor);
    if (!reader.ok()) continue;  // groups that do not exist
    std::vector<float> rows(tensor.elements());
    if (!reader->read(0, tensor.rows(), rows.data()).ok()) __builtin_trap();  // the directory said it is there
    if (!tensor.int4) continue;
    std::vector<uint8_t> blocks(tensor.rows() * row_bytes(tensor.dtype, tensor.cols()));
    const Status status = reader->read_blocks(0, tensor.rows(), blocks.data());
    if (!status.ok() && status.message()[0] == 0) __builtin_trap();
  }
}

void open_and_read(const QuantScheme &scheme, std::span<const uint8_t> file) {
  auto source = open_memory("fuzz.safetensors", file);
  if (!source.ok()) return;
  auto directory = open_hf_tensors(source.value(), scheme);
  if (directory.ok()) read_all(directory.value());
  if (!directory.ok() && directory.status().message()[0] == 0) __builtin_trap();  // every failure has a sentence
}

std::vector<std::string> sample_files() {
  const test::Int4Sample sample = test::Int4Sample::random(8, 64, 32, 1);
  std::vector<std::string> files = {test::awq_file(sample), test::gptq_file(sample, 1),
                                    test::rows_file(sample, true, true), test::rows_file(sample, false, false)};
  for (const std::vector<uint64_t> &shape : {std::vector<uint64_t>{1, 1}, {4, 1}, {}}) {
    test::TensorFile file;
    file.add("m.weight", "F8_E4M3", {4, 6}, std::string(24, '\x38'));
    files.push_back(
        file.add("m.weight_scale", "BF16", shape, std::string(shape.empty() ? 2 : 2 * shape[0], '\x3f')).file());
  }
  return files;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const uint8_t *end = std::find(data, data + size, uint8_t{0});
  const auto scheme = parse_quant_config("config.json", {reinterpret_cast<const char *>(data), size_t(end - data)});
  if (!scheme.ok()) {
    if (scheme.status().message()[0] == 0) __builtin_trap();
    return 0;
  }
  if (scheme->ways.empty()) __builtin_trap();
  if (end != data + size) return open_and_read(scheme.value(), {end + 1, data + size}), 0;
  static const std::vector<std::string> files = sample_files();
  for (const std::string &file : files)
    open_and_read(scheme.value(), {reinterpret_cast<const uint8_t *>(file.data()), file.size()});
  return 0;
}
