#include "sdk/kv.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "base/checked.h"
#include "base/half.h"
#include "sdk/objects.h"

namespace deepseam::sdk {
namespace {

constexpr uint64_t kMaxBlockBytes = uint64_t{1} << 40;

uint64_t groups(uint32_t rank, uint32_t size) { return (uint64_t{rank} + size - 1) / size; }

// The largest magnitude; NaN if there is one among them.
float largest(const float *values, uint32_t n) {
  float most = 0;
  for (uint32_t i = 0; i < n; ++i) {
    const float size = std::fabs(values[i]);
    if (!(size <= most)) most = size;
    if (most != most) return most;
  }
  return most;
}

void encode_bf16(const float *values, uint32_t n, uint8_t *out) {
  for (uint32_t i = 0; i < n; ++i) {
    const uint16_t bits = f32_to_bf16(values[i]);
    std::memcpy(out + 2 * i, &bits, 2);
  }
}

void decode_bf16(const uint8_t *in, uint32_t n, float *values) {
  for (uint32_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, in + 2 * i, 2);
    values[i] = bf16_to_f32(bits);
  }
}

// R codes, then a scale per `size` of them. `limit` is the largest code.
template <class Encode>
void encode_scaled(const float *values, uint32_t rank, uint32_t size, float limit, uint8_t *out, Encode encode) {
  for (uint32_t begin = 0, group = 0; begin < rank; begin += size, ++group) {
    const uint32_t n = rank - begin < size ? rank - begin : size;
    const float most = largest(values + begin, n);
    const float scale = most == 0 ? 1.0f : most / limit;
    const bool finite = std::isfinite(scale) && scale >= std::numeric_limits<float>::min();
    for (uint32_t i = 0; i < n; ++i) out[begin + i] = finite ? encode(values[begin + i] / scale) : uint8_t{0};
    // Too small to scale: all zeros. Not finite: NaN or infinity times zero is NaN, so that nobody mistakes the row.
    const float stored = finite ? scale : std::isfinite(scale) ? 1.0f : std::numeric_limits<float>::quiet_NaN();
    std::memcpy(out + rank + 4 * group, &stored, 4);
  }
}

template <class Decode>
void decode_scaled(const uint8_t *in, uint32_t rank, uint32_t size, float *values, Decode decode) {
  for (uint32_t begin = 0, group = 0; begin < rank; begin += size, ++group) {
    float scale;
    std::memcpy(&scale, in + rank + 4 * group, 4);
    const uint32_t end = rank - begin < size ? rank : begin + size;
    for (uint32_t i = begin; i < end; ++i) values[i] = decode(in[i]) * scale;
  }
}

uint8_t int8_code(float value) { return static_cast<uint8_t>(static_cast<int8_t>(std::nearbyintf(value))); }

}  // namespace

bool kv_format_known(uint32_t format) { return format >= DSB_KV_F32 && format <= DSB_KV_Q8X64_BF16; }

const char *kv_format_name(uint32_t format) {
  constexpr const char *kNames[] = {"?", "f32", "bf16", "e4m3x128+bf16", "q8x64+bf16"};
  return kNames[kv_format_known(format) ? format : 0];
}

uint64_t KvShape::row_bytes() const {
  switch (format) {
    case DSB_KV_F32:
      return 4 * (uint64_t{rank} + rope);
    case DSB_KV_BF16:
      return 2 * (uint64_t{rank} + rope);
    case DSB_KV_E4M3X128_BF16:
      return rank + 4 * groups(rank, 128) + 2 * uint64_t{rope};
    case DSB_KV_Q8X64_BF16:
      return rank + 4 * groups(rank, 64) + 2 * uint64_t{rope};
    default:
      return 0;
  }
}

void kv_encode(const KvShape &shape, const float *latent, const float *key, uint8_t *row) {
  const uint32_t rank = shape.rank;
  switch (shape.format) {
    case DSB_KV_F32:
      std::memcpy(row, latent, 4 * size_t{rank});
      std::memcpy(row + 4 * size_t{rank}, key, 4 * size_t{shape.rope});
      return;
    case DSB_KV_BF16:
      encode_bf16(latent, rank, row);
      encode_bf16(key, shape.rope, row + 2 * size_t{rank});
      return;
    case DSB_KV_E4M3X128_BF16:
      encode_scaled(latent, rank, 128, 448.0f, row, f32_to_e4m3);
      encode_bf16(key, shape.rope, row + rank + 4 * groups(rank, 128));
      return;
    case DSB_KV_Q8X64_BF16:
      encode_scaled(latent, rank, 64, 127.0f, row, int8_code);
      encode_bf16(key, shape.rope, row + rank + 4 * groups(rank, 64));
      return;
    default:
      return;
  }
}

void kv_decode(const KvShape &shape, const uint8_t *row, float *values) {
  const uint32_t rank = shape.rank;
  switch (shape.format) {
    case DSB_KV_F32:
      std::memcpy(values, row, 4 * (size_t{rank} + shape.rope));
      return;
    case DSB_KV_BF16:
      return decode_bf16(row, rank + shape.rope, values);
    case DSB_KV_E4M3X128_BF16:
      decode_scaled(row, rank, 128, values, e4m3_to_f32);
      return decode_bf16(row + rank + 4 * groups(rank, 128), shape.rope, values + rank);
    case DSB_KV_Q8X64_BF16:
      decode_scaled(row, rank, 64, values, [](uint8_t code) { return static_cast<float>(static_cast<int8_t>(code)); });
      return decode_bf16(row + rank + 4 * groups(rank, 64), shape.rope, values + rank);
    default:
      return;
  }
}

Result<Pool *> Pool::make(Device &device, const dsb_pool_desc &desc) {
  const auto out_of_range = [](const char *field, uint32_t found, uint32_t most) {
    return fail(DS_E_ARGUMENT, "backend", "pool: %s is %u, expected 1 to %u", field, found, most);
  };
  if (!kv_format_known(desc.kv_format)) return out_of_range("kv_format", desc.kv_format, DSB_KV_Q8X64_BF16);
  if (desc.kv_lora_rank < 1 || desc.kv_lora_rank > 1u << 20)
    return out_of_range("kv_lora_rank", desc.kv_lora_rank, 1u << 20);
  if (desc.qk_rope_head_dim < 1 || desc.qk_rope_head_dim > 1u << 20)
    return out_of_range("qk_rope_head_dim", desc.qk_rope_head_dim, 1u << 20);
  if (desc.n_layers < 1 || desc.n_layers > 1u << 16) return out_of_range("n_layers", desc.n_layers, 1u << 16);
  if (desc.first_layer > 1u << 16) return out_of_range("first_layer", desc.first_layer, 1u << 16);
  if (desc.block_tokens < 1 || desc.block_tokens > 1u << 16)
    return out_of_range("block_tokens", desc.block_tokens, 1u << 16);
  std::unique_ptr<Pool> pool(new Pool(device));
  pool->shape_ = {desc.kv_format,   desc.kv_lora_rank, desc.qk_rope_head_dim,
                  desc.first_layer, desc.n_layers,     desc.block_tokens};
  if (pool->shape_.block_bytes() > kMaxBlockBytes)
    return fail(DS_E_ARGUMENT, "backend", "pool: a block would take %llu bytes, expected at most 2^40",
                static_cast<unsigned long long>(pool->shape_.block_bytes()));
  DS_TRY(pool->resize(desc.n_blocks));
  return pool.release();
}

Pool::~Pool() {
  for (uint8_t *block : blocks_) device_.release(block, shape_.block_bytes(), DSB_TAG_KV);
}

void Pool::touch(uint32_t block) {
  if (touched_[block]) return;
  std::memset(blocks_[block], 0, shape_.block_bytes());
  touched_[block] = 1;
}

Status Pool::resize(uint32_t n_blocks) {
  const uint64_t bytes = shape_.block_bytes();
  const size_t before = blocks_.size();
  if (n_blocks > before) {
    blocks_.reserve(n_blocks);
    touched_.resize(n_blocks, 0);
  }
  while (blocks_.size() < n_blocks) {
    Result<void *> memory = device_.allocate(bytes, 64, DSB_TAG_KV);
    if (memory.ok()) {
      blocks_.push_back(static_cast<uint8_t *>(*memory));
      continue;
    }
    (void)resize(static_cast<uint32_t>(before));
    return std::move(memory).status();
  }
  while (blocks_.size() > n_blocks) {
    device_.release(blocks_.back(), bytes, DSB_TAG_KV);
    blocks_.pop_back();
  }
  touched_.resize(n_blocks);
  return {};
}

Status Pool::copy_rows(const dsb_row_copy *copies, uint32_t n_copies) {
  for (uint32_t i = 0; i < n_copies; ++i) {
    const dsb_row_copy &copy = copies[i];
    if (copy.from_block >= n_blocks() || copy.to_block >= n_blocks())
      return fail(DS_E_ARGUMENT, "backend", "kv_copy_rows: copy %u names blocks %u and %u, the pool has %u", i,
                  copy.from_block, copy.to_block, n_blocks());
    if (!within(copy.from_row, copy.n_rows, shape_.block_tokens) ||
        !within(copy.to_row, copy.n_rows, shape_.block_tokens))
      return fail(DS_E_ARGUMENT, "backend", "kv_copy_rows: copy %u has %u rows from %u to %u, a block has %u", i,
                  copy.n_rows, copy.from_row, copy.to_row, shape_.block_tokens);
  }
  const uint64_t row = shape_.row_bytes();
  for (uint32_t i = 0; i < n_copies; ++i) {
    const dsb_row_copy &copy = copies[i];
    touch(copy.from_block);
    touch(copy.to_block);
    for (uint32_t layer = 0; layer < shape_.n_layers; ++layer)
      std::memmove(blocks_[copy.to_block] + shape_.row_offset(shape_.first_layer + layer, copy.to_row),
                   blocks_[copy.from_block] + shape_.row_offset(shape_.first_layer + layer, copy.from_row),
                   row * copy.n_rows);
  }
  return {};
}

void Pool::move_row(uint32_t from_block, uint32_t from_row, uint32_t to_block, uint32_t to_row) {
  const dsb_row_copy copy = {from_block, from_row, 1, to_block, to_row, 0};
  (void)copy_rows(&copy, 1);
}

// Layers count from the pool's first one.
Status Pool::check_range(uint32_t block, uint32_t first_layer, uint32_t n_layers, const void *data,
                         uint64_t size) const {
  if (block >= n_blocks())
    return fail(DS_E_ARGUMENT, "backend", "block %u does not exist, the pool has %u", block, n_blocks());
  if (!within(first_layer, n_layers, shape_.n_layers))
    return fail(DS_E_ARGUMENT, "backend", "layers %u to %u do not lie within the pool's %u", first_layer,
                first_layer + n_layers, shape_.n_layers);
  const uint64_t expected = shape_.layer_bytes() * n_layers;
  if (size != expected || (size && !data))
    return fail(DS_E_ARGUMENT, "backend", "%llu bytes for %u layers of a block, expected %llu",
                static_cast<unsigned long long>(size), n_layers, static_cast<unsigned long long>(expected));
  return {};
}

Status Pool::read(uint32_t block, uint32_t first_layer, uint32_t n_layers, void *data, uint64_t size) const {
  DS_TRY(check_range(block, first_layer, n_layers, data, size));
  if (!size) return {};
  if (touched_[block])
    std::memcpy(data, blocks_[block] + shape_.layer_bytes() * first_layer, size);
  else
    std::memset(data, 0, size);
  return {};
}

Status Pool::write(uint32_t block, uint32_t first_layer, uint32_t n_layers, const void *data, uint64_t size) {
  DS_TRY(check_range(block, first_layer, n_layers, data, size));
  if (!size) return {};
  touch(block);
  std::memcpy(blocks_[block] + shape_.layer_bytes() * first_layer, data, size);
  return {};
}

}  // namespace deepseam::sdk
