// Random scripts of edits, forks, failures and evictions against a model in which every row is a function of all ids
// up to it: whatever a lease may read must be what it would have computed itself.
#include <doctest/doctest.h>

#include <map>
#include <random>

#include "kv/kv_store.h"

using namespace deepseam;
using namespace deepseam::kv;

namespace {

constexpr uint32_t kBlock = 4;

// Stands in for the device: one number per row.
struct Device {
  std::vector<uint64_t> rows;
  explicit Device(uint32_t n_blocks) : rows(n_blocks * kBlock) {}
  void copy(const RowCopy &copy) {
    for (uint32_t i = 0; i < copy.n_rows; ++i)
      rows[copy.to_block * kBlock + copy.to_row + i] = rows[copy.from_block * kBlock + copy.from_row + i];
  }
};

struct Sequence {
  Identity identity;
  std::vector<uint32_t> ids;  // all that it wants
  Lease lease;
};

uint64_t mix(uint64_t state, uint64_t value) { return (state ^ value) * 0x9E3779B97F4A7C15u + (state >> 7); }

uint64_t start_of(const Identity &identity) { return identity.salt.empty() ? 1 : 2; }

// Every row the lease may read holds the number of its own prefix.
bool readable(const Device &device, const Sequence &sequence) {
  uint64_t state = start_of(sequence.identity);
  for (uint32_t row = 0; row < sequence.lease.rows(); ++row) {
    state = mix(state, sequence.ids[row]);
    if (device.rows[sequence.lease.table()[row / kBlock] * kBlock + row % kBlock] != state) return false;
  }
  return true;
}

// What a step does: reads earlier rows, writes new ones (also when it fails later).
void write_rows(Device *device, const Sequence &sequence, uint32_t n) {
  uint64_t state = start_of(sequence.identity);
  for (uint32_t row = 0; row < sequence.lease.rows() + n; ++row) {
    state = mix(state, sequence.ids[row]);
    if (row >= sequence.lease.rows())
      device->rows[sequence.lease.table()[row / kBlock] * kBlock + row % kBlock] = state;
  }
}

void step(KvStore *store, Device *device, Sequence *sequence, std::mt19937 &random) {
  const uint32_t rest = static_cast<uint32_t>(sequence->ids.size()) - sequence->lease.rows();
  if (!rest) return;
  const uint32_t n = 1 + random() % rest;
  std::vector<RowCopy> copies;
  const auto ids = std::span(sequence->ids).subspan(sequence->lease.rows(), n);
  if (random() % 3 == 0) store->promise(&sequence->lease, std::span(sequence->ids).subspan(sequence->lease.rows()));
  if (!store->reserve(&sequence->lease, ids, &copies).ok()) {
    store->abandon(&sequence->lease);
    return;
  }
  for (const RowCopy &copy : copies) device->copy(copy);
  write_rows(device, *sequence, n);
  switch (random() % 8) {
    case 0:
      store->abandon(&sequence->lease);
      break;  // cancelled
    case 1:
      break;  // failed, tried again in the next step
    default:
      store->commit(&sequence->lease, n);
  }
}

void run_script(uint32_t seed, uint32_t n_blocks) {
  CAPTURE(seed);
  std::mt19937 random(seed);
  KvOptions options;
  options.block_tokens = kBlock;
  options.n_blocks = n_blocks;
  options.bytes_per_block = 1;
  KvStore store(options);
  Device device(n_blocks);
  std::vector<Sequence> running;
  std::vector<std::vector<uint32_t>> texts(1);
  for (int round = 0; round < 400; ++round) {
    const uint32_t what = random() % 16;
    if (what < 4 && running.size() < 5) {  // a new request: an edit of something seen before
      Sequence sequence;
      sequence.ids = texts[random() % texts.size()];
      if (!sequence.ids.empty()) sequence.ids.resize(random() % sequence.ids.size());
      for (uint32_t n = 1 + random() % 14; n; --n) sequence.ids.push_back(random() % 3);
      if (sequence.ids.size() > 24) sequence.ids.resize(24);
      if (random() % 5 == 0) sequence.identity.salt = "s";
      texts.push_back(sequence.ids);
      LeaseOptions how;
      how.no_store = random() % 6 == 0;
      how.no_reuse = random() % 9 == 0;
      how.max_reuse = random() % 3 ? UINT32_MAX : static_cast<uint32_t>(sequence.ids.size()) - 1;
      const auto before = store.lookup(sequence.identity, sequence.ids);
      sequence.lease = store.acquire(sequence.identity, sequence.ids, how);
      if (!how.no_reuse) REQUIRE(sequence.lease.rows() == std::min(before.committed, how.max_reuse));
      running.push_back(std::move(sequence));
    } else if (what < 5 && !running.empty()) {
      running.erase(running.begin() + random() % running.size());
    } else if (what < 6 && !running.empty() && running.size() < 6) {
      const Sequence &from = running[random() % running.size()];
      Sequence copy{from.identity, from.ids, store.fork(from.lease)};
      copy.ids.resize(copy.lease.rows());
      for (uint32_t n = random() % 6; n; --n) copy.ids.push_back(random() % 3);
      running.push_back(std::move(copy));
    } else if (what == 6 && random() % 4 == 0) {
      store.erase(random() % 2 ? "s" : "");
    } else if (what == 7 && random() % 4 == 0) {
      store.trim(random() % (n_blocks + 1));
    } else if (!running.empty()) {
      step(&store, &device, &running[random() % running.size()], random);
    }
    const Status sound = store.check();
    REQUIRE_MESSAGE(sound.ok(), sound.message());
    for (const Sequence &sequence : running) REQUIRE(readable(device, sequence));
  }
  running.clear();
  store.erase("");
  store.erase("s");
  CHECK(store.stats().blocks_used == 0);
}

}  // namespace

TEST_CASE("random scripts with room") {
  for (uint32_t seed = 1; seed <= 60; ++seed) run_script(seed, 64);
}

TEST_CASE("random scripts in a pool that is always full") {
  for (uint32_t seed = 1001; seed <= 1060; ++seed) run_script(seed, 12);
}
