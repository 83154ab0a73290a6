// Roles found under GGUF's names, in every layout that such files have, and their rows.
#include <doctest/doctest.h>

#include <cstring>

#include "format/blocks.h"
#include "model/weight_rows.h"
#include "tiny_config.h"
#include "tiny_directory.h"

using namespace deepseam;
using namespace deepseam::model;

namespace {

Config tiny_config() { return make_config(tiny_v2(), "config.json").value(); }

TensorDirectory gguf_directory(const Config &config, DType dtype = DType::kQ8_0) {
  TensorDirectory directory;
  for (const WeightSpec &spec : weight_specs(config, false))
    add_tensor(&directory, gguf_name(config, spec), spec.keep_float ? DType::kF32 : dtype, spec.shape);
  return directory;
}

void remove(TensorDirectory *directory, const std::string &name) { REQUIRE_EQ(directory->by_name.erase(name), 1); }

// A directory over numbers in memory.
struct Numbers {
  std::vector<uint8_t> bytes;
  TensorDirectory directory;

  void add(const std::string &name, DType dtype, std::vector<uint64_t> shape, const std::vector<float> &values) {
    add_tensor(&directory, name, dtype, std::move(shape));
    TensorInfo &info = directory.tensors.back();
    info.range.offset = bytes.size();
    info.range.bytes = info.rows() * row_bytes(dtype, info.cols());
    bytes.resize(bytes.size() + info.range.bytes);
    REQUIRE(encode_rows(dtype, values.data(), info.rows(), info.cols(), bytes.data() + info.range.offset, {}).ok());
  }
  void finish() { directory.sources.push_back(open_memory("numbers", bytes).value()); }
};

}  // namespace

TEST_CASE("every role is found under GGUF's name") {
  const Config config = tiny_config();
  const TensorDirectory directory = gguf_directory(config);
  auto map = bind_weights(config, directory, "m.gguf");
  INFO(map.status().message());
  REQUIRE(map.ok());
  CHECK_EQ(map->find("layers.1.experts.gate")->parts[0]->name, "blk.1.ffn_gate_exps.weight");
  CHECK_EQ(map->find("embed")->parts[0]->name, "token_embd.weight");
  CHECK_EQ(map->find("layers.0.ffn_norm")->parts[0]->name, "blk.0.ffn_norm.weight");
  CHECK_EQ(map->bindings.size(), weight_specs(config, false).size());
}

TEST_CASE("formats that only files hold are bound as what backends get") {
  const Config config = tiny_config();
  const TensorDirectory directory = gguf_directory(config, DType::kQ3_K);
  auto map = bind_weights(config, directory, "m.gguf");
  REQUIRE(map.ok());
  const WeightBinding *o = map->find("layers.0.o");
  CHECK_EQ(o->dtype, DType::kQ3_K);
  CHECK_EQ(o->compute(), DType::kQ8_0);
  CHECK(o->is_remade());
  CHECK_FALSE(map->find("final_norm")->is_remade());
  CHECK_EQ(o->compute_bytes(), o->rows() * row_bytes(DType::kQ8_0, o->spec.shape.back()));
}

TEST_CASE("a missing tensor is named as the file would call it") {
  const Config config = tiny_config();
  TensorDirectory directory = gguf_directory(config);
  remove(&directory, "blk.1.ffn_down_exps.weight");
  auto map = bind_weights(config, directory, "m.gguf");
  REQUIRE_FALSE(map.ok());
  CHECK_EQ(map.status().code(), DS_E_MODEL);
  CHECK_NE(std::string(map.status().message()).find("blk.1.ffn_down_exps.weight is missing"), std::string::npos);
}

TEST_CASE("experts one by one, and gate and up in one") {
  const Config config = tiny_config();
  const auto e = static_cast<uint64_t>(config.n_routed_experts), h = static_cast<uint64_t>(config.hidden_size);
  const auto i = static_cast<uint64_t>(config.moe_intermediate_size);
  TensorDirectory directory = gguf_directory(config, DType::kBF16);
  remove(&directory, "blk.1.ffn_down_exps.weight");
  for (uint64_t expert = 0; expert < e; ++expert)
    add_tensor(&directory, "blk.1.ffn_down." + std::to_string(expert) + ".weight", DType::kBF16, {h, i});
  remove(&directory, "blk.1.ffn_gate_exps.weight");
  remove(&directory, "blk.1.ffn_up_exps.weight");
  add_tensor(&directory, "blk.1.ffn_gate_up_exps.weight", DType::kBF16, {e, 2 * i, h});
  auto map = bind_weights(config, directory, "m.gguf");
  INFO(map.status().message());
  REQUIRE(map.ok());
  CHECK_EQ(map->find("layers.1.experts.down")->parts.size(), e);
  const WeightBinding *up = map->find("layers.1.experts.up");
  REQUIRE_EQ(up->parts.size(), e);
  CHECK_EQ(up->parts[1]->range.offset, 3 * i * h * 2);
  CHECK_EQ(up->parts[1]->range.bytes, i * h * 2);
  CHECK_EQ(map->find("layers.1.experts.gate")->parts[1]->range.offset, 2 * i * h * 2);
  find_tensor(&directory, "blk.1.ffn_gate_up_exps.weight")->shape = {e, i, h};
  CHECK_EQ(bind_weights(config, directory, "m.gguf").status().code(), DS_E_MODEL);
}

TEST_CASE("kv_b from transposed keys and values, whatever the shape they are written in") {
  Config config = tiny_config();
  const auto n = static_cast<uint64_t>(config.num_attention_heads), r = static_cast<uint64_t>(config.kv_lora_rank);
  const auto dn = static_cast<uint64_t>(config.qk_nope_head_dim), dv = static_cast<uint64_t>(config.v_head_dim);
  std::vector<float> keys(n * r * dn), values(n * dv * r);
  for (size_t at = 0; at < keys.size(); ++at) keys[at] = static_cast<float>(at % 251);
  for (size_t at = 0; at < values.size(); ++at) values[at] = -static_cast<float>(at % 241);
  for (const bool apart : {true, false})
    for (const DType dtype : {DType::kF32, DType::kBF16}) {
      Numbers numbers;
      numbers.directory = gguf_directory(config);
      for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
        const std::string block = "blk." + std::to_string(layer) + ".";
        remove(&numbers.directory, block + "attn_kv_b.weight");
        const auto shape = [&](uint64_t rows, uint64_t cols) {
          return apart ? std::vector<uint64_t>{n, rows, cols} : std::vector<uint64_t>{n * rows, cols};
        };
        numbers.add(block + "attn_k_b.weight", dtype, shape(r, dn), keys);
        numbers.add(block + "attn_v_b.weight", DType::kF32, shape(dv, r), values);
      }
      numbers.finish();
      auto map = bind_weights(config, numbers.directory, "m.gguf");
      INFO(map.status().message());
      REQUIRE(map.ok());
      const WeightBinding *kv_b = map->find("layers.0.kv_b");
      CHECK(kv_b->absorbed);
      CHECK_EQ(kv_b->compute(), DType::kF32);
      auto rows = WeightRows::open(numbers.directory, *kv_b);
      REQUIRE(rows.ok());
      std::vector<float> all(kv_b->rows() * r), computed(all.size());
      REQUIRE(rows->read(0, kv_b->rows(), all.data()).ok());
      REQUIRE(rows->read_computed(0, kv_b->rows(), reinterpret_cast<uint8_t *>(computed.data())).ok());
      CHECK(all == computed);
      for (uint64_t head = 0; head < n; ++head)
        for (uint64_t c = 0; c < r; ++c) {
          for (uint64_t k = 0; k < dn; ++k)
            REQUIRE_EQ(all[(head * (dn + dv) + k) * r + c], keys[(head * r + c) * dn + k]);
          for (uint64_t v = 0; v < dv; ++v)
            REQUIRE_EQ(all[(head * (dn + dv) + dn + v) * r + c], values[(head * dv + v) * r + c]);
        }
    }
}

TEST_CASE("what backends multiply with is what they get, decoded") {
  Config config = tiny_config();
  Numbers numbers;
  numbers.directory = gguf_directory(config, DType::kF32);
  remove(&numbers.directory, "blk.0.attn_output.weight");
  WeightSpec spec;
  spec.role = "layers.0.o";
  spec.shape = {2, 256};
  add_tensor(&numbers.directory, "o", DType::kQ3_K, {2, 256});
  numbers.directory.tensors.back().range.bytes = 220;
  for (int at = 0; at < 220; ++at) numbers.bytes.push_back(static_cast<uint8_t>(at * 37));
  numbers.bytes[108] = numbers.bytes[218] = 0, numbers.bytes[109] = numbers.bytes[219] = 0x20;
  numbers.finish();
  WeightBinding binding;
  binding.spec = spec;
  binding.dtype = DType::kQ3_K;
  binding.parts = {&numbers.directory.tensors.back()};
  auto rows = WeightRows::open(numbers.directory, binding);
  REQUIRE(rows.ok());
  std::vector<float> stored(512), multiplied(512), again(512);
  std::vector<uint8_t> computed(2 * row_bytes(DType::kQ8_0, 256));
  REQUIRE(rows->read(0, 2, stored.data()).ok());
  REQUIRE(rows->read_multiplied(0, 2, multiplied.data()).ok());
  REQUIRE(rows->read_computed(1, 1, computed.data()).ok());
  decode_rows(DType::kQ8_0, computed.data(), 1, 256, again.data());
  CHECK(std::memcmp(again.data(), multiplied.data() + 256, 256 * sizeof(float)) == 0);
  CHECK(stored != multiplied);
}
