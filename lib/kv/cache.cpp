// A host's view of several stores as one.
#include <algorithm>

#include "kv/kv_store.h"

namespace deepseam::kv {

void Cache::attach(const std::shared_ptr<KvStore> &store) {
  std::lock_guard lock(mutex_);
  std::erase_if(stores_, [](const auto &entry) { return entry.expired(); });
  stores_.push_back(store);
}

std::vector<std::shared_ptr<KvStore>> Cache::stores() const {
  std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<KvStore>> list;
  for (const auto &entry : stores_)
    if (auto store = entry.lock()) list.push_back(std::move(store));
  return list;
}

KvStats Cache::stats() const {
  KvStats sum;
  for (const auto &store : stores()) {
    const KvStats one = store->stats();
    sum.blocks_total += one.blocks_total;
    sum.blocks_used += one.blocks_used;
    sum.bytes_used += one.bytes_used;
    sum.tokens_held += one.tokens_held;
    sum.lookups += one.lookups;
    sum.hits += one.hits;
    sum.hit_tokens += one.hit_tokens;
    sum.computed_tokens += one.computed_tokens;
    sum.evicted_blocks += one.evicted_blocks;
    sum.copied_rows += one.copied_rows;
  }
  return sum;
}

uint64_t Cache::trim(uint64_t bytes) {
  const auto list = stores();
  uint64_t used = 0;
  for (const auto &store : list) used += store->stats().bytes_used;
  for (const auto &store : list) {
    if (used <= bytes) break;
    const uint64_t own = store->stats().bytes_used;
    const uint64_t others = used - std::min(own, used);
    used = others + store->trim(bytes > others ? bytes - others : 0);
  }
  return used;
}

void Cache::erase(std::string_view salt) {
  for (const auto &store : stores()) store->erase(salt);
}

bool Cache::read_event(KvEvent *event) {
  for (const auto &store : stores())
    if (store->read_event(event)) return true;
  return false;
}

}  // namespace deepseam::kv
