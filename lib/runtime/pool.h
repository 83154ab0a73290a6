// The KV blocks of a device, and the state that draws tokens on it.
//
// A Pool knows sizes, not contents: which block holds what is kv's business. Its calls are not safe from two threads at
// once, nor are a Sampler's.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "runtime/program.h"

namespace deepseam::runtime {

// dsb_pool_desc without its size.
struct PoolShape {
  uint32_t kv_format = DSB_KV_F32;
  uint32_t kv_lora_rank = 0;
  uint32_t qk_rope_head_dim = 0;
  uint32_t first_layer = 0;
  uint32_t n_layers = 0;
  uint32_t block_tokens = 0;
  uint32_t n_blocks = 0;
};

// Stored bytes of one row in one layer; 0 for an unknown format.
uint64_t kv_row_bytes(uint32_t kv_format, uint32_t kv_lora_rank, uint32_t qk_rope_head_dim);

class Pool : public std::enable_shared_from_this<Pool> {
 public:
  static Result<std::shared_ptr<Pool>> create(std::shared_ptr<Device> device, const PoolShape &shape);
  ~Pool();
  Pool(const Pool &) = delete;
  Pool &operator=(const Pool &) = delete;

  const PoolShape &shape() const { return shape_; }
  const std::shared_ptr<Device> &device() const { return device_; }
  uint64_t block_bytes(uint32_t n_layers) const;  // of block_read and block_write
  dsb_pool *raw() const { return pool_; }

  Status resize(uint32_t n_blocks);
  // The following start work and return its ticket, or NULL if it is already done.
  Result<std::unique_ptr<Ticket>> copy_rows(std::span<const dsb_row_copy> copies);
  // Layers [first_layer, first_layer + n_layers) of the pool's own, counted from 0; into.size() is block_bytes(n).
  Result<std::unique_ptr<Ticket>> read_block(uint32_t block, uint32_t first_layer, uint32_t n_layers,
                                             std::span<uint8_t> into);
  Result<std::unique_ptr<Ticket>> write_block(uint32_t block, uint32_t first_layer, uint32_t n_layers,
                                              std::span<const uint8_t> bytes);

 private:
  Pool() = default;
  Status check_range(const char *what, uint32_t block, uint32_t first_layer, uint32_t n_layers, uint64_t size) const;
  template <typename Call>
  Result<std::unique_ptr<Ticket>> start(const char *slot, Call &&call);
  std::shared_ptr<Device> device_;
  PoolShape shape_;
  dsb_pool *pool_ = nullptr;
};

// Waits for a ticket that a Pool call returned; NULL is done.
Status finish(std::unique_ptr<Ticket> ticket);

class Sampler {
 public:
  // struct_size of `desc` is filled in here.
  static Result<std::shared_ptr<Sampler>> create(std::shared_ptr<Device> device, dsb_sampler_desc desc);
  ~Sampler();
  Sampler(const Sampler &) = delete;
  Sampler &operator=(const Sampler &) = delete;

  dsb_sampler *raw() const { return sampler_; }
  Status reset(dsb_sampler_desc desc);
  Result<std::shared_ptr<Sampler>> fork(uint64_t stream) const;
  Status update(std::span<const uint32_t> ids);

 private:
  Sampler() = default;
  std::shared_ptr<Device> device_;
  dsb_sampler *sampler_ = nullptr;
};

}  // namespace deepseam::runtime
