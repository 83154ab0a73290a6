#include "base/allocator.h"

#include <new>

namespace deepseam {
namespace {

void *heap_allocate(void *, uint64_t size, uint64_t alignment, uint32_t) {
  return ::operator new(size, std::align_val_t(alignment), std::nothrow);
}

// Sized by nothing: the aligned delete of every C++ library frees what the aligned new gave, for any alignment.
void heap_release(void *, void *memory, uint64_t, uint32_t) { ::operator delete(memory, std::align_val_t(64)); }

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
    return fail(DS_E_MEMORY, "memory", "cannot allocate %llu bytes", static_cast<unsigned long long>(size)).bytes(size, 0);
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
