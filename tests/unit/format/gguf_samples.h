// GGUF files in memory, byte by byte, also impossible ones.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace deepseam::test {

template <typename T>
std::string gguf_raw(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::string gguf_text(std::string_view text) { return gguf_raw<uint64_t>(text.size()) + std::string(text); }

// Collects keys and tensors; file() is what a writer would make of them. Counts and the like can be replaced by lies.
struct GgufBuilder {
  std::string keys, infos, data;
  uint64_t n_keys = 0, n_tensors = 0, alignment = 32;
  uint32_t version = 3;

  GgufBuilder &key(std::string_view name, uint32_t type, const std::string &value) {
    keys += gguf_text(name) + gguf_raw(type) + value;
    ++n_keys;
    return *this;
  }
  GgufBuilder &text(std::string_view name, std::string_view value) { return key(name, 8, gguf_text(value)); }
  GgufBuilder &u32(std::string_view name, uint32_t value) { return key(name, 4, gguf_raw(value)); }
  GgufBuilder &u16(std::string_view name, uint16_t value) { return key(name, 2, gguf_raw(value)); }
  GgufBuilder &f32(std::string_view name, float value) { return key(name, 6, gguf_raw(value)); }
  GgufBuilder &flag(std::string_view name, bool value) { return key(name, 7, gguf_raw<uint8_t>(value)); }
  GgufBuilder &texts(std::string_view name, const std::vector<std::string> &values) {
    std::string all = gguf_raw<uint32_t>(8) + gguf_raw<uint64_t>(values.size());
    for (const std::string &value : values) all += gguf_text(value);
    return key(name, 9, all);
  }
  GgufBuilder &integers(std::string_view name, const std::vector<int32_t> &values) {
    std::string all = gguf_raw<uint32_t>(5) + gguf_raw<uint64_t>(values.size());
    for (int32_t value : values) all += gguf_raw(value);
    return key(name, 9, all);
  }
  // An info that says what it likes.
  GgufBuilder &info(std::string_view name, const std::vector<uint64_t> &ne, uint32_t type, uint64_t offset) {
    infos += gguf_text(name) + gguf_raw(static_cast<uint32_t>(ne.size()));
    for (uint64_t dim : ne) infos += gguf_raw(dim);
    infos += gguf_raw(type) + gguf_raw(offset);
    ++n_tensors;
    return *this;
  }
  // A tensor with its bytes, behind the last.
  GgufBuilder &tensor(std::string_view name, const std::vector<uint64_t> &ne, uint32_t type, const std::string &bytes) {
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    info(name, ne, type, data.size());
    data += bytes;
    return *this;
  }
  std::string header() const { return "GGUF" + gguf_raw(version) + gguf_raw(n_tensors) + gguf_raw(n_keys); }
  std::string file() const {
    std::string all = header() + keys + infos;
    all.resize((all.size() + alignment - 1) / alignment * alignment);
    return all + data;
  }
};

// How the keys of deepseek2_keys differ from those of the Lite model.
struct GgufWish {
  bool absorbed = false, sigmoid = false, bias = false, gate = true, multiplier = true, groups = false;
  uint32_t heads = 16, experts = 64;
  std::string name, left_out;
};

// The keys of a whole deepseek2 configuration, and an embedding of six tokens.
inline GgufBuilder deepseek2_keys(const GgufWish &wish = {}) {
  GgufBuilder b;
  b.text("general.architecture", "deepseek2");
  if (!wish.name.empty()) b.text("general.name", wish.name);
  const auto u32 = [&](const char *key, uint32_t value) {
    if (key != wish.left_out) b.u32(std::string("deepseek2.") + key, value);
  };
  const auto f32 = [&](const char *key, float value) {
    if (key != wish.left_out) b.f32(std::string("deepseek2.") + key, value);
  };
  u32("block_count", 27);
  u32("context_length", 163840);
  u32("embedding_length", 2048);
  u32("feed_forward_length", 10944);
  u32("attention.head_count", wish.heads);
  u32("attention.head_count_kv", wish.absorbed ? 1 : wish.heads);
  u32("attention.key_length", wish.absorbed ? 576 : 192);
  u32("attention.value_length", wish.absorbed ? 512 : 128);
  if (wish.absorbed) {
    u32("attention.key_length_mla", 192);
    u32("attention.value_length_mla", 128);
  }
  u32("attention.kv_lora_rank", 512);
  f32("attention.layer_norm_rms_epsilon", 1e-6f);
  u32("rope.dimension_count", 64);
  f32("rope.freq_base", 10000);
  b.text("deepseek2.rope.scaling.type", "yarn");
  f32("rope.scaling.factor", 40);
  u32("rope.scaling.original_context_length", 4096);
  if (wish.multiplier) f32("rope.scaling.yarn_log_multiplier", wish.sigmoid ? 0.1f : 0.0707f);
  u32("leading_dense_block_count", 1);
  u32("expert_count", wish.experts);
  u32("expert_used_count", 6);
  u32("expert_shared_count", 2);
  u32("expert_feed_forward_length", 1408);
  f32("expert_weights_scale", 0);
  if (wish.gate) u32("expert_gating_func", wish.sigmoid ? 2 : 1);
  if (wish.groups) {
    u32("expert_group_count", 8);
    u32("expert_group_used_count", 3);
  }
  b.u32("tokenizer.ggml.bos_token_id", 100000).u32("tokenizer.ggml.eos_token_id", 100001);
  b.u32("tokenizer.ggml.eot_token_id", 100008);
  b.tensor("token_embd.weight", {4, 6}, 0, std::string(96, '\0'));
  if (wish.bias) b.tensor("blk.1.exp_probs_b.bias", {2}, 0, std::string(8, '\0'));
  return b;
}

}  // namespace deepseam::test
