// RoPE constants against the published check values.
#include <doctest/doctest.h>

#include <cmath>

#include "model/config.h"

using namespace deepseam::model;

namespace {

// The RoPE of every released model, with their two values of mscale.
Config released(double mscale) {
  Config config;
  config.qk_nope_head_dim = 128;
  config.qk_rope_head_dim = 64;
  config.rope_theta = 10000;
  config.yarn.on = true;
  config.yarn.factor = 40;
  config.yarn.original_max_position_embeddings = 4096;
  config.yarn.mscale = config.yarn.mscale_all_dim = mscale;
  return config;
}

bool close(double a, double b, double relative) { return std::fabs(a - b) <= relative * std::fabs(b); }

}  // namespace

TEST_CASE("YaRN frequencies of the released models") {
  const RopeConstants rope = rope_constants(released(0.707));
  REQUIRE(rope.inv_freq.size() == 32);
  const std::pair<size_t, double> expected[] = {{0, 1},
                                                {10, 0.0562341325},
                                                {11, 0.0390069266},
                                                {12, 0.0268793601},
                                                {16, 0.0055},
                                                {20, 7.90569415e-4},
                                                {22, 1.77827941e-4},
                                                {23, 3.33380358e-5},
                                                {31, 3.33380358e-6}};
  for (const auto &[pair, value] : expected) {
    CAPTURE(pair);
    CHECK(close(rope.inv_freq[pair], value, 1e-8));
  }
}

TEST_CASE("the softmax scale carries the square of mscale_all_dim's scale") {
  CHECK(close(rope_constants(released(0.707)).softmax_scale, 0.114721387, 1e-8));
  CHECK(close(rope_constants(released(1.0)).softmax_scale, 0.135233779, 1e-8));
}

TEST_CASE("cos and sin are multiplied by the ratio of the two scales") {
  CHECK(rope_constants(released(0.707)).rope_scale == 1.0);
  Config config = released(1.0);
  config.yarn.mscale_all_dim = 0;
  CHECK(close(rope_constants(config).rope_scale, 1.36888795, 1e-8));
  CHECK(close(rope_constants(config).softmax_scale, 0.0721687836, 1e-8));
}

TEST_CASE("without YaRN frequencies are plain powers") {
  Config config = released(1.0);
  config.yarn = {};
  const RopeConstants rope = rope_constants(config);
  CHECK(rope.inv_freq[0] == 1.0);
  CHECK(close(rope.inv_freq[16], 0.01, 1e-12));
  CHECK(close(rope.softmax_scale, 0.0721687836, 1e-8));
  CHECK(rope.rope_scale == 1.0);
}

TEST_CASE("a factor of one changes no frequency and no scale") {
  Config config = released(1.0);
  config.yarn.factor = 1;
  const RopeConstants rope = rope_constants(config);
  CHECK(close(rope.inv_freq[31], std::pow(10000.0, -62.0 / 64), 1e-12));
  CHECK(close(rope.softmax_scale, 0.0721687836, 1e-8));
}

TEST_CASE("a ramp without width divides by no zero") {
  Config config = released(1.0);
  config.yarn.beta_fast = config.yarn.beta_slow = 4096 / (2 * 3.14159265358979323846);  // both turn at pair 0
  for (double frequency : rope_constants(config).inv_freq) CHECK(std::isfinite(frequency));
}
