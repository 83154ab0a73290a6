// Memory of a device within its budget.
#include <cstring>

#include "sdk/objects.h"

namespace deepseam::sdk {

Result<void *> Device::allocate(uint64_t size, uint64_t alignment, uint32_t tag) {
  const uint64_t before = used.fetch_add(size);
  const uint64_t budget = options.budget_bytes;
  if (budget && (size > budget || before > budget - size)) {
    used.fetch_sub(size);
    return fail(DS_E_BUDGET, "backend",
                "%llu bytes do not fit into the device's budget of %llu, of which %llu are used",
                static_cast<unsigned long long>(size), static_cast<unsigned long long>(budget),
                static_cast<unsigned long long>(before))
        .bytes(size, budget > before ? budget - before : 0);
  }
  void *memory = instance.host.allocate(instance.host.user, size, alignment < 64 ? 64 : alignment, tag);
  if (memory) return memory;
  used.fetch_sub(size);
  return fail(DS_E_MEMORY, "backend", "the host has no %llu bytes", static_cast<unsigned long long>(size))
      .bytes(size, 0);
}

void Device::release(void *memory, uint64_t size, uint32_t tag) noexcept {
  if (!memory) return;
  instance.host.release(instance.host.user, memory, size, tag);
  used.fetch_sub(size);
}

Result<Memory> Memory::make(Device &device, uint64_t size, uint64_t alignment, uint32_t tag) {
  Memory memory;
  if (size == 0) return memory;
  DS_TRY_VALUE(void *data, device.allocate(size, alignment, tag));
  memory.device_ = &device;
  memory.data_ = static_cast<uint8_t *>(data);
  memory.size_ = size;
  memory.tag_ = tag;
  return memory;
}

void Memory::reset() noexcept {
  if (data_) device_->release(data_, size_, tag_);
  data_ = nullptr;
}

void Memory::swap(Memory &other) noexcept {
  std::swap(device_, other.device_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(tag_, other.tag_);
}

}  // namespace deepseam::sdk
