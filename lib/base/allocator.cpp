#include "base/allocator.h"

#include <algorithm>
#include <cstdlib>
#if defined(_WIN32)
#include <malloc.h>
#elif defined(__linux__)
#include <sys/mman.h>
#endif

namespace deepseam {
namespace {

constexpr uint64_t kLargePage = 2u << 20;

// Weights, and what they are made from, are gigabytes that are written once from end to end: with pages of 2 MiB
// loading enters the kernel less often. What else is large is used in part, and would take more memory than it has to.
[[maybe_unused]] bool wants_large_pages(uint64_t size, uint32_t tag) {
  const bool filled =
      tag == static_cast<uint32_t>(MemoryTag::kWeights) || tag == static_cast<uint32_t>(MemoryTag::kStaging);
  return filled && size >= 4 * kLargePage;
}

// Not operator new: its aligned form wants the alignment back at delete, and release() is not told it.
void *heap_allocate(void *, uint64_t size, uint64_t alignment, [[maybe_unused]] uint32_t tag) {
  if (size > SIZE_MAX / 2) return nullptr;
#if defined(_WIN32)
  return ::_aligned_malloc(static_cast<size_t>(size), static_cast<size_t>(alignment));
#else
  void *memory = nullptr;
  const bool large = wants_large_pages(size, tag);
  const size_t at_least = std::max<size_t>(static_cast<size_t>(large ? kLargePage : alignment), sizeof(void *));
  if (::posix_memalign(&memory, at_least, static_cast<size_t>(size)) != 0) return nullptr;
#if defined(__linux__)
  if (large) ::madvise(memory, static_cast<size_t>(size / kLargePage * kLargePage), MADV_HUGEPAGE);  // only a wish
#endif
  return memory;
#endif
}

void heap_release(void *, void *memory, uint64_t, uint32_t) {
#if defined(_WIN32)
  ::_aligned_free(memory);
#else
  std::free(memory);
#endif
}

}  // namespace

const Allocator &default_allocator() noexcept {
  static constexpr Allocator kHeap{heap_allocate, heap_release, nullptr};
  return kHeap;
}

Result<Buffer> Buffer::make(const Allocator &allocator, uint64_t size, MemoryTag tag, uint64_t alignment) noexcept {
  Buffer buffer;
  if (size == 0) return buffer;
  void *memory = allocator.allocate(allocator.user, size, alignment, static_cast<uint32_t>(tag));
  if (!memory)
    return fail(DS_E_MEMORY, "memory", "cannot allocate %llu bytes", static_cast<unsigned long long>(size))
        .bytes(size, 0);
  buffer.allocator_ = allocator;
  buffer.data_ = memory;
  buffer.size_ = size;
  buffer.tag_ = tag;
  return buffer;
}

void Buffer::reset() noexcept {
  if (data_) allocator_.release(allocator_.user, data_, size_, static_cast<uint32_t>(tag_));
  data_ = nullptr;
  size_ = 0;
}

}  // namespace deepseam
