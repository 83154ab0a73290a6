#include "runtime/pool.h"

#include "base/checked.h"

namespace deepseam::runtime {
namespace {

dsb_pool_desc raw_shape(const PoolShape &shape) {
  dsb_pool_desc raw{};
  raw.struct_size = sizeof raw;
  raw.kv_format = shape.kv_format;
  raw.kv_lora_rank = shape.kv_lora_rank;
  raw.qk_rope_head_dim = shape.qk_rope_head_dim;
  raw.first_layer = shape.first_layer;
  raw.n_layers = shape.n_layers;
  raw.block_tokens = shape.block_tokens;
  raw.n_blocks = shape.n_blocks;
  return raw;
}

}  // namespace

uint64_t kv_row_bytes(uint32_t kv_format, uint32_t kv_lora_rank, uint32_t qk_rope_head_dim) {
  const uint64_t latent = kv_lora_rank, rope = qk_rope_head_dim;
  switch (kv_format) {
    case DSB_KV_F32:
      return (latent + rope) * 4;
    case DSB_KV_BF16:
      return (latent + rope) * 2;
    case DSB_KV_E4M3X128_BF16:
      return latent + (latent + 127) / 128 * 4 + rope * 2;
    case DSB_KV_Q8X64_BF16:
      return latent + (latent + 63) / 64 * 4 + rope * 2;
    default:
      return 0;
  }
}

Result<std::shared_ptr<Pool>> Pool::create(std::shared_ptr<Device> device, const PoolShape &shape) {
  const uint64_t row = kv_row_bytes(shape.kv_format, shape.kv_lora_rank, shape.qk_rope_head_dim);
  if (row == 0 || shape.n_layers == 0 || shape.block_tokens == 0)
    return fail(DS_E_ARGUMENT, "runtime", "KV pool of format %u, %u layers, %u rows a block: nothing to store",
                shape.kv_format, shape.n_layers, shape.block_tokens);
  const uint64_t numbers[] = {row, shape.n_layers, shape.block_tokens, shape.n_blocks};
  if (!checked_product(numbers))
    return fail(DS_E_ARGUMENT, "runtime", "KV pool of %u blocks: its size overflows", shape.n_blocks);
  std::shared_ptr<Pool> pool(new Pool);
  pool->device_ = std::move(device);
  pool->shape_ = shape;
  const dsb_pool_desc raw = raw_shape(shape);
  const Backend &backend = *pool->device_->backend();
  dsb_pool *created = nullptr;
  DS_TRY(backend.call("pool_create", [&](ds_error *error) {
    return backend.api().pool_create(pool->device_->raw(), &raw, &created, error);
  }));
  if (!created) return backend.broken("pool_create", "success without a pool");
  pool->pool_ = created;
  return pool;
}

Pool::~Pool() {
  if (pool_) device_->backend()->api().pool_destroy(pool_);
}

uint64_t Pool::block_bytes(uint32_t n_layers) const {
  return kv_row_bytes(shape_.kv_format, shape_.kv_lora_rank, shape_.qk_rope_head_dim) * n_layers * shape_.block_tokens;
}

Status Pool::resize(uint32_t n_blocks) {
  const Backend &backend = *device_->backend();
  DS_TRY(
      backend.call("pool_resize", [&](ds_error *error) { return backend.api().pool_resize(pool_, n_blocks, error); }));
  shape_.n_blocks = n_blocks;
  return {};
}

Status Pool::check_range(const char *what, uint32_t block, uint32_t first_layer, uint32_t n_layers,
                         uint64_t size) const {
  if (block >= shape_.n_blocks)
    return fail(DS_E_ARGUMENT, "runtime", "%s: expected a block below %u, found %u", what, shape_.n_blocks, block);
  if (n_layers == 0 || !within(first_layer, n_layers, shape_.n_layers))
    return fail(DS_E_ARGUMENT, "runtime", "%s: expected layers within the pool's %u, found %u from %u on", what,
                shape_.n_layers, n_layers, first_layer);
  if (size != block_bytes(n_layers))
    return fail(DS_E_ARGUMENT, "runtime", "%s: expected %llu bytes, found %llu", what,
                static_cast<unsigned long long>(block_bytes(n_layers)), static_cast<unsigned long long>(size));
  return {};
}

template <typename Call>
Result<std::unique_ptr<Ticket>> Pool::start(const char *slot, Call &&call) {
  const std::shared_ptr<Backend> &backend = device_->backend();
  dsb_ticket *raw = nullptr;
  // Made first: once work is on its way there must be an owner for its ticket.
  auto ticket = std::make_unique<Ticket>(backend, shared_from_this(), nullptr);
  DS_TRY(backend->call(slot, [&](ds_error *error) { return call(backend->api(), &raw, error); }));
  if (!raw) return std::unique_ptr<Ticket>();
  ticket->ticket_ = raw;
  return ticket;
}

Result<std::unique_ptr<Ticket>> Pool::copy_rows(std::span<const dsb_row_copy> copies) {
  const auto fits = [&](uint32_t block, uint32_t row, uint32_t n) {
    return block < shape_.n_blocks && within(row, n, shape_.block_tokens);
  };
  for (const dsb_row_copy &copy : copies)
    if (!fits(copy.from_block, copy.from_row, copy.n_rows) || !fits(copy.to_block, copy.to_row, copy.n_rows))
      return fail(DS_E_ARGUMENT, "runtime", "kv_copy_rows: %u rows of block %u from %u to block %u, %u leave the pool",
                  copy.n_rows, copy.from_block, copy.from_row, copy.to_block, copy.to_row);
  if (copies.empty()) return std::unique_ptr<Ticket>();
  return start("kv_copy_rows", [&](const dsb_api &api, dsb_ticket **ticket, ds_error *error) {
    return api.kv_copy_rows(pool_, copies.data(), static_cast<uint32_t>(copies.size()), ticket, error);
  });
}

Result<std::unique_ptr<Ticket>> Pool::read_block(uint32_t block, uint32_t first_layer, uint32_t n_layers,
                                                 std::span<uint8_t> into) {
  DS_TRY(check_range("block_read", block, first_layer, n_layers, into.size()));
  return start("block_read", [&](const dsb_api &api, dsb_ticket **ticket, ds_error *error) {
    return api.block_read(pool_, block, first_layer, n_layers, into.data(), into.size(), ticket, error);
  });
}

Result<std::unique_ptr<Ticket>> Pool::write_block(uint32_t block, uint32_t first_layer, uint32_t n_layers,
                                                  std::span<const uint8_t> bytes) {
  DS_TRY(check_range("block_write", block, first_layer, n_layers, bytes.size()));
  return start("block_write", [&](const dsb_api &api, dsb_ticket **ticket, ds_error *error) {
    return api.block_write(pool_, block, first_layer, n_layers, bytes.data(), bytes.size(), ticket, error);
  });
}

Status finish(std::unique_ptr<Ticket> ticket) {
  while (ticket) {
    DS_TRY_VALUE(const TicketState state, ticket->wait());
    if (state == TicketState::kDone) break;
    if (state != TicketState::kRunning)
      return fail(DS_E_PLUGIN, "runtime", "work on a KV pool ended neither done nor failed");
  }
  return {};
}

Result<std::shared_ptr<Sampler>> Sampler::create(std::shared_ptr<Device> device, dsb_sampler_desc desc) {
  desc.struct_size = sizeof desc;
  std::shared_ptr<Sampler> sampler(new Sampler);
  sampler->device_ = std::move(device);
  const Backend &backend = *sampler->device_->backend();
  dsb_sampler *created = nullptr;
  DS_TRY(backend.call("sampler_create", [&](ds_error *error) {
    return backend.api().sampler_create(sampler->device_->raw(), &desc, &created, error);
  }));
  if (!created) return backend.broken("sampler_create", "success without a sampler");
  sampler->sampler_ = created;
  return sampler;
}

Sampler::~Sampler() {
  if (sampler_) device_->backend()->api().sampler_destroy(sampler_);
}

Status Sampler::reset(dsb_sampler_desc desc) {
  desc.struct_size = sizeof desc;
  const Backend &backend = *device_->backend();
  return backend.call("sampler_reset",
                      [&](ds_error *error) { return backend.api().sampler_reset(sampler_, &desc, error); });
}

Result<std::shared_ptr<Sampler>> Sampler::fork(uint64_t stream) const {
  std::shared_ptr<Sampler> copy(new Sampler);
  copy->device_ = device_;
  const Backend &backend = *device_->backend();
  dsb_sampler *forked = nullptr;
  DS_TRY(backend.call("sampler_fork",
                      [&](ds_error *error) { return backend.api().sampler_fork(sampler_, stream, &forked, error); }));
  if (!forked) return backend.broken("sampler_fork", "success without a sampler");
  copy->sampler_ = forked;
  return copy;
}

Status Sampler::update(std::span<const uint32_t> ids) {
  const Backend &backend = *device_->backend();
  return backend.call("sampler_update", [&](ds_error *error) {
    return backend.api().sampler_update(sampler_, ids.data(), ids.size(), error);
  });
}

}  // namespace deepseam::runtime
