// The oracle's checkpoints as GGUF files, in both layouts: the same bits as from their folders. What the loader repacks
// computes what its repacked form computes. Files are written here, so that no other program is needed;
// tests/e2e/gguf_test.py has all tensor types.
#include <doctest/doctest.h>

#include "format/repack.h"
#include "format/tensor_read.h"
#include "golden/backend.h"
#include "unit/format/gguf_samples.h"
#include "unit/format/samples.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

namespace {

struct Checkpoint {
  ModelFiles files;
  model::Config config;
  model::WeightMap weights;
};

Checkpoint checkpoint(const std::string &variant) {
  Checkpoint made;
  made.files = must(open_model_files(std::string(DS_TINY_DIR) + "/" + variant, MapMode::kNever));
  made.config = must(model::make_config(made.files.config, variant));
  made.weights = must(model::bind_weights(made.config, made.files.tensors, variant));
  return made;
}

std::string bytes_of(const Checkpoint &from, const model::WeightBinding &weight) {
  std::string all;
  for (const TensorInfo *part : weight.parts) {
    std::string bytes(part->range.bytes, '\0');
    DS_REQUIRE_OK(
        read_range(from.files.tensors, part->range, 0, {reinterpret_cast<uint8_t *>(bytes.data()), bytes.size()}));
    all += bytes;
  }
  return all;
}

uint32_t gguf_type(DType dtype) {
  if (dtype == DType::kF32) return 0;
  if (dtype == DType::kBF16) return 30;
  if (dtype == DType::kQ8_0) return 8;
  REQUIRE(static_cast<uint32_t>(dtype) > 64);
  return static_cast<uint32_t>(dtype) - 64;
}

void add_keys(const model::Config &c, bool absorbed, test::GgufBuilder *b) {
  const auto u32 = [&](const char *key, int64_t value) {
    b->u32(std::string("deepseek2.") + key, static_cast<uint32_t>(value));
  };
  const auto f32 = [&](const char *key, double value) {
    b->f32(std::string("deepseek2.") + key, static_cast<float>(value));
  };
  b->text("general.architecture", "deepseek2");
  u32("block_count", c.num_hidden_layers);
  u32("context_length", c.max_position_embeddings);
  u32("embedding_length", c.hidden_size);
  u32("feed_forward_length", c.intermediate_size);
  u32("attention.head_count", c.num_attention_heads);
  u32("attention.head_count_kv", absorbed ? 1 : c.num_attention_heads);
  u32("attention.key_length", absorbed ? c.kv_lora_rank + c.qk_rope_head_dim : c.qk_head_dim());
  u32("attention.value_length", absorbed ? c.kv_lora_rank : c.v_head_dim);
  if (absorbed) {
    u32("attention.key_length_mla", c.qk_head_dim());
    u32("attention.value_length_mla", c.v_head_dim);
  }
  u32("attention.kv_lora_rank", c.kv_lora_rank);
  if (c.q_lora_rank) u32("attention.q_lora_rank", c.q_lora_rank);
  f32("attention.layer_norm_rms_epsilon", c.rms_norm_eps);
  u32("rope.dimension_count", c.qk_rope_head_dim);
  f32("rope.freq_base", c.rope_theta);
  b->text("deepseek2.rope.scaling.type", "yarn");
  f32("rope.scaling.factor", c.yarn.factor);
  u32("rope.scaling.original_context_length", static_cast<int64_t>(c.yarn.original_max_position_embeddings));
  f32("rope.scaling.yarn_log_multiplier", 0.1 * c.yarn.mscale_all_dim);
  u32("leading_dense_block_count", c.first_k_dense_replace);
  u32("expert_count", c.n_routed_experts);
  u32("expert_used_count", c.num_experts_per_tok);
  u32("expert_shared_count", c.n_shared_experts);
  u32("expert_feed_forward_length", c.moe_intermediate_size);
  f32("expert_weights_scale", c.routed_scaling_factor);
  b->flag("deepseek2.expert_weights_norm", c.norm_topk_prob);
  u32("expert_gating_func", c.sigmoid_scores ? 2 : 1);
  if (c.topk_method != model::TopkMethod::kGreedy) {
    u32("expert_group_count", c.n_group);
    u32("expert_group_used_count", c.topk_group);
  }
}

// kv_b in BF16 as a transposed matrix of keys and one of values for each head.
void add_absorbed(const model::Config &c, const std::string &block, const std::string &kv_b, test::GgufBuilder *b) {
  const auto n = static_cast<uint64_t>(c.num_attention_heads), r = static_cast<uint64_t>(c.kv_lora_rank);
  const auto dn = static_cast<uint64_t>(c.qk_nope_head_dim), dv = static_cast<uint64_t>(c.v_head_dim);
  std::string keys, values;
  for (uint64_t head = 0; head < n; ++head) {
    const char *rows = kv_b.data() + head * (dn + dv) * r * 2;
    for (uint64_t latent = 0; latent < r; ++latent)
      for (uint64_t k = 0; k < dn; ++k) keys.append(rows + (k * r + latent) * 2, 2);
    values.append(rows + dn * r * 2, dv * r * 2);
  }
  b->tensor(block + "attn_k_b.weight", {dn, r, n}, 30, keys).tensor(block + "attn_v_b.weight", {r, dv, n}, 30, values);
}

// The checkpoint as a file; the weights named in `other` have that type and those bytes instead.
std::string gguf_file(const Checkpoint &from, bool absorbed, const std::string &other = {}, DType type = DType::kNone,
                      const std::string &bytes = {}, uint32_t alignment = 32) {
  test::GgufBuilder builder;
  builder.alignment = alignment;
  if (alignment != 32) builder.u32("general.alignment", alignment);
  add_keys(from.config, absorbed, &builder);
  for (const model::WeightBinding &weight : from.weights.bindings) {
    const std::string &role = weight.spec.role;
    if (role.starts_with("mtp.")) continue;
    const std::string name = model::gguf_name(from.config, weight.spec);
    const std::vector<uint64_t> ne(weight.spec.shape.rbegin(), weight.spec.shape.rend());
    if (absorbed && role.ends_with(".kv_b"))
      add_absorbed(from.config, name.substr(0, name.find('.', 4) + 1), bytes_of(from, weight), &builder);
    else if (role == other)
      builder.tensor(name, ne, gguf_type(type), bytes);
    else
      builder.tensor(name, ne, gguf_type(weight.dtype), bytes_of(from, weight));
  }
  return builder.file();
}

OpenOptions options_for(const std::string &file) {
  OpenOptions options = Rig::tiny("");
  options.source.path.clear();
  options.source.file = test::memory_source("memory.gguf", file);
  return options;
}

std::vector<float> logits_of(Rig &rig, const std::string &file) {
  return eval_all(rig.open(options_for(file)), some_ids(40), 0);
}

// Blocks of random bits below scales near 0.01, in formats whose first number is the scale.
std::string random_blocks(DType dtype, uint64_t rows, uint64_t cols) {
  std::string stored(rows * row_bytes(dtype, cols), '\0');
  for (size_t i = 0; i < stored.size(); ++i) stored[i] = static_cast<char>(i * 2654435761u >> 24);
  for (size_t block = 0; block < stored.size(); block += dtype_info(dtype).block_bytes) {
    if (dtype == DType::kMXFP4) stored[block] = 122;
    if (dtype != DType::kMXFP4) stored[block + 1] = 0x20;
    if (dtype == DType::kQ5_1) stored[block + 3] = static_cast<char>(0xaa);
  }
  return stored;
}

// The backend as it was before it knew the formats that basic_dtype avoids.
dsb_api newer;

ds_status DS_CALL plan_older(dsb_instance *instance, uint32_t device_index, dsb_device *device, dsb_group *group,
                             const void *graph, uint64_t graph_size, const dsb_plan_options *options,
                             dsb_layout **layout, ds_error *error) {
  const auto parsed = graph::parse({static_cast<const uint8_t *>(graph), graph_size});
  if (!parsed.ok()) return parsed.status().code();
  for (const graph::Tensor &tensor : parsed->tensors)
    if (basic_dtype(tensor.dtype) != tensor.dtype) return DS_E_FORMAT;
  return newer.plan_graph(instance, device_index, device, group, graph, graph_size, options, layout, error);
}

ds_status DS_CALL api_older(uint32_t version, dsb_api *api, ds_error *error) {
  const ds_status status = golden::backend_root()->get_api(version, api, error);
  newer = *api;
  api->plan_graph = plan_older;
  return status;
}

const dsb_root *older_root() {
  static const dsb_root root = {sizeof(dsb_root), 0, golden::backend_root()->negotiate, api_older};
  return &root;
}

}  // namespace

TEST_CASE("both layouts give the bits that the folder gives") {
  Rig rig({}, golden::backend_root());
  for (const char *variant : {"lite", "lite-tied", "v2", "v3-bf16"}) {
    CAPTURE(variant);
    const Checkpoint from = checkpoint(variant);
    const auto wanted = eval_all(rig.open(variant), some_ids(40), 0);
    for (const bool absorbed : {false, true}) {
      CAPTURE(absorbed);
      CHECK(logits_of(rig, gguf_file(from, absorbed)) == wanted);
    }
  }
}

TEST_CASE("planning and describing a GGUF file reads no byte of its tensors") {
  Rig rig({}, golden::backend_root());
  constexpr uint32_t kReadAtOnce = 1u << 20;  // so that nothing of the first tensor comes with the header
  check_headers_only(rig, options_for(gguf_file(checkpoint("lite"), true, {}, DType::kNone, {}, kReadAtOnce)));
}

TEST_CASE("a format that only files hold computes what its repacked form computes, and info says so") {
  Rig rig({}, golden::backend_root());
  const Checkpoint from = checkpoint("lite");
  const std::string role = "layers.1.experts.down";
  const model::WeightBinding &weight = *from.weights.find(role);
  const uint64_t rows = weight.rows(), cols = weight.spec.shape.back();
  for (const DType dtype : {DType::kIQ4_NL, DType::kMXFP4, DType::kQ5_1}) {
    CAPTURE(dtype_info(dtype).name);
    const std::string stored = random_blocks(dtype, rows, cols);
    std::string repacked(rows * row_bytes(DType::kQ8_0, cols), '\0');
    DS_REQUIRE_OK(repack_rows(dtype, DType::kQ8_0, reinterpret_cast<const uint8_t *>(stored.data()), rows, cols,
                              reinterpret_cast<uint8_t *>(repacked.data()), {"w", 0}));
    const auto found = logits_of(rig, gguf_file(from, true, role, dtype, stored));
    CHECK(found == logits_of(rig, gguf_file(from, true, role, DType::kQ8_0, repacked)));
    CHECK(found != eval_all(rig.open("lite"), some_ids(40), 0));
    const Facts said = rig.open(options_for(gguf_file(from, false, role, dtype, stored)))->facts();
    REQUIRE(said.find("weights.repacked_as"));
    CHECK(std::get<std::string>(*said.find("weights.repacked_as")) == "q8_0");
  }
  CHECK_FALSE(rig.open(options_for(gguf_file(from, false)))->facts().find("weights.repacked_as"));
  const Facts facts = rig.open(options_for(gguf_file(from, true)))->facts();
  CHECK(fact(facts, "weights.repacked_bytes") > 0);  // kv_b
  CHECK(fact(facts, "weights.stored_bytes") > fact(facts, "weights.repacked_bytes"));
}

TEST_CASE("a backend that is older than a format gets one that it knows, and info and plan say so") {
  const Checkpoint from = checkpoint("lite");
  const std::string role = "layers.1.experts.down";
  const model::WeightBinding &weight = *from.weights.find(role);
  const uint64_t rows = weight.rows(), cols = weight.spec.shape.back(), bytes = rows * row_bytes(DType::kQ8_0, cols);
  const std::string stored = random_blocks(DType::kQ5_0, rows, cols);
  std::string repacked(bytes, '\0');
  DS_REQUIRE_OK(repack_rows(DType::kQ5_0, DType::kQ8_0, reinterpret_cast<const uint8_t *>(stored.data()), rows, cols,
                            reinterpret_cast<uint8_t *>(repacked.data()), {"w", 0}));
  const std::string file = gguf_file(from, false, role, DType::kQ5_0, stored);
  Rig rig({}, golden::backend_root()), older({}, older_root());
  const auto model = older.open(options_for(file));
  CHECK(eval_all(model, some_ids(40), 0) == logits_of(rig, gguf_file(from, false, role, DType::kQ8_0, repacked)));
  CHECK(fact(model->facts(), "weights.repacked_bytes") == bytes);
  CHECK(must(plan_model(*older.runtime, options_for(file))).plan.remade_bytes == bytes);
  CHECK(must(plan_model(*rig.runtime, options_for(file))).plan.remade_bytes == 0);
}
