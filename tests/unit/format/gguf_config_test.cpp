#include "format/gguf_config.h"

#include <doctest/doctest.h>

#include "format/open_model.h"
#include "gguf_samples.h"
#include "samples.h"

using namespace deepseam;
using test::GgufBuilder;
using test::memory_source;

namespace {

struct Wish {
  bool absorbed = false, sigmoid = false, bias = false, gate = true, multiplier = true, groups = false;
  uint32_t heads = 16, experts = 64;
  std::string name, left_out;
};

GgufBuilder model(const Wish &wish) {
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

GgufConfig read(const GgufBuilder &builder) {
  auto file = open_gguf(memory_source("x.gguf", builder.file()));
  REQUIRE(file.ok());
  auto config = read_gguf_config(*file, "x.gguf");
  INFO(config.status().message());
  REQUIRE(config.ok());
  return *config;
}

void check_refused(const GgufBuilder &builder, const char *part) {
  auto file = open_gguf(memory_source("x.gguf", builder.file()));
  REQUIRE(file.ok());
  auto config = read_gguf_config(*file, "x.gguf");
  REQUIRE_FALSE(config.ok());
  CHECK_EQ(config.status().code(), DS_E_MODEL);
  INFO(config.status().message());
  CHECK_NE(std::string(config.status().message()).find(part), std::string::npos);
}

}  // namespace

TEST_CASE("both generations of keys give one configuration") {
  HfConfig first;
  for (const bool absorbed : {false, true}) {
    Wish wish;
    wish.absorbed = absorbed;
    const GgufConfig found = read(model(wish));
    const HfConfig &c = found.config;
    CHECK(found.notes.empty());
    CHECK_EQ(c.model_type, "deepseek_v2");
    CHECK_EQ(c.qk_nope_head_dim, 128);
    CHECK_EQ(c.qk_rope_head_dim, 64);
    CHECK_EQ(c.v_head_dim, 128);
    CHECK_FALSE(c.q_lora_rank);
    CHECK_EQ(c.vocab_size, 6);  // of the embedding, where no key says it
    CHECK_EQ(c.rope_mscale_all_dim, 0.707);
    CHECK_EQ(c.rope_mscale, 0.707);
    CHECK_EQ(c.routed_scaling_factor, 1.0);
    CHECK_EQ(c.topk_method, "greedy");
    CHECK_EQ(c.scoring_func, "softmax");
    CHECK_EQ(c.norm_topk_prob, false);
    CHECK_EQ(c.tie_word_embeddings, true);  // there is no output.weight
    CHECK_EQ(c.bos_token_id, 100000);
    CHECK_EQ(c.eos_token_ids, std::vector<int64_t>{100001, 100008});
    if (!absorbed) first = c;
    CHECK(c == first);
  }
}

TEST_CASE("another architecture is refused by its name") {
  check_refused(GgufBuilder().text("general.architecture", "llama"), "the architecture llama");
  check_refused(GgufBuilder().text("general.architecture", "qwen2\n\x1b[31m"), "the architecture qwen2??[31m");
  check_refused(GgufBuilder().u32("general.architecture", 1), "does not say its architecture");
  check_refused(GgufBuilder().text("a", "b"), "does not say its architecture");
}

TEST_CASE("a key that is missing or of another kind is named as the file names it") {
  const auto with = [](const char *tail, const char *kind) {
    Wish wish;
    wish.left_out = tail;
    GgufBuilder b = model(wish);
    const std::string key = std::string("deepseek2.") + tail;
    if (kind == std::string("text")) b.text(key, "27");
    if (kind == std::string("float")) b.f32(key, 27);
    return b;
  };
  check_refused(with("block_count", "none"), "x.gguf: deepseek2.block_count is missing, expected an integer");
  check_refused(with("rope.dimension_count", "none"), "deepseek2.rope.dimension_count is missing");
  check_refused(with("block_count", "text"), "deepseek2.block_count is not an integer");
  check_refused(with("expert_count", "float"), "deepseek2.expert_count is not an integer");
  check_refused(with("rope.freq_base", "text"), "deepseek2.rope.freq_base is not a number");
}

TEST_CASE("gates: what the keys and the tensors say together") {
  Wish wish;
  wish.sigmoid = wish.bias = true;
  CHECK_EQ(read(model(wish)).config.topk_method, "noaux_tc");
  CHECK_EQ(read(model(wish)).config.model_type, "deepseek_v3");
  wish.gate = false;
  const GgufConfig old = read(model(wish));
  CHECK_EQ(old.config.scoring_func, "sigmoid");
  REQUIRE_EQ(old.notes.size(), 1);
  CHECK_NE(old.notes[0].find("expert_gating_func"), std::string::npos);
  Wish large;
  large.heads = 128;
  large.experts = 160;
  const GgufConfig guessed = read(model(large));
  CHECK_EQ(guessed.config.topk_method, "group_limited_greedy");
  CHECK_EQ(guessed.config.n_group, 8);
  CHECK_EQ(guessed.config.topk_group, 3);
  CHECK_EQ(guessed.notes.size(), 1);
  large.groups = true;
  CHECK(read(model(large)).notes.empty());
}

TEST_CASE("a missing multiplier is told by the shape or the name, or not at all") {
  Wish wish;
  wish.multiplier = false;
  CHECK_EQ(read(model(wish)).config.rope_mscale_all_dim, 0.707);
  CHECK_EQ(read(model(wish)).notes.size(), 1);
  wish.heads = 128;
  wish.groups = true;
  check_refused(model(wish), "yarn_log_multiplier");
  wish.name = "DeepSeek-Coder-V2-Instruct";
  CHECK_EQ(read(model(wish)).config.rope_mscale_all_dim, 1.0);
  wish.name = "DeepSeek-V2-Chat";
  CHECK_EQ(read(model(wish)).config.rope_mscale_all_dim, 0.707);
  wish.sigmoid = true;
  wish.name.clear();
  CHECK_EQ(read(model(wish)).config.rope_mscale_all_dim, 1.0);
}

TEST_CASE("a model opens from a file and from a folder with it") {
  const std::string bytes = model({}).file();
  auto lone = open_model_files(memory_source("x.gguf", bytes));
  REQUIRE(lone.ok());
  CHECK_EQ(lone->kind, ModelKind::kGguf);
  auto folder = std::make_shared<test::MemoryFolder>();
  folder->files["x.gguf"] = bytes;
  auto found = open_model_files(folder);
  REQUIRE(found.ok());
  CHECK_EQ(found->path, "mem/x.gguf");
  CHECK(found->config == lone->config);
  CHECK(read_tokenizer(*found)->empty());
  CHECK(model_fingerprint(*found, nullptr).value() == model_fingerprint(*lone, nullptr).value());
}
