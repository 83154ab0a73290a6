// The real tensor names of every tiny checkpoint bind, nothing in them is left over, and the graphs are built.
#include <doctest/doctest.h>

#include <set>

#include "format/open_model.h"
#include "model/deepseek.h"

using namespace deepseam;

namespace {

void check_variant(const std::string &name, bool expect_mtp) {
  CAPTURE(name);
  auto files = open_model_files(std::string(DS_TINY_DIR) + "/" + name, MapMode::kAuto);
  REQUIRE_MESSAGE(files.ok(), files.status().message());
  auto config = model::make_config(files->config, name);
  REQUIRE_MESSAGE(config.ok(), config.status().message());
  auto weights = model::bind_weights(*config, files->tensors, name);
  REQUIRE_MESSAGE(weights.ok(), weights.status().message());
  CHECK(weights->has_mtp == expect_mtp);

  std::set<std::string> bound;
  for (const model::WeightBinding &binding : weights->bindings)
    for (const TensorInfo *part : binding.parts) bound.insert(part->name);
  for (const TensorInfo &tensor : files->tensors.tensors) {
    CAPTURE(tensor.name);
    CHECK(bound.count(tensor.name) == 1);
  }

  auto forward = model::build_forward(*config, *weights, {});
  CHECK_MESSAGE(forward.ok(), forward.status().message());
  if (!expect_mtp) return;
  auto mtp = model::build_mtp(*config, *weights, 0, {});
  CHECK_MESSAGE(mtp.ok(), mtp.status().message());
}

}  // namespace

TEST_CASE("names of lite bind") { check_variant("lite", false); }
TEST_CASE("names of lite-rope bind") { check_variant("lite-rope", false); }
TEST_CASE("names of lite-dense bind") { check_variant("lite-dense", false); }
TEST_CASE("names of lite-dense0 bind") { check_variant("lite-dense0", false); }
TEST_CASE("names of lite-dense2 bind") { check_variant("lite-dense2", false); }
TEST_CASE("names of lite-tied bind") { check_variant("lite-tied", false); }
TEST_CASE("names of lite-shards bind") { check_variant("lite-shards", false); }
TEST_CASE("names of v2 bind") { check_variant("v2", false); }
TEST_CASE("names of v3 bind") { check_variant("v3", true); }
TEST_CASE("names of v3-bf16 bind") { check_variant("v3-bf16", false); }
TEST_CASE("names of v3-true bind") { check_variant("v3-true", false); }
