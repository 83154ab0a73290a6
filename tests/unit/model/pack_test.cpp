#include "model/pack.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <filesystem>

#include "base/half.h"
#include "base/json.h"
#include "unit/base/temporary_folder.h"
#include "work_samples.h"

using namespace deepseam;
using namespace deepseam::model;
using namespace deepseam::model::test;

namespace {

const std::string kTiny = DS_TINY_DIR;

void pack(const ModelFiles &source, PackType type, const std::string &path) {
  PackOptions options;
  options.type = type;
  options.tokenizer_blob = "tokenizer";
  options.card = "packed in a test";
  require_ok(pack_model(source, path, options));
}

double relative_error(const std::vector<float> &a, const std::vector<float> &b) {
  double error = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (double(a[i]) - b[i]) * (double(a[i]) - b[i]);
    size += double(a[i]) * a[i];
  }
  return std::sqrt(error / size);
}

}  // namespace

TEST_CASE("f32 and as-the-source keep every number of every variant") {
  for (const char *variant : {"lite", "lite-dense", "lite-shards", "lite-tied", "v2", "v3", "v3-bf16", "v3-true"}) {
    const ModelFiles source = opened(kTiny + "/" + variant);
    const WeightMap weights = bound(source);
    for (PackType type : {PackType::kSource, PackType::kF32}) {
      TemporaryFolder folder;
      pack(source, type, folder / "x.dsm");
      const ModelFiles packed = opened(folder / "x.dsm");
      const WeightMap found = bound(packed);
      REQUIRE_EQ(found.bindings.size(), weights.bindings.size());
      CHECK_EQ(found.has_mtp, weights.has_mtp);
      for (const WeightBinding &weight : weights.bindings) {
        INFO(std::string(variant), " ", weight.spec.role);
        const WeightBinding *same = found.find(weight.spec.role);
        REQUIRE(same);
        REQUIRE_EQ(same->parts.size(), 1);
        const DType expected = type == PackType::kF32 || weight.spec.keep_float ? DType::kF32 : weight.dtype;
        CHECK_EQ(same->dtype, expected);
        CHECK(numbers(packed, *same) == numbers(source, weight));
      }
      require_ok(verify_dsm(packed.tensors, *packed.dsm, nullptr, {}));
      CHECK_FALSE(packed.config.quant_method.has_value());
      CHECK_EQ(read_tokenizer(packed)->blob, "tokenizer");
    }
  }
}

TEST_CASE("fp8 from fp8 keeps codes and scales; from bf16 it is near") {
  TemporaryFolder folder;
  const ModelFiles v3 = opened(kTiny + "/v3");
  pack(v3, PackType::kFp8, folder / "v3.dsm");
  const ModelFiles same = opened(folder / "v3.dsm");
  const WeightMap weights = bound(v3), found = bound(same);
  for (const WeightBinding &weight : weights.bindings) {
    INFO(weight.spec.role);
    CHECK(numbers(same, *found.find(weight.spec.role)) == numbers(v3, weight));
  }
  const ModelFiles lite = opened(kTiny + "/lite");
  pack(lite, PackType::kFp8, folder / "lite.dsm");
  const ModelFiles near = opened(folder / "lite.dsm");
  const WeightMap lite_weights = bound(lite), near_weights = bound(near);
  for (const WeightBinding &weight : lite_weights.bindings) {
    INFO(weight.spec.role);
    const WeightBinding *other = near_weights.find(weight.spec.role);
    if (other->dtype == DType::kF8E4M3) CHECK(other->parts[0]->has_scales);
    CHECK(relative_error(numbers(lite, weight), numbers(near, *other)) < 0.04);
  }
}

TEST_CASE("q8 to q3: which types, how far off") {
  const ModelFiles source = opened(kTiny + "/v3");  // rows of 136 leave partial blocks
  const WeightMap weights = bound(source);
  for (PackType type : {PackType::kQ8, PackType::kQ6, PackType::kQ5, PackType::kQ4, PackType::kQ3}) {
    TemporaryFolder folder;
    pack(source, type, folder / "x.dsm");
    const ModelFiles packed = opened(folder / "x.dsm");
    const WeightMap found = bound(packed);
    for (const WeightBinding &weight : weights.bindings) {
      INFO(weight.spec.role);
      const WeightBinding *same = found.find(weight.spec.role);
      CHECK_EQ(same->dtype, packed_dtype(weight.spec, type));
      if (weight.spec.keep_float) CHECK_EQ(same->dtype, DType::kF32);
      const double limit = same->dtype == DType::kQ4_0   ? 0.11
                           : same->dtype == DType::kQ4_1 ? 0.09
                           : same->dtype == DType::kQ5_0 ? 0.055
                           : same->dtype == DType::kQ8_0 ? 0.007
                                                         : 0;
      CHECK(relative_error(numbers(source, weight), numbers(packed, *same)) <= limit);
    }
    CHECK_EQ(found.find("layers.0.kv_b")->dtype, DType::kQ8_0);
    CHECK_EQ(found.find("layers.1.router")->dtype, DType::kF32);
    CHECK_EQ(found.find("layers.1.router.bias")->dtype, DType::kF32);
    const DType expected = type == PackType::kQ8 || type == PackType::kQ6 ? DType::kQ8_0  // short rows: blocks of 32
                           : type == PackType::kQ5                        ? DType::kQ5_0
                                                                          : DType::kQ4_0;
    CHECK_EQ(found.find("layers.1.experts.up")->dtype, expected);
  }
}

TEST_CASE("which blocks rows of a length get, and what q3 is for") {
  CHECK_EQ(stored_dtype(PackType::kQ6, 2048), DType::kQ6_K);
  CHECK_EQ(stored_dtype(PackType::kQ5, 2048), DType::kQ5_K);
  CHECK_EQ(stored_dtype(PackType::kQ3, 2048), DType::kQ3_K);
  CHECK_EQ(stored_dtype(PackType::kQ6, 1408), DType::kQ6_K);  // five and a half blocks of 256: less than Q8_0
  CHECK_EQ(stored_dtype(PackType::kQ5, 1408), DType::kQ5_0);
  CHECK_EQ(stored_dtype(PackType::kQ6, 384), DType::kQ8_0);
  CHECK_EQ(stored_dtype(PackType::kQ3, 384), DType::kQ4_0);
  CHECK_EQ(stored_dtype(PackType::kSource, 384), DType::kNone);
  const WeightSpec expert{"layers.3.experts.up", {64, 1408, 2048}}, shared{"layers.3.shared.up", {2816, 2048}};
  CHECK_EQ(packed_dtype(expert, PackType::kQ3), DType::kQ3_K);
  CHECK_EQ(packed_dtype(shared, PackType::kQ3), DType::kQ5_0);  // as q4 has it
  CHECK_EQ(packed_dtype({"layers.3.experts.down", {64, 2048, 1408}}, PackType::kQ3), DType::kQ3_K);
  CHECK_EQ(packed_dtype({"layers.3.kv_b", {4096, 512}}, PackType::kQ3), DType::kQ8_0);
}

TEST_CASE("q4: experts Q4_0 but for their down, which is Q5_0 as is what every token passes") {
  const auto type = [](const char *role) { return packed_dtype({role, {64, 256}}, PackType::kQ4); };
  for (const char *role : {"layers.3.experts.gate", "layers.3.experts.up", "mtp.0.experts.up"})
    CHECK_EQ(type(role), DType::kQ4_0);
  for (const char *role : {"layers.3.experts.down", "layers.0.o", "layers.0.q", "layers.0.q_b", "layers.0.gate",
                           "layers.0.down", "layers.3.shared.up", "layers.3.shared.down", "mtp.0.o"})
    CHECK_EQ(type(role), DType::kQ5_0);
  for (const char *role : {"embed", "lm_head", "layers.0.kv_a", "layers.0.kv_b"}) CHECK_EQ(type(role), DType::kQ8_0);
  CHECK_EQ(packed_dtype({"layers.0.o", {64, 256}}, PackType::kQ4, {{PackType::kQ4, "o"}}), DType::kQ4_0);
  CHECK_EQ(packed_dtype({"layers.0.kv_b", {64, 256}}, PackType::kQ4_0), DType::kQ4_0);  // a block format is uniform
}

TEST_CASE("blocks by name: all of them, then as they are, bit for bit") {
  const ModelFiles source = opened(kTiny + "/lite");
  for (const char *name : {"q4_1", "q5_0", "q5_1", "q3_k", "q4_k", "q5_k", "q6_k", "q8_0", "q4_0"}) {
    INFO(std::string(name));
    TemporaryFolder folder;
    pack(source, pack_type_from_name(name).value(), folder / "x.dsm");
    pack(opened(folder / "x.dsm"), pack_type_from_name("as-is").value(), folder / "again.dsm");
    CHECK(TemporaryFolder::read(folder / "x.dsm") == TemporaryFolder::read(folder / "again.dsm"));
    const ModelFiles packed = opened(folder / "x.dsm");
    CHECK_EQ(bound(packed).find("layers.0.o")->dtype, dtype_from_name(name));
  }
}

TEST_CASE("the report says what became of each weight") {
  const ModelFiles source = opened(kTiny + "/lite");
  TemporaryFolder folder;
  PackOptions options;
  PackReport report;
  options.type = PackType::kQ4;
  options.report = &report;
  require_ok(pack_model(source, folder / "x.dsm", options));
  const ModelFiles packed = opened(folder / "x.dsm");
  const WeightMap weights = bound(source), found = bound(packed);
  REQUIRE_EQ(report.weights.size(), weights.bindings.size());
  for (const PackedWeight &packed_weight : report.weights) {
    INFO(packed_weight.role);
    const WeightBinding &same = *found.find(packed_weight.role);
    CHECK_EQ(packed_weight.dtype, same.dtype);
    CHECK_EQ(packed_weight.bytes, same.parts[0]->range.bytes);
    CHECK(packed_weight.shape == same.spec.shape);
    const double error = relative_error(numbers(source, *weights.find(packed_weight.role)), numbers(packed, same));
    CHECK(relative_error(packed_weight.error, packed_weight.size) == doctest::Approx(error).epsilon(1e-4));
  }
  auto json = parse_json("report", report_json(report));
  REQUIRE(json.ok());
  const Json root = json_root(**json);
  CHECK_EQ(root["weights"].size(), report.weights.size());
  CHECK_EQ(*root["weights"].at(0)["name"].text(), report.weights[0].role);
  CHECK(*root["types"]["q4_0"]["error"].number() > 0.05);
  CHECK(*root["error"].number() < *root["types"]["q4_0"]["error"].number());
}

TEST_CASE("moments: the weighed error falls, by role and by expert") {
  const ModelFiles source = opened(kTiny + "/lite");
  const WeightMap weights = bound(source);
  const WeightBinding &up = *weights.find("layers.1.experts.up");
  const uint64_t experts = up.spec.shape[0], cols = up.spec.shape[2];
  Moments moments;
  moments.tokens = 1;
  std::vector<float> &columns = moments.by_role["layers.1.experts.up"];
  for (uint64_t i = 0; i < experts * cols; ++i) columns.push_back((i % cols + i / cols) % 4 ? 0.01f : 1.0f);
  double error[2];
  for (int with = 0; with < 2; ++with) {
    TemporaryFolder folder;
    PackOptions options;
    options.type = PackType::kQ4;
    options.moments = with ? &moments : nullptr;
    require_ok(pack_model(source, folder / "x.dsm", options));
    const ModelFiles packed = opened(folder / "x.dsm");
    const auto was = numbers(source, up), is = numbers(packed, *bound(packed).find("layers.1.experts.up"));
    error[with] = 0;
    for (size_t i = 0; i < was.size(); ++i) {
      const size_t expert = i / (up.spec.shape[1] * cols);
      error[with] += columns[expert * cols + i % cols] * (was[i] - is[i]) * (was[i] - is[i]);
    }
  }
  CHECK(error[1] < 0.9 * error[0]);
}

TEST_CASE("exceptions by role, kind and group; the last one counts") {
  const ModelFiles source = opened(kTiny + "/v3");
  PackOptions options;
  options.type = PackType::kQ4;
  require_ok(parse_exceptions("q8=experts,o", &options.exceptions));
  require_ok(parse_exceptions("bf16=layers.1.o,vocabulary,experts.down", &options.exceptions));
  require_ok(parse_exceptions("q4=kv_b", &options.exceptions));
  TemporaryFolder folder;
  require_ok(pack_model(source, folder / "x.dsm", options));
  const ModelFiles packed = opened(folder / "x.dsm");
  const WeightMap found = bound(packed);
  const auto type = [&](const char *role) { return found.find(role)->dtype; };
  CHECK_EQ(type("layers.0.o"), DType::kQ8_0);
  CHECK_EQ(type("layers.1.o"), DType::kBF16);
  CHECK_EQ(type("layers.1.experts.up"), DType::kQ8_0);
  CHECK_EQ(type("layers.1.experts.down"), DType::kBF16);
  CHECK_EQ(type("layers.1.shared.down"), DType::kQ5_0);  // as q4 has it
  CHECK_EQ(type("layers.0.kv_b"), DType::kQ4_0);
  CHECK_EQ(type("layers.0.kv_a"), DType::kQ8_0);  // as q4 has it
  CHECK_EQ(type("embed"), DType::kBF16);
  CHECK_EQ(type("lm_head"), DType::kBF16);
  CHECK_EQ(type("mtp.0.head"), DType::kBF16);
  CHECK_EQ(type("mtp.0.eh_proj"), DType::kQ8_0);
  CHECK_EQ(type("final_norm"), DType::kF32);
}

TEST_CASE("exceptions that mean nothing are refused by name") {
  const ModelFiles source = opened(kTiny + "/lite");
  const WeightMap weights = bound(source);
  std::vector<PackException> list;
  for (const char *text : {"", "q8", "=o", "q8=", "q8=o,,q", "q17=o"}) {
    INFO(std::string(text));
    CHECK_EQ(parse_exceptions(text, &list).code(), DS_E_ARGUMENT);
  }
  for (const char *name : {"nosuch", "layers.9.o", "router", "final_norm", "kv_a_norm", "q_a"}) {
    const Status status = check_exceptions(weights, {{PackType::kQ8, name}});
    INFO(status.message());
    CHECK_EQ(status.code(), DS_E_ARGUMENT);
    CHECK(std::string(status.message()).find(name) != std::string::npos);
  }
  CHECK(check_exceptions(weights, {{PackType::kQ8, "q"}, {PackType::kQ8, "shared.up"}, {PackType::kQ8, "dense"}}).ok());
}

TEST_CASE("the card goes with the model until another one is given") {
  TemporaryFolder folder;
  pack(opened(kTiny + "/lite"), PackType::kQ8, folder / "one.dsm");
  PackOptions options;
  require_ok(pack_model(opened(folder / "one.dsm"), folder / "two.dsm", options));
  CHECK_EQ(opened(folder / "two.dsm").dsm->card, "packed in a test");
  options.card = "another";
  require_ok(pack_model(opened(folder / "two.dsm"), folder / "three.dsm", options));
  CHECK_EQ(opened(folder / "three.dsm").dsm->card, "another");
}

TEST_CASE("a quantised model that was exported packs to the same numbers") {
  TemporaryFolder folder;
  const ModelFiles source = opened(kTiny + "/v3-true");
  pack(source, PackType::kQ4, folder / "x.dsm");
  const ModelFiles packed = opened(folder / "x.dsm");
  std::filesystem::create_directory(folder / "hf");
  require_ok(export_hf(packed, folder / "hf", {}));
  pack(opened(folder / "hf"), PackType::kQ4, folder / "again.dsm");
  const ModelFiles again = opened(folder / "again.dsm");
  const WeightMap first = bound(packed), second = bound(again);
  for (const WeightBinding &weight : first.bindings) {
    if (weight.dtype != DType::kQ4_0) continue;
    INFO(weight.spec.role);
    CHECK(numbers(again, *second.find(weight.spec.role)) == numbers(packed, weight));
  }
}

TEST_CASE("threads do not change the file") {
  TemporaryFolder folder;
  const ModelFiles source = opened(kTiny + "/v3-true");
  auto pool = make_thread_pool(3, false);
  REQUIRE(pool.ok());
  for (PackType type : {PackType::kQ4, PackType::kFp8}) {
    pack(source, type, folder / "one.dsm");
    PackOptions options;
    options.type = type;
    options.tokenizer_blob = "tokenizer";
    options.card = "packed in a test";
    options.work.runner = pool->get();
    require_ok(pack_model(source, folder / "three.dsm", options));
    CHECK(TemporaryFolder::read(folder / "one.dsm") == TemporaryFolder::read(folder / "three.dsm"));
  }
}

TEST_CASE("exported f32 folders hold what the packed file multiplies with") {
  for (const char *variant : {"lite", "v3"}) {
    TemporaryFolder folder;
    pack(opened(kTiny + "/" + variant), PackType::kQ4, folder / "x.dsm");
    const ModelFiles packed = opened(folder / "x.dsm");
    std::filesystem::create_directory(folder / "hf");
    require_ok(export_hf(packed, folder / "hf", {}));
    const ModelFiles exported = opened(folder / "hf");
    const WeightMap weights = bound(packed), found = bound(exported);
    REQUIRE_EQ(found.bindings.size(), weights.bindings.size());
    for (const WeightBinding &weight : weights.bindings) {
      INFO(weight.spec.role);
      CHECK(numbers(exported, *found.find(weight.spec.role)) == numbers(packed, weight));
      CHECK_EQ(found.find(weight.spec.role)->dtype, DType::kF32);
    }
    CHECK_EQ(*exported.config.torch_dtype, "float32");
  }
}

TEST_CASE("a number the format cannot hold stops packing and leaves no file") {
  TemporaryFolder folder;
  std::filesystem::create_directory(folder / "bad");
  for (const char *name : {"config.json", "model.safetensors"})
    std::filesystem::copy(kTiny + "/lite/" + name, folder / (std::string("bad/") + name));
  uint64_t place = 0;
  {  // closed again, because some systems let nobody change a file that is open
    const ModelFiles good = opened(folder / "bad");
    const TensorInfo *tensor = good.tensors.find("model.layers.1.self_attn.o_proj.weight");
    REQUIRE(tensor);
    place = tensor->range.offset + (3 * tensor->cols() + 5) * 2;
  }
  std::string bytes = TemporaryFolder::read(folder / "bad/model.safetensors");
  const uint16_t nan = f32_to_bf16(std::nanf(""));
  std::memcpy(&bytes[place], &nan, 2);
  folder.write("bad/model.safetensors", bytes);
  for (PackType type : {PackType::kSource, PackType::kF32, PackType::kQ4, PackType::kFp8}) {
    PackOptions options;
    options.type = type;
    const Status status = pack_model(opened(folder / "bad"), folder / "x.dsm", options);
    INFO(status.message());
    CHECK_EQ(status.code(), DS_E_FORMAT);
    CHECK(std::strstr(status.message(), "o_proj.weight', row 3, column 5"));
    CHECK_FALSE(std::filesystem::exists(folder / "x.dsm"));
  }
}

TEST_CASE("cancel and stop leave no file") {
  TemporaryFolder folder;
  const ModelFiles source = opened(kTiny + "/lite");
  CancelWord cancel;
  PackOptions options;
  options.type = PackType::kQ8;
  options.work.cancel = &cancel;
  options.work.progress = [&](uint64_t done, uint64_t total) {
    if (done > total / 2) cancel.set();
    return done <= total;
  };
  CHECK_EQ(pack_model(source, folder / "x.dsm", options).code(), DS_E_CANCELLED);
  CHECK_EQ(folder.entries(), 0);
  options.work = {};
  options.work.progress = [](uint64_t, uint64_t) { return false; };
  CHECK_EQ(pack_model(source, folder / "x.dsm", options).code(), DS_E_STOPPED);
  CHECK_EQ(folder.entries(), 0);
}

TEST_CASE("names of types") {
  CHECK_EQ(pack_type_from_name("q4").value(), PackType::kQ4);
  CHECK_EQ(pack_type_from_name("").value(), PackType::kSource);
  const auto wrong = pack_type_from_name("q17");
  REQUIRE_FALSE(wrong.ok());
  CHECK_EQ(wrong.status().code(), DS_E_ARGUMENT);
  CHECK(std::strstr(wrong.status().message(), "'q17'"));
}
