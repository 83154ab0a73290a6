// See kv_store.h.
#include <utility>

#include "kv/kv_store.h"

namespace deepseam::kv {

void Lease::release() noexcept {
  if (store_) store_->release_lease(this);
}

void Lease::swap(Lease &other) noexcept {
  std::swap(store_, other.store_);
  std::swap(root_, other.root_);
  path_.swap(other.path_);
  table_.swap(other.table_);
  std::swap(rows_, other.rows_);
  std::swap(own_from_, other.own_from_);
  std::swap(changed_from_, other.changed_from_);
  std::swap(fork_from_, other.fork_from_);
  std::swap(no_store_, other.no_store_);
}

}  // namespace deepseam::kv
