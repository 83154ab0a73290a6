// Names of cached blocks: what a block of KV rows depends on, as a value and as a hash.
//
// An Identity is everything beside token ids that decides the numbers in a row. A chain key is XXH3-128 over the key of
// the block before, this block's token ids and the identity, so that it names the whole prefix. A hash only finds:
// whoever finds something by key compares the stored ids, the parent and the identity before using it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "base/hash.h"

namespace deepseam::kv {

struct Identity {
  std::array<uint8_t, 32> model_fingerprint{};  // tensors, hyper-parameters and tokenizer, by content
  Hash128 adapter;                              // 0: none
  Hash128 rope_overrides;                       // 0: the model's own
  uint32_t kv_format = 0;                       // DSB_KV_*
  uint64_t numerics_id = 0;                     // of the backend's layout
  std::string salt;                             // of the request; prefixes are shared only under the same salt

  friend bool operator==(const Identity &, const Identity &) = default;
};

// The key of the empty prefix under an identity.
Hash128 root_key(const Identity &identity);

// The key of the prefix that ends with `ids`, one whole block, after the prefix named by `parent`. The identity is
// already in every key, through the root's.
Hash128 chain_key(const Hash128 &parent, std::span<const uint32_t> ids);

}  // namespace deepseam::kv
