// Memory that the host may want to see or to refuse: weights, KV blocks, scratch, results, packed layouts.
//
// Those go through an Allocator, which the host can replace per runtime. Small bookkeeping (vectors, strings) uses the
// C++ heap; both kinds of failure end in DS_E_MEMORY. A Buffer owns one allocation and returns it where it came from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "base/status.h"

namespace deepseam {

enum class MemoryTag : uint32_t { kOther = 0, kWeights = 1, kKv = 2, kScratch = 3, kResult = 4, kStaging = 5 };

// allocate returns NULL on failure; alignment is a power of two up to 4096. Both may be called from any thread.
struct Allocator {
  void *(*allocate)(void *user, uint64_t size, uint64_t alignment, uint32_t tag) = nullptr;
  void (*release)(void *user, void *memory, uint64_t size, uint32_t tag) = nullptr;
  void *user = nullptr;
};

const Allocator &default_allocator() noexcept;  // aligned heap memory

class Buffer {
 public:
  Buffer() = default;
  ~Buffer() { reset(); }
  Buffer(Buffer &&other) noexcept { swap(other); }
  Buffer &operator=(Buffer &&other) noexcept {
    swap(other);
    return *this;
  }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;

  // Not zeroed. Size 0 gives an empty buffer.
  static Result<Buffer> make(const Allocator &allocator, uint64_t size, MemoryTag tag,
                             uint64_t alignment = 64) noexcept;

  void reset() noexcept;
  uint8_t *data() noexcept { return static_cast<uint8_t *>(data_); }
  const uint8_t *data() const noexcept { return static_cast<const uint8_t *>(data_); }
  uint64_t size() const noexcept { return size_; }

 private:
  void swap(Buffer &other) noexcept {
    std::swap(allocator_, other.allocator_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(tag_, other.tag_);
  }
  Allocator allocator_{};
  void *data_ = nullptr;
  uint64_t size_ = 0;
  MemoryTag tag_ = MemoryTag::kOther;
};

}  // namespace deepseam
