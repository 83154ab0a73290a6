#include "format/gguf_config.h"

#include <doctest/doctest.h>

#include "format/open_model.h"
#include "gguf_samples.h"
#include "samples.h"

using namespace deepseam;
using test::deepseek2_keys;
using test::GgufBuilder;
using test::GgufWish;
using test::memory_source;

namespace {

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
    GgufWish wish;
    wish.absorbed = absorbed;
    const GgufConfig found = read(deepseek2_keys(wish));
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
    GgufWish wish;
    wish.left_out = tail;
    GgufBuilder b = deepseek2_keys(wish);
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

TEST_CASE("counts beyond any model stay what they are, for the configuration to refuse") {
  GgufWish wish;
  wish.left_out = "block_count";
  GgufBuilder b = deepseek2_keys(wish);
  b.key("deepseek2.block_count", 11, test::gguf_raw<int64_t>(INT64_MIN)).u32("deepseek2.nextn_predict_layers", 1);
  CHECK_EQ(read(b).config.num_hidden_layers, INT64_MIN);
}

TEST_CASE("gates: what the keys and the tensors say together") {
  GgufWish wish;
  wish.sigmoid = wish.bias = true;
  CHECK_EQ(read(deepseek2_keys(wish)).config.topk_method, "noaux_tc");
  CHECK_EQ(read(deepseek2_keys(wish)).config.model_type, "deepseek_v3");
  wish.gate = false;
  const GgufConfig old = read(deepseek2_keys(wish));
  CHECK_EQ(old.config.scoring_func, "sigmoid");
  REQUIRE_EQ(old.notes.size(), 1);
  CHECK_NE(old.notes[0].find("expert_gating_func"), std::string::npos);
  GgufWish large;
  large.heads = 128;
  large.experts = 160;
  const GgufConfig guessed = read(deepseek2_keys(large));
  CHECK_EQ(guessed.config.topk_method, "group_limited_greedy");
  CHECK_EQ(guessed.config.n_group, 8);
  CHECK_EQ(guessed.config.topk_group, 3);
  CHECK_EQ(guessed.notes.size(), 1);
  large.groups = true;
  CHECK(read(deepseek2_keys(large)).notes.empty());
}

TEST_CASE("a missing multiplier is told by the shape or the name, or not at all") {
  GgufWish wish;
  wish.multiplier = false;
  CHECK_EQ(read(deepseek2_keys(wish)).config.rope_mscale_all_dim, 0.707);
  CHECK_EQ(read(deepseek2_keys(wish)).notes.size(), 1);
  wish.heads = 128;
  wish.groups = true;
  check_refused(deepseek2_keys(wish), "yarn_log_multiplier");
  wish.name = "DeepSeek-Coder-V2-Instruct";
  CHECK_EQ(read(deepseek2_keys(wish)).config.rope_mscale_all_dim, 1.0);
  wish.name = "DeepSeek-V2-Chat";
  CHECK_EQ(read(deepseek2_keys(wish)).config.rope_mscale_all_dim, 0.707);
  wish.sigmoid = true;
  wish.name.clear();
  CHECK_EQ(read(deepseek2_keys(wish)).config.rope_mscale_all_dim, 1.0);
}

TEST_CASE("a model opens from a file and from a folder with it") {
  const std::string bytes = deepseek2_keys({}).file();
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
