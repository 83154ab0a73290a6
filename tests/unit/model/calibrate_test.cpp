#include "model/calibrate.h"

#include <cmath>

#include "golden/compare.h"
#include "golden/npz.h"
#include "work_samples.h"

using namespace deepseam;
using namespace deepseam::model;
using namespace deepseam::model::test;

namespace {

const std::string kTiny = DS_TINY_DIR;

std::vector<uint32_t> ids_of(const golden::Record &record) {
  const auto ids = record.at("ids").ints();
  return {ids.begin(), ids.end()};
}

Moments moments_of(const ModelFiles &source, std::span<const uint32_t> ids, const WorkOptions &work = {},
                   std::vector<float> *hidden = nullptr) {
  Moments moments;
  require_ok(gather_moments(source, ids, work, &moments, hidden));
  return moments;
}

// Largest difference of the oracle's logits from those of hidden states.
double worst_logit(const ModelFiles &source, const golden::Record &record, const std::vector<float> &hidden) {
  const WeightMap weights = bound(source);
  const WeightBinding *head = weights.find("lm_head");
  const std::vector<float> table = numbers(source, head ? *head : *weights.find("embed"));
  const uint64_t vocab = record.at("logits").size() / record.at("positions").size(), wide = table.size() / vocab;
  const auto positions = record.at("positions").ints();
  const auto expected = record.at("logits").floats();
  double worst = 0;
  for (size_t p = 0; p < positions.size(); ++p)
    for (uint64_t v = 0; v < vocab; ++v) {
      double logit = 0;
      for (uint64_t i = 0; i < wide; ++i)
        logit += double(hidden[static_cast<size_t>(positions[p]) * wide + i]) * table[v * wide + i];
      worst = std::max(worst, std::fabs(logit - expected[p * vocab + v]));
    }
  return worst;
}

}  // namespace

TEST_CASE("hidden states of every kind of model are the oracle's") {
  for (const char *variant : {"lite", "lite-rope", "lite-dense", "lite-tied", "lite-wide", "v2", "v3", "v3-true"})
    for (const char *length : {"064", "300"}) {
      CAPTURE(std::string(variant));
      CAPTURE(std::string(length));
      const ModelFiles source = opened(kTiny + "/" + variant);
      const golden::Record record =
          golden::read_npz(std::string(DS_GOLDEN_DIR) + "/" + variant + "-" + length + ".npz");
      std::vector<float> hidden;
      const Moments moments = moments_of(source, ids_of(record), {}, &hidden);
      CHECK(worst_logit(source, record, hidden) <= golden::kMaxAbs);
      const WeightMap weights = bound(source);
      for (const auto &[role, values] : moments.by_role) {
        INFO(role);
        const WeightSpec &spec = weights.find(role)->spec;
        CHECK_EQ(values.size(), (spec.stacked ? spec.shape[0] : 1) * spec.shape.back());
        for (const float value : values) REQUIRE((value > 0 && std::isfinite(value)));
      }
    }
}

TEST_CASE("moments are the means of squares of what goes in") {
  const ModelFiles source = opened(kTiny + "/lite-dense");
  const golden::Record record = golden::read_npz(std::string(DS_GOLDEN_DIR) + "/lite-dense-064.npz");
  std::vector<float> hidden;
  const Moments moments = moments_of(source, ids_of(record), {}, &hidden);
  const std::vector<float> &head = moments.by_role.at("lm_head");
  double mean = 0;
  for (const float value : hidden) mean += double(value) * value / static_cast<double>(hidden.size());
  for (size_t i = 0; i < head.size(); ++i) {
    double square = 0;
    for (size_t t = 0; t < 64; ++t) square += double(hidden[t * head.size() + i]) * hidden[t * head.size() + i] / 64;
    REQUIRE(head[i] == doctest::Approx(square + 1e-3 * mean).epsilon(1e-4));
  }
  CHECK_EQ(moments.tokens, 64);
  CHECK(moments.by_role.count("layers.0.down"));
  CHECK(moments.by_role.count("layers.0.kv_b"));
  CHECK_FALSE(moments.by_role.count("layers.1.router"));
}

TEST_CASE("threads and text beyond the limit change nothing") {
  const ModelFiles source = opened(kTiny + "/v3");
  std::vector<uint32_t> ids = ids_of(golden::read_npz(std::string(DS_GOLDEN_DIR) + "/v3-300.npz"));
  auto pool = make_thread_pool(3, false);
  REQUIRE(pool.ok());
  WorkOptions work;
  work.runner = pool->get();
  CHECK(moments_of(source, ids).by_role == moments_of(source, ids, work).by_role);
  while (ids.size() < kCalibrationTokens + 100) ids.push_back(ids[ids.size() % 300]);
  CHECK_EQ(moments_of(source, ids, work).tokens, kCalibrationTokens);
}

TEST_CASE("no tokens, and tokens beyond the vocabulary, are refused; stopping stops") {
  const ModelFiles source = opened(kTiny + "/lite");
  Moments moments;
  CHECK_EQ(gather_moments(source, {}, {}, &moments).code(), DS_E_ARGUMENT);
  const std::vector<uint32_t> beyond = {1, 4000000000u}, some = {1, 2, 3};
  CHECK_EQ(gather_moments(source, beyond, {}, &moments).code(), DS_E_ARGUMENT);
  WorkOptions work;
  work.progress = [](uint64_t, uint64_t) { return false; };
  CHECK_EQ(gather_moments(source, some, work, &moments).code(), DS_E_STOPPED);
}
