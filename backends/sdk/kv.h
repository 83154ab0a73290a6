// Rows of the KV cache: the four stored formats, and the pool of blocks that holds them.
//
// A row is R latent values and the rotated key. A block holds block_tokens rows of every layer; the rows of a layer lie
// together, so that a block's bytes are at the same time its host form. Memory of a block that nobody has written reads
// as zeros. The pool knows nothing of sequences.
#pragma once

#include <cstdint>
#include <vector>

#include "base/status.h"
#include "deepseam/backend.h"

namespace deepseam::sdk {

struct KvShape {
  uint32_t format = DSB_KV_F32;
  uint32_t rank = 0, rope = 0;  // R, qk_rope_head_dim
  uint32_t first_layer = 0, n_layers = 0;
  uint32_t block_tokens = 1;

  uint64_t row_bytes() const;
  uint64_t layer_bytes() const { return row_bytes() * block_tokens; }
  uint64_t block_bytes() const { return layer_bytes() * n_layers; }
  uint64_t row_offset(uint32_t layer, uint32_t row) const {
    return (uint64_t{layer - first_layer} * block_tokens + row) * row_bytes();
  }
};

bool kv_format_known(uint32_t format);
const char *kv_format_name(uint32_t format);

// latent [R] and key [rope] to one stored row. Rounds to nearest; a NaN makes its block of values NaN.
void kv_encode(const KvShape &shape, const float *latent, const float *key, uint8_t *row);
// values [R + rope] of one stored row, exactly.
void kv_decode(const KvShape &shape, const uint8_t *row, float *values);

struct Device;

// One task at a time, as backend.h says of pools.
class Pool {
 public:
  static Result<Pool *> make(Device &device, const dsb_pool_desc &desc);
  ~Pool();
  Pool(const Pool &) = delete;
  Pool &operator=(const Pool &) = delete;

  const KvShape &shape() const { return shape_; }
  const Device &device() const { return device_; }
  uint32_t n_blocks() const { return static_cast<uint32_t>(blocks_.size()); }
  uint8_t *const *blocks() const { return blocks_.data(); }
  // Gives a block its zeros before the first write.
  void touch(uint32_t block);

  Status resize(uint32_t n_blocks);
  Status copy_rows(const dsb_row_copy *copies, uint32_t n_copies);
  Status read(uint32_t block, uint32_t first_layer, uint32_t n_layers, void *data, uint64_t size) const;
  Status write(uint32_t block, uint32_t first_layer, uint32_t n_layers, const void *data, uint64_t size);
  // One row to another place of the same or another block, in all layers.
  void move_row(uint32_t from_block, uint32_t from_row, uint32_t to_block, uint32_t to_row);

 private:
  explicit Pool(Device &device) : device_(device) {}
  Status check_range(uint32_t block, uint32_t first_layer, uint32_t n_layers, const void *data, uint64_t size) const;
  Device &device_;
  KvShape shape_;
  std::vector<uint8_t *> blocks_;
  std::vector<uint8_t> touched_;
};

}  // namespace deepseam::sdk
