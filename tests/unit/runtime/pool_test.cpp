#include "runtime/pool.h"

#include <doctest/doctest.h>

#include <numeric>

#include "unit/runtime/mock_model.h"

namespace deepseam::runtime {
namespace {

using test::Mock;

constexpr PoolShape kShape = {DSB_KV_F32, 6, 2, 0, 2, 4, 3};  // R 6, rope 2, 2 layers, 4 rows a block, 3 blocks

struct Fixture {
  Mock mock{"mock", 1};
  std::shared_ptr<Device> device = test::open_mock(mock);
  std::shared_ptr<Pool> pool = Pool::create(device, kShape).value();
};

TEST_CASE("rows of every format have the size that backend.h describes") {
  CHECK(kv_row_bytes(DSB_KV_F32, 512, 64) == 576 * 4);
  CHECK(kv_row_bytes(DSB_KV_BF16, 512, 64) == 576 * 2);
  CHECK(kv_row_bytes(DSB_KV_E4M3X128_BF16, 512, 64) == 512 + 4 * 4 + 128);
  CHECK(kv_row_bytes(DSB_KV_E4M3X128_BF16, 130, 64) == 130 + 2 * 4 + 128);
  CHECK(kv_row_bytes(DSB_KV_Q8X64_BF16, 512, 64) == 512 + 8 * 4 + 128);
  CHECK(kv_row_bytes(99, 512, 64) == 0);
}

TEST_CASE("blocks are written, copied by rows and read") {
  Fixture fixture;
  Pool &pool = *fixture.pool;
  CHECK(pool.block_bytes(2) == 2 * 4 * 8 * 4);
  std::vector<uint8_t> bytes(pool.block_bytes(2)), read(bytes.size());
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  REQUIRE(finish(pool.write_block(1, 0, 2, bytes).value()).ok());
  const dsb_row_copy copy = {1, 1, 2, 2, 0, 0};
  REQUIRE(finish(pool.copy_rows({&copy, 1}).value()).ok());
  REQUIRE(finish(pool.read_block(2, 0, 2, read).value()).ok());
  CHECK(std::equal(read.begin(), read.begin() + 64, bytes.begin() + 32));
  std::vector<uint8_t> layer(pool.block_bytes(1));
  REQUIRE(finish(pool.read_block(1, 1, 1, layer).value()).ok());
  CHECK(std::equal(layer.begin(), layer.end(), bytes.begin() + 128));
}

TEST_CASE("what leaves the pool never reaches the plugin") {
  Fixture fixture;
  Pool &pool = *fixture.pool;
  std::vector<uint8_t> bytes(pool.block_bytes(2));
  CHECK(pool.read_block(3, 0, 2, bytes).status().code() == DS_E_ARGUMENT);
  CHECK(pool.read_block(0, 1, 2, bytes).status().code() == DS_E_ARGUMENT);
  CHECK(pool.read_block(0, 0, 0, {}).status().code() == DS_E_ARGUMENT);
  CHECK(pool.read_block(0, UINT32_MAX, 2, bytes).status().code() == DS_E_ARGUMENT);
  CHECK(pool.write_block(0, 0, 2, std::span(bytes).first(5)).status().code() == DS_E_ARGUMENT);
  const dsb_row_copy wrong[] = {{0, 0, 5, 1, 0, 0}, {0, 3, 2, 1, 0, 0}, {3, 0, 1, 1, 0, 0},
                                {0, 0, 1, 3, 0, 0}, {0, 0, 1, 1, 4, 0}, {0, UINT32_MAX, 2, 1, 0, 0}};
  for (const dsb_row_copy &copy : wrong) CHECK(pool.copy_rows({&copy, 1}).status().code() == DS_E_ARGUMENT);
  CHECK(pool.copy_rows({}).value() == nullptr);
}

TEST_CASE("a pool grows and keeps what it had") {
  Fixture fixture;
  Pool &pool = *fixture.pool;
  std::vector<uint8_t> bytes(pool.block_bytes(2), 9), read(bytes.size());
  REQUIRE(finish(pool.write_block(2, 0, 2, bytes).value()).ok());
  REQUIRE(pool.resize(10).ok());
  CHECK(pool.shape().n_blocks == 10);
  REQUIRE(finish(pool.read_block(2, 0, 2, read).value()).ok());
  CHECK(read == bytes);
  CHECK(finish(pool.read_block(9, 0, 2, read).value()).ok());
}

TEST_CASE("pools that hold nothing, or more than can be counted, are refused") {
  Fixture fixture;
  PoolShape shape = kShape;
  shape.kv_format = 0;
  CHECK(Pool::create(fixture.device, shape).status().code() == DS_E_ARGUMENT);
  shape = kShape;
  shape.n_layers = 0;
  CHECK(Pool::create(fixture.device, shape).status().code() == DS_E_ARGUMENT);
  shape = {DSB_KV_F32, UINT32_MAX, UINT32_MAX, 0, UINT32_MAX, UINT32_MAX, UINT32_MAX};
  CHECK(Pool::create(fixture.device, shape).status().code() == DS_E_ARGUMENT);
}

TEST_CASE("samplers are reset, forked and updated") {
  Fixture fixture;
  dsb_sampler_desc desc{};
  desc.seed = 5;
  const auto sampler = Sampler::create(fixture.device, desc).value();
  const auto &state = *reinterpret_cast<test::MockSampler *>(sampler->raw());
  CHECK(state.desc.struct_size == sizeof(dsb_sampler_desc));
  const uint32_t ids[] = {3, 4};
  REQUIRE(sampler->update(ids).ok());
  const auto copy = sampler->fork(77).value();
  const auto &copied = *reinterpret_cast<test::MockSampler *>(copy->raw());
  CHECK(copied.seen == std::vector<uint32_t>{3, 4});
  CHECK(copied.desc.stream == 77);
  REQUIRE(sampler->reset(desc).ok());
  CHECK(state.seen.empty());
  CHECK(copied.seen.size() == 2);
}

TEST_CASE("pools and samplers go back before their device") {
  Fixture fixture;
  auto sampler = Sampler::create(fixture.device, {}).value();
  fixture.device.reset();
  fixture.pool.reset();
  sampler.reset();
  CHECK(fixture.mock.live == 0);
}

}  // namespace
}  // namespace deepseam::runtime
