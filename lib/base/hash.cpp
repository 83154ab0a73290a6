#include "base/hash.h"

#define XXH_INLINE_ALL
#define XXH_DEBUGLEVEL 0  // its assertions off, whatever the build type
#include <xxhash.h>

#include <new>

namespace deepseam {

uint64_t hash64(std::span<const uint8_t> bytes, uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

Hash128 hash128(std::span<const uint8_t> bytes, uint64_t seed) noexcept {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {hash.low64, hash.high64};
}

Hasher::Hasher() noexcept {
  static_assert(sizeof(XXH3_state_t) == sizeof state_ && alignof(XXH3_state_t) <= 64);
  // 64 and 128 bits share state and update; only the digest differs.
  XXH3_128bits_reset(new (state_) XXH3_state_t);
}

void Hasher::add(std::span<const uint8_t> bytes) noexcept {
  XXH3_128bits_update(std::launder(reinterpret_cast<XXH3_state_t *>(state_)), bytes.data(), bytes.size());
}

uint64_t Hasher::value64() const noexcept {
  return XXH3_64bits_digest(std::launder(reinterpret_cast<const XXH3_state_t *>(state_)));
}

Hash128 Hasher::value128() const noexcept {
  const XXH128_hash_t hash = XXH3_128bits_digest(std::launder(reinterpret_cast<const XXH3_state_t *>(state_)));
  return {hash.low64, hash.high64};
}

}  // namespace deepseam
