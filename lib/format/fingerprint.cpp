#include "format/fingerprint.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "format/open_model.h"
#include "format/tensor_read.h"

namespace deepseam {
namespace {

constexpr uint64_t kSampleBytes = 4096;

// Tensors in the order of their names, which no container changes.
std::vector<uint32_t> name_order(const TensorDirectory &directory) {
  std::vector<uint32_t> order(directory.tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return directory.tensors[a].name < directory.tensors[b].name; });
  return order;
}

void add_shape(const TensorInfo &tensor, FingerprintHasher *hasher) {
  hasher->add(tensor.name);
  hasher->add(tensor.stored_type);
  hasher->add(tensor.shape.size());
  for (uint64_t dim : tensor.shape) hasher->add(dim);
  hasher->add(tensor.range.bytes);
  hasher->add(tensor.has_scales ? uint64_t{tensor.scales.block_rows} << 32 | tensor.scales.block_cols : 0);
  if (!tensor.int4) return;
  for (const uint64_t each :
       {static_cast<uint64_t>(tensor.int4->order), tensor.int4->group, static_cast<uint64_t>(tensor.int4->scale_type),
        uint64_t{tensor.int4->zero_added}, static_cast<uint64_t>(tensor.dtype)})
    hasher->add(each);
}

// The first and last 4 KiB, which are the whole of a small range.
Status add_sample(const TensorDirectory &directory, const ByteRange &range, FingerprintHasher *hasher) {
  uint8_t buffer[kSampleBytes];
  const uint64_t head = std::min(range.bytes, kSampleBytes);
  DS_TRY(read_range(directory, range, 0, {buffer, head}));
  hasher->add(std::span<const uint8_t>(buffer, head));
  const uint64_t tail = std::min(range.bytes - head, kSampleBytes);
  DS_TRY(read_range(directory, range, range.bytes - tail, {buffer, tail}));
  hasher->add(std::span<const uint8_t>(buffer, tail));
  return {};
}

}  // namespace

FingerprintHasher::FingerprintHasher(const char *domain) {
  const uint8_t which[2] = {1, 2};
  first_.add({which, 1});
  second_.add({which + 1, 1});
  add(std::string(domain));
}

void FingerprintHasher::add(std::span<const uint8_t> bytes) {
  const uint64_t size = bytes.size();
  for (Hasher *each : {&first_, &second_}) {
    each->add({reinterpret_cast<const uint8_t *>(&size), sizeof size});
    each->add(bytes);
  }
}

void FingerprintHasher::add(const std::string &text) {
  add(std::span<const uint8_t>(reinterpret_cast<const uint8_t *>(text.data()), text.size()));
}

void FingerprintHasher::add(uint64_t number) {
  add(std::span<const uint8_t>(reinterpret_cast<const uint8_t *>(&number), sizeof number));
}

void FingerprintHasher::add(const Hash128 &hash) {
  add(hash.low);
  add(hash.high);
}

Fingerprint FingerprintHasher::value() const {
  const Hash128 first = first_.value128(), second = second_.value128();
  const uint64_t words[4] = {first.low, first.high, second.low, second.high};
  Fingerprint fingerprint;
  std::memcpy(fingerprint.data(), words, sizeof words);
  return fingerprint;
}

Fingerprint dsm_fingerprint(const DsmFile &file) {
  FingerprintHasher hasher("dsm 1");
  hasher.add(write_hf_config(file.config));
  hasher.add(file.tokenizer.hash);
  for (uint32_t i : name_order(file.tensors)) {
    add_shape(file.tensors.tensors[i], &hasher);
    hasher.add(file.data_hashes[i]);
    hasher.add(file.scale_hashes[i]);
  }
  return hasher.value();
}

Result<Fingerprint> model_fingerprint(const ModelFiles &files, const CancelWord *cancel) {
  if (files.dsm) return files.dsm->fingerprint;
  FingerprintHasher hasher(files.gguf ? "gguf 1" : "safetensors 1");
  hasher.add(write_hf_config(files.config));
  if (files.gguf) hasher.add(files.gguf->metadata.bytes());
  DS_TRY_VALUE(const TokenizerData tokenizer, read_tokenizer(files));
  hasher.add(tokenizer.tokenizer_json);
  hasher.add(tokenizer.tokenizer_config_json);
  hasher.add(tokenizer.chat_template);
  for (uint32_t i : name_order(files.tensors)) {
    if (is_cancelled(cancel)) return Status(DS_E_CANCELLED);
    const TensorInfo &tensor = files.tensors.tensors[i];
    add_shape(tensor, &hasher);
    DS_TRY(add_sample(files.tensors, tensor.range, &hasher));
    if (tensor.has_scales) DS_TRY(add_sample(files.tensors, tensor.scales.range, &hasher));
    if (!tensor.int4) continue;
    for (const ByteRange *range : {&tensor.int4->scales, &tensor.int4->zeros, &tensor.int4->group_of})
      DS_TRY(add_sample(files.tensors, *range, &hasher));
  }
  return hasher.value();
}

}  // namespace deepseam
