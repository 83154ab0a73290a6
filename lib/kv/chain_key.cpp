// The byte form that is hashed: little-endian fields one after another, the salt's length before the salt, so that no
// two identities share a form.
#include "kv/chain_key.h"

namespace deepseam::kv {
namespace {

template <typename T>
void add(Hasher *hasher, const T &value) {
  hasher->add({reinterpret_cast<const uint8_t *>(&value), sizeof value});
}

void add_hash(Hasher *hasher, const Hash128 &hash) {
  add(hasher, hash.low);
  add(hasher, hash.high);
}

}  // namespace

Hash128 root_key(const Identity &identity) {
  Hasher hasher;
  hasher.add(identity.model_fingerprint);
  add_hash(&hasher, identity.adapter);
  add_hash(&hasher, identity.rope_overrides);
  add(&hasher, identity.kv_format);
  add(&hasher, identity.numerics_id);
  add(&hasher, uint64_t{identity.salt.size()});
  hasher.add({reinterpret_cast<const uint8_t *>(identity.salt.data()), identity.salt.size()});
  return hasher.value128();
}

Hash128 chain_key(const Hash128 &parent, std::span<const uint32_t> ids) {
  Hasher hasher;
  add_hash(&hasher, parent);
  hasher.add({reinterpret_cast<const uint8_t *>(ids.data()), ids.size_bytes()});
  return hasher.value128();
}

}  // namespace deepseam::kv
