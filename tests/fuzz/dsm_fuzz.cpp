// Any bytes as a .dsm file. Hashes would stop nearly every change, so the file is tried as it is and with its hashes
// put right, which is what someone who means harm would do.
#include <cstring>
#include <functional>
#include <vector>

#include "format/dsm.h"
#include "format/dsm_layout.h"
#include "format/open_model.h"
#include "format/tensor_read.h"

using namespace deepseam;

namespace {

void sign(std::vector<uint8_t> *file) {
  if (file->size() < kDsmHeaderBytes) return;
  uint8_t raw[kDsmHeaderBytes];
  std::memcpy(raw, file->data(), sizeof raw);
  DsmHeader header = load_dsm_header(raw);
  header.file_bytes = file->size();
  if (header.directory_offset <= file->size() && header.directory_bytes <= file->size() - header.directory_offset)
    header.directory_hash = hash128({file->data() + header.directory_offset, header.directory_bytes});
  store_dsm_header(header, raw);
  std::memcpy(file->data(), raw, sizeof raw);
}

void open_and_read(const std::vector<uint8_t> &file) {
  auto source = open_memory("fuzz.dsm", file);
  if (!source.ok()) return;
  auto files = open_model_files(source.value());
  if (!files.ok()) {
    if (files.status().message()[0] == 0) __builtin_trap();
    return;
  }
  static_cast<void>(read_tokenizer(files.value()).ok());
  static_cast<void>(verify_dsm(files->tensors, *files->dsm, nullptr, {}).ok());
  for (const TensorInfo &tensor : files->tensors.tensors) {
    auto reader = RowReader::open(files->tensors, tensor);
    if (!reader.ok() || tensor.elements() > 4096) continue;
    std::vector<float> rows(tensor.elements());
    if (!reader->read(0, tensor.rows(), rows.data()).ok()) __builtin_trap();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::vector<uint8_t> file(data, data + size);
  open_and_read(file);
  sign(&file);
  open_and_read(file);
  return 0;
}
