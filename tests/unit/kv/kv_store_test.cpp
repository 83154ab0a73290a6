// One behaviour of the store at a time; kv_property_test.cpp mixes them.
#include "kv/kv_store.h"

#include <doctest/doctest.h>

#include <numeric>

using namespace deepseam;
using namespace deepseam::kv;

namespace {

std::vector<uint32_t> iota(uint32_t n, uint32_t from = 100) {
  std::vector<uint32_t> ids(n);
  std::iota(ids.begin(), ids.end(), from);
  return ids;
}

KvOptions options(uint32_t n_blocks) {
  KvOptions options;
  options.block_tokens = 4;
  options.n_blocks = n_blocks;
  options.bytes_per_block = 400;
  return options;
}

// Computes ids from the lease's end on.
std::vector<RowCopy> compute(KvStore *store, Lease *lease, std::span<const uint32_t> ids) {
  std::vector<RowCopy> copies;
  REQUIRE(store->reserve(lease, ids, &copies).ok());
  store->commit(lease, static_cast<uint32_t>(ids.size()));
  REQUIRE(store->check().ok());
  return copies;
}

}  // namespace

TEST_CASE("what one lease computed, the next one finds, to the token") {
  KvStore store(options(8));
  const auto ids = iota(10);
  {
    Lease lease = store.acquire({}, ids, {});
    CHECK(lease.rows() == 0);
    CHECK(compute(&store, &lease, ids).empty());
    CHECK(lease.rows() == 10);
    CHECK(lease.table().size() == 3);
  }
  auto other = ids;
  other[6] = 7;
  CHECK(store.acquire({}, other, {}).rows() == 6);
  CHECK(store.acquire({}, ids, {}).rows() == 10);
  CHECK(store.acquire({}, ids, {.max_reuse = 9}).rows() == 9);
  CHECK(store.acquire({}, ids, {.no_reuse = true}).rows() == 0);
  const KvStats stats = store.stats();
  CHECK(stats.hit_tokens == 6 + 10 + 9);
  CHECK(stats.computed_tokens == 10);
  CHECK(stats.blocks_used == 3);
}

TEST_CASE("going on differently copies the rows in common and leaves the original") {
  KvStore store(options(8));
  const auto ids = iota(6);
  Lease first = store.acquire({}, ids, {});
  compute(&store, &first, ids);
  auto other = ids;
  other[5] = 7;
  Lease second = store.acquire({}, other, {});
  REQUIRE(second.rows() == 5);
  const auto copies = compute(&store, &second, std::span(other).subspan(5));
  REQUIRE(copies.size() == 1);
  CHECK(copies[0].from_block == first.table()[1]);
  CHECK(copies[0].to_block == second.table()[1]);
  CHECK(copies[0].n_rows == 1);
  CHECK(first.table()[0] == second.table()[0]);
  CHECK(store.acquire({}, ids, {}).rows() == 6);
  CHECK(store.acquire({}, other, {}).rows() == 6);
}

TEST_CASE("a block that ends where the prefix ends is continued without a copy") {
  KvStore store(options(8));
  const auto ids = iota(8);
  {
    Lease lease = store.acquire({}, std::span(ids).first(6), {});
    compute(&store, &lease, std::span(ids).first(6));
  }
  Lease lease = store.acquire({}, ids, {});
  CHECK(lease.rows() == 6);
  CHECK(compute(&store, &lease, std::span(ids).subspan(6)).empty());
  CHECK(store.stats().blocks_used == 2);
}

TEST_CASE("a block has one writer: the second to continue it gets a copy") {
  KvStore store(options(8));
  const auto ids = iota(6);
  Lease first = store.acquire({}, ids, {});
  compute(&store, &first, ids);
  Lease second = store.acquire({}, ids, {});
  CHECK(second.rows() == 6);
  CHECK(compute(&store, &second, iota(1, 7)).size() == 1);
  CHECK(compute(&store, &first, iota(1, 8)).empty());
  CHECK(first.table()[1] != second.table()[1]);
}

TEST_CASE("promised rows are seen by others until the promise is taken back") {
  KvStore store(options(8));
  const auto ids = iota(10);
  Lease lease = store.acquire({}, ids, {});
  store.promise(&lease, ids);
  CHECK(store.lookup({}, ids).committed == 0);
  CHECK(store.lookup({}, ids).promised == 10);
  compute(&store, &lease, std::span(ids).first(3));
  CHECK(store.lookup({}, ids).committed == 3);
  CHECK(store.lookup({}, ids).promised == 10);
  store.abandon(&lease);
  CHECK(store.check().ok());
  CHECK(store.lookup({}, ids).promised == 3);
  compute(&store, &lease, std::span(ids).subspan(3));
  CHECK(store.lookup({}, ids).committed == 10);
}

TEST_CASE("a step that failed is tried again with other ids") {
  KvStore store(options(8));
  const auto ids = iota(6);
  Lease lease = store.acquire({}, ids, {});
  compute(&store, &lease, ids);
  std::vector<RowCopy> copies;
  REQUIRE(store.reserve(&lease, iota(5, 50), &copies).ok());
  store.abandon(&lease);
  CHECK(store.check().ok());
  CHECK(lease.table().size() == 2);
  compute(&store, &lease, iota(5, 70));
  auto all = ids;
  for (uint32_t id : iota(5, 70)) all.push_back(id);
  CHECK(store.lookup({}, all).committed == 11);
}

TEST_CASE("a copy is told again until the step that needed it is done") {
  KvStore store(options(8));
  const auto ids = iota(6);
  Lease first = store.acquire({}, ids, {});
  compute(&store, &first, ids);
  Lease second = store.acquire({}, ids, {.max_reuse = 5});
  std::vector<RowCopy> copies;
  REQUIRE(store.reserve(&second, iota(1, 9), &copies).ok());
  REQUIRE(store.reserve(&second, iota(1, 9), &copies).ok());
  CHECK(copies.size() == 2);
  CHECK(copies[0].to_block == copies[1].to_block);
  store.abandon(&second);
  CHECK(store.check().ok());
  CHECK(second.rows() == 5);
  CHECK(second.table()[1] == first.table()[1]);
}

TEST_CASE("a row computed twice leaves no second block behind") {
  KvStore store(options(8));
  const auto ids = iota(6);
  {
    Lease lease = store.acquire({}, ids, {});
    compute(&store, &lease, ids);
  }
  {
    Lease lease = store.acquire({}, ids, {.max_reuse = 5});
    compute(&store, &lease, std::span(ids).subspan(5));
    CHECK(store.stats().blocks_used == 3);
  }
  CHECK(store.stats().blocks_used == 2);
  CHECK(store.check().ok());
}

TEST_CASE("what is not to be stored is found by nobody and goes with its lease") {
  KvStore store(options(8));
  const auto ids = iota(10);
  {
    Lease shared = store.acquire({}, ids, {});
    compute(&store, &shared, std::span(ids).first(5));
  }
  {
    Lease lease = store.acquire({}, ids, {.no_store = true});
    CHECK(lease.rows() == 5);
    compute(&store, &lease, std::span(ids).subspan(5));
    CHECK(store.lookup({}, ids).promised == 5);
    Lease copy = store.fork(lease);
    lease.release();
    CHECK(store.check().ok());
    CHECK(copy.rows() == 10);
  }
  CHECK(store.check().ok());
  CHECK(store.stats().blocks_used == 2);
}

TEST_CASE("a store that keeps nothing") {
  auto given = options(8);
  given.keep = false;
  KvStore store(given);
  const auto ids = iota(6);
  {
    Lease lease = store.acquire({}, ids, {});
    compute(&store, &lease, ids);
  }
  CHECK(store.acquire({}, ids, {}).rows() == 0);
  CHECK(store.stats().blocks_used == 0);
}

TEST_CASE("prefixes are shared only under equal identities") {
  KvStore store(options(8));
  const auto ids = iota(6);
  {
    Lease lease = store.acquire({}, ids, {});
    compute(&store, &lease, ids);
  }
  Identity other;
  other.salt = "tenant";
  CHECK(store.lookup(other, ids).promised == 0);
  CHECK(store.acquire(other, ids, {}).rows() == 0);
}

TEST_CASE("a full pool evicts the least worthy leaf, never what a lease holds") {
  KvStore store(options(4));
  const auto a = iota(8, 0), b = iota(4, 50);
  {
    Lease lease = store.acquire({}, a, {});
    compute(&store, &lease, a);
  }
  Lease held = store.acquire({}, b, {});
  compute(&store, &held, b);
  {
    Lease lease = store.acquire({}, iota(8, 200), {});
    compute(&store, &lease, iota(8, 200));
  }
  CHECK(store.stats().evicted_blocks == 1);
  CHECK(store.lookup({}, a).committed == 4);  // the leaf went, its parent stayed
  CHECK(store.lookup({}, b).committed == 4);
}

TEST_CASE("no block left is a status, and the lease can go on later") {
  KvStore store(options(2));
  Lease held = store.acquire({}, iota(8), {});
  compute(&store, &held, iota(8));
  Lease lease = store.acquire({}, iota(4, 50), {});
  std::vector<RowCopy> copies;
  const Status status = store.reserve(&lease, iota(4, 50), &copies);
  CHECK(status.code() == DS_E_CACHE_FULL);
  CHECK(store.check().ok());
  held.release();
  compute(&store, &lease, iota(4, 50));
  CHECK(lease.rows() == 4);
}

TEST_CASE("erasing a salt frees what nobody holds and hides the rest") {
  KvStore store(options(8));
  Identity secret;
  secret.salt = "s";
  const auto ids = iota(12);
  Lease held = store.acquire(secret, ids, {});
  compute(&store, &held, std::span(ids).first(6));
  {
    Lease longer = store.acquire(secret, ids, {});
    compute(&store, &longer, std::span(ids).subspan(6));
    CHECK(longer.rows() == 12);
  }
  store.erase("s");
  CHECK(store.check().ok());
  CHECK(store.lookup(secret, ids).promised == 0);
  CHECK(store.stats().blocks_used == 2);
  compute(&store, &held, std::span(ids).subspan(6));
  CHECK(store.lookup(secret, ids).promised == 0);
  held.release();
  CHECK(store.stats().blocks_used == 0);
  CHECK(store.check().ok());
}

TEST_CASE("trim leaves what leases hold") {
  KvStore store(options(8));
  Lease held = store.acquire({}, iota(4, 50), {});
  compute(&store, &held, iota(4, 50));
  {
    Lease lease = store.acquire({}, iota(12), {});
    compute(&store, &lease, iota(12));
  }
  CHECK(store.trim(800) == 800);
  CHECK(store.trim(0) == 400);
  CHECK(store.lookup({}, iota(4, 50)).committed == 4);
}

TEST_CASE("events are bounded and say what was lost") {
  KvStore store(options(8));
  const auto ids = iota(4);
  {
    Lease lease = store.acquire({}, ids, {});
    compute(&store, &lease, ids);
  }
  KvEvent event;
  REQUIRE(store.read_event(&event));
  CHECK(event.kind == KvEventKind::kStored);
  CHECK(event.tokens == 4);
  CHECK_FALSE(store.read_event(&event));
  for (int i = 0; i < 1030; ++i) store.acquire({}, ids, {});
  REQUIRE(store.read_event(&event));
  CHECK(event.kind == KvEventKind::kHit);
  CHECK(event.dropped == 6);
}

TEST_CASE("a cache over several stores adds up, trims and erases all of them") {
  Cache cache({});
  auto a = std::make_shared<KvStore>(options(8)), b = std::make_shared<KvStore>(options(8));
  cache.attach(a);
  cache.attach(b);
  for (auto &store : {a, b}) {
    Lease lease = store->acquire({}, iota(8), {});
    compute(store.get(), &lease, iota(8));
  }
  CHECK(cache.stats().blocks_used == 4);
  CHECK(cache.trim(800) <= 800);
  cache.erase("");
  CHECK(cache.stats().blocks_used == 0);
  b.reset();
  CHECK(cache.stats().blocks_total == 8);
}
