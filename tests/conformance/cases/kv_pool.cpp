// Blocks as bytes: read, write, copy, resize, and steps that go on from what was moved.
#include <cstring>

#include "tiny.h"

namespace conformance {
namespace {

uint64_t row_bytes(uint32_t format) {
  switch (format) {
    case DSB_KV_F32:
      return 4 * (kRank + kRope);
    case DSB_KV_BF16:
      return 2 * (kRank + kRope);
    default:
      return kRank + 4 + 2 * kRope;  // one scale: R is below 64
  }
}

std::vector<uint8_t> read(const Tiny &tiny, uint32_t block, uint32_t first, uint32_t n) {
  std::vector<uint8_t> bytes(n * tiny.options.block_tokens * row_bytes(tiny.options.kv_format));
  Error error;
  dsb_ticket *ticket = nullptr;
  REQUIRE_MESSAGE(
      api().block_read(tiny.pool.pool, block, first, n, bytes.data(), bytes.size(), &ticket, &error) == DS_OK,
      error.message);
  uint32_t state = DSB_TICKET_DONE;
  if (ticket) REQUIRE(api().ticket_wait(ticket, UINT64_MAX, &state, nullptr) == DS_OK);
  api().ticket_release(ticket);
  return bytes;
}

void write(const Tiny &tiny, uint32_t block, uint32_t first, uint32_t n, const std::vector<uint8_t> &bytes) {
  dsb_ticket *ticket = nullptr;
  REQUIRE(api().block_write(tiny.pool.pool, block, first, n, bytes.data(), bytes.size(), &ticket, nullptr) == DS_OK);
  uint32_t state = DSB_TICKET_DONE;
  if (ticket) REQUIRE(api().ticket_wait(ticket, UINT64_MAX, &state, nullptr) == DS_OK);
  api().ticket_release(ticket);
}

}  // namespace

CONFORMANCE("kv: bytes read and written are the stored ones, layer by layer, in every format") {
  for (uint32_t format = DSB_KV_F32; format <= DSB_KV_Q8X64_BF16; ++format) {
    CAPTURE(format);
    dsb_plan_options options = tiny_options();
    options.kv_format = format;
    Tiny tiny(options);
    const std::vector<uint32_t> tokens = random_tokens(91, 20), more = random_tokens(92, 5);
    (void)tiny.forward(0, 0, tokens);
    const std::vector<float> truth = tiny.forward(0, 20, more);
    // Moves slot 0's blocks to slot 1's by way of the host: whole, then layer by layer.
    for (uint32_t i = 0; i < 3; ++i) {
      const std::vector<uint8_t> whole = read(tiny, i, 0, 2);
      std::vector<uint8_t> halves = read(tiny, i, 0, 1);
      const std::vector<uint8_t> second = read(tiny, i, 1, 1);
      halves.insert(halves.end(), second.begin(), second.end());
      CHECK(whole == halves);
      write(tiny, 16 + i, 0, 2, whole);
      write(tiny, 32 + i, 1, 1, second);
      write(tiny, 32 + i, 0, 1, {whole.begin(), whole.begin() + static_cast<ptrdiff_t>(whole.size() / 2)});
      CHECK(read(tiny, 16 + i, 0, 2) == whole);
      CHECK(read(tiny, 32 + i, 0, 2) == whole);
    }
    check_same(tiny.forward(1, 20, more), truth);
    check_same(tiny.forward(2, 20, more), truth);
  }
}

CONFORMANCE("kv: stored rows decode to the float32 rows") {
  std::vector<float> exact;
  for (uint32_t format = DSB_KV_F32; format <= DSB_KV_BF16; ++format) {
    dsb_plan_options options = tiny_options();
    options.kv_format = format;
    Tiny tiny(options);
    (void)tiny.forward(0, 0, random_tokens(93, 8));
    const std::vector<uint8_t> bytes = read(tiny, 0, 0, 1);
    std::vector<float> values(8 * (kRank + kRope));
    for (size_t i = 0; i < values.size(); ++i) {
      uint32_t bits = 0;
      if (format == DSB_KV_F32) std::memcpy(&bits, bytes.data() + 4 * i, 4);
      if (format == DSB_KV_BF16) bits = static_cast<uint32_t>(bytes[2 * i] | bytes[2 * i + 1] << 8) << 16;
      std::memcpy(&values[i], &bits, 4);
    }
    if (format == DSB_KV_F32) exact = values;
    // The first layer sees no rounded row, so its latents are the same but for the format.
    check_close(values, {exact.begin(), exact.end()}, format == DSB_KV_F32 ? 0 : 0x1p-8);
  }
}

CONFORMANCE("kv: copied rows continue another sequence") {
  Tiny tiny;
  const std::vector<uint32_t> tokens = random_tokens(94, 13), more = random_tokens(95, 4);
  (void)tiny.forward(0, 0, tokens);
  // Rows 0 to 10 of slot 0 to slot 1: a whole block, and three rows of the next.
  const dsb_row_copy copies[] = {{0, 0, 8, 16, 0, 0}, {1, 0, 3, 17, 0, 0}};
  dsb_ticket *ticket = nullptr;
  REQUIRE(api().kv_copy_rows(tiny.pool.pool, copies, 2, &ticket, nullptr) == DS_OK);
  uint32_t state = DSB_TICKET_DONE;
  if (ticket) REQUIRE(api().ticket_wait(ticket, UINT64_MAX, &state, nullptr) == DS_OK);
  api().ticket_release(ticket);
  const std::vector<float> truth = tiny.forward(0, 11, more);
  check_same(tiny.forward(1, 11, more), truth);
}

CONFORMANCE("kv: resizing keeps what lies below") {
  Tiny tiny;
  const std::vector<uint32_t> tokens = random_tokens(96, 20), more = random_tokens(97, 3);
  (void)tiny.forward(0, 0, tokens);
  const std::vector<float> truth = tiny.forward(0, 20, more);
  REQUIRE(api().pool_resize(tiny.pool.pool, 8, nullptr) == DS_OK);
  check_same(tiny.forward(0, 20, more), truth);
  Step beyond = tiny.step(1, 0, tokens, 0);
  CHECK(run(tiny.program.exec, beyond) == DS_E_ARGUMENT);
  REQUIRE(api().pool_resize(tiny.pool.pool, 64, nullptr) == DS_OK);
  (void)tiny.forward(1, 0, tokens);
  check_same(tiny.forward(1, 20, more), truth);
}

CONFORMANCE("kv: a block nobody has written reads as zeros") {
  Tiny tiny;
  (void)tiny.forward(0, 0, {1});
  const std::vector<uint8_t> fresh = read(tiny, 40, 0, 2), touched = read(tiny, 0, 0, 2);
  CHECK(fresh == std::vector<uint8_t>(fresh.size(), 0));
  const size_t row = row_bytes(DSB_KV_F32);
  CHECK(std::vector<uint8_t>(touched.begin() + row, touched.begin() + 8 * row) == std::vector<uint8_t>(7 * row, 0));
}

CONFORMANCE("kv: wrong blocks, rows, layers and sizes are refused") {
  Tiny tiny;
  dsb_pool *pool = tiny.pool.pool;
  std::vector<uint8_t> bytes(2 * 8 * row_bytes(DSB_KV_F32));
  dsb_ticket *ticket = nullptr;
  CHECK(api().block_read(pool, 64, 0, 2, bytes.data(), bytes.size(), &ticket, nullptr) != DS_OK);
  CHECK(api().block_read(pool, 0, 1, 2, bytes.data(), bytes.size(), &ticket, nullptr) != DS_OK);
  CHECK(api().block_read(pool, 0, UINT32_MAX, 2, bytes.data(), bytes.size(), &ticket, nullptr) != DS_OK);
  CHECK(api().block_read(pool, 0, 0, 2, bytes.data(), bytes.size() - 1, &ticket, nullptr) != DS_OK);
  CHECK(api().block_write(pool, 0, 0, 2, nullptr, bytes.size(), &ticket, nullptr) != DS_OK);
  for (const dsb_row_copy &copy : {dsb_row_copy{64, 0, 1, 0, 0, 0}, dsb_row_copy{0, 0, 1, 64, 0, 0},
                                   dsb_row_copy{0, 1, 8, 1, 0, 0}, dsb_row_copy{0, 0, 1, 1, UINT32_MAX, 0}})
    CHECK(api().kv_copy_rows(pool, &copy, 1, &ticket, nullptr) != DS_OK);
  dsb_pool_desc desc = {sizeof desc, DSB_KV_F32, kRank, kRope, 0, 2, 8, 1};
  dsb_pool *none = nullptr;
  for (uint32_t dsb_pool_desc::*field :
       {&dsb_pool_desc::struct_size, &dsb_pool_desc::kv_format, &dsb_pool_desc::kv_lora_rank, &dsb_pool_desc::n_layers,
        &dsb_pool_desc::block_tokens}) {
    dsb_pool_desc bad = desc;
    bad.*field = 0;
    CHECK(api().pool_create(device(), &bad, &none, nullptr) != DS_OK);
    bad.*field = UINT32_MAX;
    CHECK(api().pool_create(device(), &bad, &none, nullptr) != DS_OK);
  }
  CHECK(none == nullptr);
}

}  // namespace conformance
