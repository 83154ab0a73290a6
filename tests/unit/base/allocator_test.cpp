#include "base/allocator.h"

#include <doctest/doctest.h>

#include <cstring>
#include <map>

using namespace deepseam;

namespace {

struct Ledger {
  std::map<void *, std::pair<uint64_t, uint32_t>> live;
  bool refuse = false;
  bool mismatch = false;

  Allocator allocator() {
    return {[](void *user, uint64_t size, uint64_t alignment, uint32_t tag) -> void * {
              Ledger &ledger = *static_cast<Ledger *>(user);
              if (ledger.refuse) return nullptr;
              void *memory = default_allocator().allocate(nullptr, size, alignment, tag);
              ledger.live[memory] = {size, tag};
              return memory;
            },
            [](void *user, void *memory, uint64_t size, uint32_t tag) {
              Ledger &ledger = *static_cast<Ledger *>(user);
              ledger.mismatch |= ledger.live[memory] != std::pair<uint64_t, uint32_t>(size, tag);
              ledger.live.erase(memory);
              default_allocator().release(nullptr, memory, size, tag);
            },
            this};
  }
};

}  // namespace

#if defined(__linux__)
TEST_CASE("large weights begin on a large page, so that all of it can be one") {
  for (const MemoryTag tag : {MemoryTag::kWeights, MemoryTag::kStaging}) {
    Result<Buffer> buffer = Buffer::make(default_allocator(), (9u << 20) + 5, tag);
    REQUIRE(buffer.ok());
    CHECK(reinterpret_cast<uintptr_t>(buffer->data()) % (2u << 20) == 0);
    std::memset(buffer->data(), 1, buffer->size());
  }
}
#endif

TEST_CASE("the default allocator gives the alignment asked for and frees it again") {
  for (uint64_t alignment = 1; alignment <= 4096; alignment *= 2) {
    Result<Buffer> buffer = Buffer::make(default_allocator(), 1000, MemoryTag::kOther, alignment);
    REQUIRE(buffer.ok());
    CHECK(reinterpret_cast<uintptr_t>(buffer->data()) % alignment == 0);
    std::memset(buffer->data(), 1, 1000);
  }
}

TEST_CASE("a buffer returns what it took, once, with the same size and tag") {
  Ledger ledger;
  {
    Result<Buffer> made = Buffer::make(ledger.allocator(), 100, MemoryTag::kKv);
    REQUIRE(made.ok());
    Buffer first = std::move(made).value();
    Buffer second = std::move(first);
    CHECK(ledger.live.size() == 1);
    CHECK(second.size() == 100);
  }
  CHECK(ledger.live.empty());
  CHECK_FALSE(ledger.mismatch);
}

TEST_CASE("a refusal is DS_E_MEMORY with the size") {
  Ledger ledger;
  ledger.refuse = true;
  const Result<Buffer> buffer = Buffer::make(ledger.allocator(), 12345, MemoryTag::kWeights);
  REQUIRE_FALSE(buffer.ok());
  CHECK(buffer.status().code() == DS_E_MEMORY);
  CHECK(buffer.status().failure()->bytes_needed == 12345);
}

TEST_CASE("a size that no machine has is refused") {
  CHECK(Buffer::make(default_allocator(), UINT64_MAX, MemoryTag::kOther).status().code() == DS_E_MEMORY);
}

TEST_CASE("an empty buffer asks for nothing") {
  Ledger ledger;
  ledger.refuse = true;
  const Result<Buffer> buffer = Buffer::make(ledger.allocator(), 0, MemoryTag::kOther);
  REQUIRE(buffer.ok());
  CHECK(buffer->size() == 0);
}
