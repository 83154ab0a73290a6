#include "model/adapter.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "format/safetensors.h"
#include "unit/format/samples.h"
#include "unit/model/tiny_config.h"

using namespace deepseam;
using namespace deepseam::model;

namespace {

// A file of F32 tensors, put together by hand; numbers count up from 1 in eighths.
struct Files {
  std::vector<TensorInfo> infos;
  std::vector<float> values;

  Files &add(const std::string &name, std::vector<uint64_t> shape, float first = 1) {
    TensorInfo info;
    info.name = name;
    info.dtype = DType::kF32;
    info.shape = std::move(shape);
    for (uint64_t i = 0; i < info.elements(); ++i) values.push_back(first + static_cast<float>(i) / 8);
    infos.push_back(std::move(info));
    return *this;
  }
  Files &pair(const std::string &module, uint64_t out, uint64_t in, uint64_t rank = 2) {
    return add("base_model.model." + module + ".lora_A.weight", {rank, in})
        .add("base_model.model." + module + ".lora_B.weight", {out, rank});
  }
  LoraFiles open() const {
    LoraFiles files;
    files.config.rank = 2;
    files.config.alpha = 4;
    files.path = "mem";
    const std::string header = safetensors_header(infos).value();
    auto directory = read_safetensors(test::memory_source("adapter_model.safetensors", header + test::raw(values)));
    REQUIRE(directory.ok());
    files.tensors = std::move(directory).value();
    return files;
  }
};

Result<Adapter> read(const Files &files, HfConfig given = tiny_v2()) {
  const auto config = make_config(given, "config.json");
  REQUIRE(config.ok());
  return read_adapter(config.value(), files.open());
}

}  // namespace

TEST_CASE("modules become roles, experts keep their number, and their sum is what is added") {
  Files files;
  files.pair("model.layers.1.mlp.experts.5.up_proj", 10, 16).pair("model.layers.0.self_attn.kv_b_proj", 28, 12);
  files.pair("lm_head", 40, 16);
  const auto adapter = read(files);
  REQUIRE(adapter.ok());
  REQUIRE(adapter->deltas.size() == 3);
  CHECK(adapter->deltas[0].role == "layers.0.kv_b");
  CHECK(adapter->deltas[0].expert == kNoExpert);
  CHECK(adapter->deltas[1].role == "layers.1.experts.up");
  CHECK(adapter->deltas[1].expert == 5);
  CHECK(adapter->deltas[2].scale == 2);
  CHECK(adapter->changes("lm_head"));
  CHECK_FALSE(adapter->changes("layers.1.experts.down"));

  std::vector<float> rows(3 * 16, 0.5f);  // the last row of expert 4, then two of expert 5
  adapter->add_to("layers.1.experts.up", 4 * 10 + 9, 3, rows.data());
  const AdapterDelta &delta = adapter->deltas[1];
  for (size_t row = 0; row < 3; ++row)
    for (size_t i = 0; i < 16; ++i) {
      float expected = 0.5f;
      for (size_t k = 0; row > 0 && k < 2; ++k) expected += 2 * delta.b[(row - 1) * 2 + k] * delta.a[k * 16 + i];
      CHECK(rows[row * 16 + i] == expected);  // eighths: exact
    }
}

TEST_CASE("every projection of both families is found") {
  Files v2, v3;
  v2.pair("model.layers.0.self_attn.q_proj", 24, 16).pair("model.layers.0.self_attn.kv_a_proj_with_mqa", 16, 16);
  v2.pair("model.layers.0.self_attn.o_proj", 16, 12).pair("model.layers.0.mlp.gate_proj", 20, 16);
  v2.pair("model.layers.0.mlp.down_proj", 16, 20).pair("model.layers.1.mlp.shared_experts.down_proj", 16, 20);
  CHECK(read(v2).ok());
  v3.pair("model.layers.1.self_attn.q_a_proj", 14, 16).pair("model.layers.1.self_attn.q_b_proj", 24, 14);
  CHECK(read(v3, tiny_v3()).ok());
}

TEST_CASE("the identity is that of the values") {
  Files one, same, other;
  one.pair("lm_head", 40, 16);
  same.add("lm_head.lora_B.default.weight", {40, 2}).add("lm_head.lora_A.default.weight", {2, 16});
  other.add("lm_head.lora_A.weight", {2, 16}).add("lm_head.lora_B.weight", {40, 2}, 2);
  const auto a = read(one), b = read(same), c = read(other);
  REQUIRE((a.ok() && b.ok() && c.ok()));
  CHECK(a->identity == b->identity);
  CHECK(a->identity != c->identity);
  CHECK(a->identity != Hash128{});
}

TEST_CASE("adapters for other models, halves and wrong numbers") {
  CHECK_FAILS(read(Files().pair("model.layers.2.self_attn.q_proj", 24, 16)), DS_E_MODEL, "layers.2.self_attn.q_proj");
  CHECK_FAILS(read(Files().pair("model.layers.0.self_attn.q_a_proj", 14, 16)), DS_E_MODEL, "q_a_proj");
  CHECK_FAILS(read(Files().pair("model.layers.1.mlp.experts.8.up_proj", 10, 16)), DS_E_MODEL, "experts.8");
  CHECK_FAILS(read(Files().pair("model.layers.1.mlp.gate", 8, 16)), DS_E_MODEL, "mlp.gate");
  CHECK_FAILS(read(Files().pair("lm_head", 41, 16)), DS_E_MODEL, "[41, 2], expected [40, 2]");
  CHECK_FAILS(read(Files().pair("lm_head", 40, 16, 3)), DS_E_MODEL, "[3, 16], expected [2, 16]");
  CHECK_FAILS(read(Files().add("lm_head.lora_A.weight", {2, 16})), DS_E_FORMAT, "no lora_B");
  CHECK_FAILS(
      read(Files().add("lm_head.lora_A.weight", {2, 16}).add("base_model.model.lm_head.lora_A.weight", {2, 16})),
      DS_E_FORMAT, "twice");
  CHECK_FAILS(read(Files()
                       .add("lm_head.lora_A.weight", {2, 16}, std::numeric_limits<float>::quiet_NaN())
                       .add("lm_head.lora_B.weight", {40, 2})),
              DS_E_FORMAT, "row 0, column 0");
  CHECK_FAILS(read(Files()), DS_E_FORMAT, "no tensor");
}

TEST_CASE("what takes no low-rank delta is refused") {
  CHECK_FAILS(read(Files().add("model.embed_tokens.lora_embedding_A", {2, 40})), DS_E_UNSUPPORTED, "embedding");
  CHECK_FAILS(read(Files().add("model.layers.0.self_attn.q_proj.lora_magnitude_vector", {24})), DS_E_UNSUPPORTED,
              "DoRA");
  CHECK_FAILS(read(Files().add("model.layers.0.self_attn.q_proj.lora_B.bias", {24})), DS_E_UNSUPPORTED, "lora_B.bias");
  CHECK_FAILS(read(Files().add("lm_head.modules_to_save.weight", {40, 16})), DS_E_UNSUPPORTED, "modules_to_save");
  HfConfig tied = tiny_v2();
  tied.tie_word_embeddings = true;
  CHECK_FAILS(read(Files().pair("lm_head", 40, 16), tied), DS_E_UNSUPPORTED, "lm_head");
}
