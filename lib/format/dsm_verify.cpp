// Comparing the content of a .dsm with the hashes its directory states.
#include "base/hash.h"
#include "format/dsm.h"

namespace deepseam {
namespace {

class Verifier {
 public:
  Verifier(const Source &source, const CancelWord *cancel, const std::function<bool(uint64_t)> &progress,
           std::vector<Status> *all)
      : source_(source), cancel_(cancel), progress_(progress), all_(all) {}

  // A failure of the content itself is one to collect; being stopped is not.
  Status check(const std::string &what, const ByteRange &range, const Hash128 &expected) {
    Status status = compare(what, range, expected);
    if (status.ok() || !all_ || status.code() == DS_E_CANCELLED || status.code() == DS_E_STOPPED) return status;
    all_->push_back(std::move(status));
    return {};
  }

 private:
  Status compare(const std::string &what, const ByteRange &range, const Hash128 &expected) {
    Hasher hasher;
    for (uint64_t at = 0; at < range.bytes;) {
      if (is_cancelled(cancel_)) return Status(DS_E_CANCELLED);
      const uint64_t count = range.bytes - at < buffer_.size() ? range.bytes - at : buffer_.size();
      DS_TRY(source_.read_at(range.offset + at, {buffer_.data(), count}));
      hasher.add({buffer_.data(), count});
      at += count;
      done_ += count;
      if (progress_ && !progress_(done_)) return Status(DS_E_STOPPED);
    }
    if (hasher.value128() == expected) return {};
    return fail(DS_E_CHECKSUM, "dsm", "%s: %s (%llu bytes) differs from the hash that the directory states",
                source_.name().c_str(), what.c_str(), static_cast<unsigned long long>(range.bytes))
        .at(source_.name(), range.offset);
  }

  const Source &source_;
  const CancelWord *cancel_;
  const std::function<bool(uint64_t)> &progress_;
  std::vector<Status> *all_;
  std::vector<uint8_t> buffer_ = std::vector<uint8_t>(1 << 20);
  uint64_t done_ = 0;
};

}  // namespace

Status verify_dsm(const TensorDirectory &tensors, const DsmFile &file, const CancelWord *cancel,
                  const std::function<bool(uint64_t)> &progress, std::vector<Status> *all) {
  if (tensors.sources.empty() || tensors.tensors.size() != file.data_hashes.size())
    return fail(DS_E_ARGUMENT, "dsm", "verify: the tensor directory is not the one of this file");
  Verifier verifier(*tensors.sources[0], cancel, progress, all);
  for (size_t i = 0; i < tensors.tensors.size(); ++i) {
    const TensorInfo &tensor = tensors.tensors[i];
    DS_TRY(verifier.check("tensor '" + tensor.name + "'", tensor.range, file.data_hashes[i]));
    if (!tensor.has_scales) continue;
    DS_TRY(verifier.check("the scales of tensor '" + tensor.name + "'", tensor.scales.range, file.scale_hashes[i]));
  }
  if (file.tokenizer.range.bytes) DS_TRY(verifier.check("the tokenizer", file.tokenizer.range, file.tokenizer.hash));
  for (const DsmHint &hint : file.hints)
    DS_TRY(verifier.check("hint '" + hint.backend + "'", hint.section.range, hint.section.hash));
  return {};
}

}  // namespace deepseam
