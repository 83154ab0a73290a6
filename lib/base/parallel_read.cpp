#include "base/parallel_read.h"

#include <algorithm>
#include <atomic>
#include <mutex>

namespace deepseam {
namespace {

constexpr uint64_t kPiece = uint64_t{8} << 20;

struct Reading {
  const Source &source;
  uint64_t offset;
  std::span<uint8_t> into;
  const CancelWord *cancel;
  std::atomic<bool> failed{false};
  std::mutex lock;
  Status failure;

  static void run(void *user, uint32_t piece) {
    auto *self = static_cast<Reading *>(user);
    if (is_cancelled(self->cancel) || self->failed) return;
    const uint64_t begin = piece * kPiece, size = std::min<uint64_t>(kPiece, self->into.size() - begin);
    Status status = self->source.read_at(self->offset + begin, self->into.subspan(begin, size));
    if (status.ok()) return;
    const std::lock_guard guard(self->lock);
    if (!self->failed.exchange(true)) self->failure = std::move(status);
  }
};

}  // namespace

Status parallel_read(const Source &source, uint64_t offset, std::span<uint8_t> into, TaskRunner &runner,
                     const CancelWord *cancel) {
  Reading reading{source, offset, into, cancel, {}, {}, {}};
  runner.run(static_cast<uint32_t>((into.size() + kPiece - 1) / kPiece), Reading::run, &reading);
  if (is_cancelled(cancel)) return Status(DS_E_CANCELLED);
  return std::move(reading.failure);
}

}  // namespace deepseam
