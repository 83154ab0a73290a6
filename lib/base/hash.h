// XXH3 of bytes, 64 and 128 bits, at once or piece by piece. For finding and for integrity, never for trust.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace deepseam {

struct Hash128 {
  uint64_t low = 0, high = 0;
  friend bool operator==(const Hash128 &, const Hash128 &) = default;
};

uint64_t hash64(std::span<const uint8_t> bytes, uint64_t seed = 0) noexcept;
Hash128 hash128(std::span<const uint8_t> bytes, uint64_t seed = 0) noexcept;

// The same values, fed in pieces; asking for a value does not end the feeding.
class Hasher {
 public:
  Hasher() noexcept;
  void add(std::span<const uint8_t> bytes) noexcept;
  uint64_t value64() const noexcept;
  Hash128 value128() const noexcept;

 private:
  alignas(64) unsigned char state_[576];
};

}  // namespace deepseam
