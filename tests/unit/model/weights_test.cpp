// Roles, names, and directories that do not fit.
#include "model/weights.h"

#include <doctest/doctest.h>

#include <set>

#include "tiny_config.h"
#include "tiny_directory.h"

using namespace deepseam;
using namespace deepseam::model;

namespace {

Config v2() { return make_config(tiny_v2(), "config.json").value(); }
Config v3() { return make_config(tiny_v3(), "config.json").value(); }

std::string refusal(const Config &config, const TensorDirectory &directory) {
  auto map = bind_weights(config, directory, "m.safetensors");
  if (map.ok()) return "accepted";
  CHECK(map.status().code() == DS_E_MODEL);
  return map.status().message();
}

void remove_tensor(TensorDirectory *directory, const std::string &name) { directory->by_name.erase(name); }

void rename_tensor(TensorDirectory *directory, const std::string &from, const std::string &to) {
  directory->by_name[to] = directory->by_name.at(from);
  directory->by_name.erase(from);
}

}  // namespace

TEST_CASE("roles are unique and come in file order") {
  const auto specs = weight_specs(v3(), true);
  std::set<std::string> roles;
  for (const WeightSpec &spec : specs) roles.insert(spec.role);
  CHECK(roles.size() == specs.size());
  CHECK(specs.front().role == "embed");
  CHECK(specs[1].role == "layers.0.attn_norm");
  CHECK(specs.back().role == "mtp.0.head");
  CHECK(weight_specs(v3(), false).back().role == "lm_head");
}

TEST_CASE("every role of the family has a name in Hugging Face checkpoints") {
  Config config = v3();
  config.attention_bias = true;
  std::set<std::string> names;
  size_t n = 0;
  for (const WeightSpec &spec : weight_specs(config, true)) {
    CAPTURE(spec.role);
    const auto found = hf_names(config, spec);
    CHECK(found.size() == (spec.stacked ? 8 : 1));
    names.insert(found.begin(), found.end());
    n += found.size();
  }
  CHECK(names.size() == n);
  CHECK(names.count("model.layers.1.mlp.experts.7.down_proj.weight") == 1);
  CHECK(names.count("model.layers.2.shared_head.head.weight") == 1);
  CHECK(names.count("model.layers.0.self_attn.kv_a_proj_with_mqa.bias") == 1);
}

TEST_CASE("a Hugging Face directory binds, experts in their order") {
  const Config config = v2();
  const TensorDirectory directory = hf_directory(config);
  auto map = bind_weights(config, directory, "m.safetensors");
  REQUIRE_MESSAGE(map.ok(), map.status().message());
  CHECK_FALSE(map->has_mtp);
  const WeightBinding *up = map->find("layers.1.experts.up");
  REQUIRE(up);
  REQUIRE(up->parts.size() == 8);
  CHECK(up->parts[3]->name == "model.layers.1.mlp.experts.3.up_proj.weight");
  CHECK(up->spec.shape == std::vector<uint64_t>{8, 10, 16});
  CHECK(up->dtype == DType::kBF16);
  CHECK(map->find("layers.1.gate") == nullptr);
}

TEST_CASE("a directory of roles binds, stacks as one tensor") {
  const Config config = v3();
  const TensorDirectory directory = role_directory(config, DType::kQ4_0);
  auto map = bind_weights(config, directory, "m.dsm");
  REQUIRE_MESSAGE(map.ok(), map.status().message());
  CHECK(map->has_mtp);
  CHECK(map->find("layers.1.experts.up")->parts.size() == 1);
  CHECK(map->find("layers.1.experts.up")->dtype == DType::kQ4_0);
  CHECK(map->find("mtp.0.enorm")->dtype == DType::kF32);
}

TEST_CASE("a tied model needs no lm_head") {
  Config config = v2();
  config.tie_word_embeddings = true;
  TensorDirectory directory = hf_directory(config);
  CHECK(refusal(config, directory) == "accepted");
  config.tie_word_embeddings = false;
  CHECK(refusal(config, directory) == "m.safetensors: tensor lm_head.weight is missing (the model's lm_head)");
}

TEST_CASE("tensors that belong to no role are ignored") {
  const Config config = v2();
  TensorDirectory directory = hf_directory(config);
  add_tensor(&directory, "model.layers.0.self_attn.rotary_emb.inv_freq", DType::kNone, {2});
  CHECK(refusal(config, directory) == "accepted");
}

TEST_CASE("the router's bias may be called like an ordinary one") {
  const Config config = v3();
  TensorDirectory directory = hf_directory(config);
  rename_tensor(&directory, "model.layers.1.mlp.gate.e_score_correction_bias", "model.layers.1.mlp.gate.bias");
  CHECK(refusal(config, directory) == "accepted");
}

TEST_CASE("MTP modules are bound if the file has them") {
  const Config config = v3();
  TensorDirectory directory = hf_directory(config);
  SUBCASE("all there") { CHECK(bind_weights(config, directory, "m")->has_mtp); }
  SUBCASE("without their own embedding and head") {
    remove_tensor(&directory, "model.layers.2.embed_tokens.weight");
    remove_tensor(&directory, "model.layers.2.shared_head.head.weight");
    auto map = bind_weights(config, directory, "m");
    REQUIRE_MESSAGE(map.ok(), map.status().message());
    CHECK(map->has_mtp);
    CHECK_FALSE(map->find("mtp.0.head"));
  }
  SUBCASE("stripped") {
    remove_tensor(&directory, "model.layers.2.eh_proj.weight");
    auto map = bind_weights(config, directory, "m");
    REQUIRE(map.ok());
    CHECK_FALSE(map->has_mtp);
    CHECK_FALSE(map->find("mtp.0.enorm"));
    CHECK_FALSE(map->find("layers.2.q_a"));
  }
  SUBCASE("half there") {
    remove_tensor(&directory, "model.layers.2.hnorm.weight");
    CHECK(refusal(config, directory) ==
          "m.safetensors: tensor model.layers.2.hnorm.weight is missing (the model's mtp.0.hnorm)");
  }
}

TEST_CASE("a missing expert is named") {
  const Config config = v2();
  TensorDirectory directory = hf_directory(config);
  remove_tensor(&directory, "model.layers.1.mlp.experts.5.up_proj.weight");
  CHECK(
      refusal(config, directory) ==
      "m.safetensors: tensor model.layers.1.mlp.experts.5.up_proj.weight is missing (the model's layers.1.experts.up)");
}

TEST_CASE("a wrong shape is told with the right one") {
  const Config config = v2();
  TensorDirectory directory = hf_directory(config);
  find_tensor(&directory, "model.layers.0.self_attn.q_proj.weight")->shape = {16, 24};
  CHECK(refusal(config, directory) ==
        "m.safetensors: tensor model.layers.0.self_attn.q_proj.weight is [16, 24], expected [24, 16]");
  find_tensor(&directory, "model.layers.0.self_attn.q_proj.weight")->shape = {};
  CHECK(refusal(config, directory) ==
        "m.safetensors: tensor model.layers.0.self_attn.q_proj.weight is [], expected [24, 16]");
}

TEST_CASE("a wrong expert's shape is told") {
  const Config config = v2();
  TensorDirectory directory = hf_directory(config);
  find_tensor(&directory, "model.layers.1.mlp.experts.2.down_proj.weight")->shape = {16, 10, 1};
  CHECK(refusal(config, directory) ==
        "m.safetensors: tensor model.layers.1.mlp.experts.2.down_proj.weight is [16, 10, 1], expected [16, 10]");
}

TEST_CASE("number formats that cannot be used are told") {
  const Config config = v2();
  TensorDirectory directory = hf_directory(config);
  TensorInfo *norm = find_tensor(&directory, "model.norm.weight");
  SUBCASE("unreadable") {
    norm->dtype = DType::kNone;
    norm->stored_type = "F64";
    CHECK(refusal(config, directory) ==
          "m.safetensors: tensor model.norm.weight is stored as F64, expected a type that can be read");
  }
  SUBCASE("a quantised norm") {
    norm->dtype = DType::kQ8_0;
    CHECK(refusal(config, directory) == "m.safetensors: tensor model.norm.weight is q8_0, expected f32, f16 or bf16");
  }
  SUBCASE("a quantised router") {
    find_tensor(&directory, "model.layers.1.mlp.gate.weight")->dtype = DType::kF8E4M3;
    CHECK(refusal(config, directory) ==
          "m.safetensors: tensor model.layers.1.mlp.gate.weight is f8_e4m3, expected f32, f16 or bf16");
  }
  SUBCASE("integers") {
    find_tensor(&directory, "model.embed_tokens.weight")->dtype = DType::kI32;
    CHECK(refusal(config, directory) ==
          "m.safetensors: tensor model.embed_tokens.weight is i32, expected a weight type");
  }
  SUBCASE("experts of two formats") {
    find_tensor(&directory, "model.layers.1.mlp.experts.2.down_proj.weight")->dtype = DType::kF32;
    CHECK(refusal(config, directory) ==
          "m.safetensors: tensor model.layers.1.mlp.experts.2.down_proj.weight is f32, expected bf16 as "
          "model.layers.1.mlp.experts.0.down_proj.weight");
  }
  SUBCASE("experts of two block sizes") {
    TensorInfo *expert = find_tensor(&directory, "model.layers.1.mlp.experts.2.down_proj.weight");
    expert->has_scales = true;
    CHECK(
        refusal(config, directory) ==
        "m.safetensors: tensor model.layers.1.mlp.experts.2.down_proj.weight is scaled in other blocks, expected those "
        "of model.layers.1.mlp.experts.0.down_proj.weight");
  }
}
