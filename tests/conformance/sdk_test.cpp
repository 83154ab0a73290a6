// What the parts of backends/sdk promise by themselves, beyond what the suite sees of them through a backend.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/half.h"
#include "graph/builder.h"
#include "sdk/exact_math.h"
#include "sdk/kv.h"
#include "sdk/objects.h"
#include "sdk/sampler.h"
#include "sdk/stored.h"

namespace deepseam::sdk {
namespace {

// Distance in units of the last place of `exact`.
double ulps(double found, double exact) {
  return std::fabs(found - exact) /
         (std::nextafter(std::fabs(exact), std::numeric_limits<double>::infinity()) - std::fabs(exact));
}

KvShape shape_of(uint32_t format) { return {format, 150, 6, 0, 1, 4}; }

std::vector<float> wave(size_t n, float size) {
  std::vector<float> values(n);
  for (size_t i = 0; i < n; ++i) values[i] = size * static_cast<float>(std::sin(0.37 * static_cast<double>(i * i + 1)));
  return values;
}

dsb_sampler_desc warm(float top_p) {
  dsb_sampler_desc desc{};
  desc.struct_size = sizeof desc;
  desc.temperature = 1;
  desc.top_p = top_p;
  desc.seed = 11;
  return desc;
}

}  // namespace

// Two machines with other versions of a vendor library give other bits, but for what the library has no part in.
TEST_CASE("numerics: a vendor library's name counts unless the mode is deterministic") {
  const Kernel kernels[] = {{graph::Op::kInputHidden, "rows", nullptr}, {graph::Op::kGatherRows, "rows", nullptr}};
  const Backend backend{"fake", "1", "CPU", 1, 1, 1u << DSB_ACT_NATIVE, kernels};
  graph::GraphBuilder b("nothing");
  b.output_hidden(b.gather_rows(b.input_hidden(8)));
  auto made = b.finish();
  REQUIRE(made.ok());
  const std::string bytes = graph::serialize(*made);
  const auto numerics = [&](const char *library, uint32_t flags) {
    Instance instance(backend);
    instance.library = library;
    dsb_plan_options options{};
    options.struct_size = sizeof options;
    options.flags = flags;
    options.max_rows = options.max_seqs = options.max_blocks_per_seq = options.max_logit_rows = options.block_tokens =
        1;
    options.kv_format = DSB_KV_F32;
    auto layout =
        Layout::plan(instance, nullptr, {reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()}, options);
    REQUIRE_MESSAGE(layout.ok(), layout.status().message());
    const std::unique_ptr<Layout> owned(*layout);
    return owned->numerics_id;
  };
  CHECK(numerics("vendor 1.0", 0) == numerics("vendor 1.0", 0));
  CHECK(numerics("vendor 1.0", 0) != numerics("vendor 1.1", 0));
  CHECK(numerics("vendor 1.0", DSB_PLAN_DETERMINISTIC) == numerics("", DSB_PLAN_DETERMINISTIC));
}

TEST_CASE("exact_exp: within two units of the last place, and at the ends of the range") {
  for (double x = -700; x < 709; x += 0.0937) CHECK(ulps(exact_exp(x), std::exp(x)) <= 2);
  CHECK(exact_exp(0) == 1);
  CHECK(exact_exp(-800) == 0);
  CHECK(exact_exp(-std::numeric_limits<double>::infinity()) == 0);
  CHECK(exact_exp(800) == std::numeric_limits<double>::infinity());
  CHECK(std::isnan(exact_exp(std::numeric_limits<double>::quiet_NaN())));
  for (double x = -744; x < -708; x += 1.7) CHECK(std::fabs(exact_exp(x) - std::exp(x)) <= 1e-322);
}

// Of every system, whatever its C library: the number was printed by this test on Debian 12.
TEST_CASE("exact_sincos: the same bits everywhere") {
  uint64_t sum = 0;
  for (uint32_t position = 0; position < 163840; position += 37)
    for (double inv_freq : {1.0, 0.0562341325, 3.33e-6}) {
      const SinCos found = exact_sincos(position * inv_freq);
      sum = (sum * 31 + std::bit_cast<uint64_t>(found.sin)) * 31 + std::bit_cast<uint64_t>(found.cos);
    }
  CHECK(sum == 13467069494155798637u);
}

#if !defined(_WIN32)  // the sine of msvcrt and of mingw-w64 is not that exact itself
TEST_CASE("exact_sincos: close for every angle that a position can have") {
  double worst = 0;
  for (uint32_t position = 0; position < 163840; position += 37)
    for (double inv_freq : {1.0, 0.0562341325, 3.33e-6}) {
      const double angle = position * inv_freq;
      const SinCos found = exact_sincos(angle);
      worst = std::max(worst, std::fabs(found.sin - std::sin(angle)));
      worst = std::max(worst, std::fabs(found.cos - std::cos(angle)));
    }
  CHECK(worst < 3e-16);
}
#endif

TEST_CASE("kv rows: what is decoded is within half a step of what was encoded") {
  const std::vector<float> latent = wave(150, 3), key = wave(6, 2);
  const double steps[] = {0, 0x1p-8, 0x1p-4, 1.0 / 126};  // half a step, relative to the largest of its group
  for (uint32_t format = DSB_KV_F32; format <= DSB_KV_Q8X64_BF16; ++format) {
    CAPTURE(format);
    const KvShape shape = shape_of(format);
    std::vector<uint8_t> row(shape.row_bytes() + 1, 0xee);
    std::vector<float> values(156);
    kv_encode(shape, latent.data(), key.data(), row.data());
    CHECK(row.back() == 0xee);
    kv_decode(shape, row.data(), values.data());
    for (size_t i = 0; i < 150; ++i) CHECK(std::fabs(values[i] - latent[i]) <= 3 * steps[format - 1]);
    for (size_t i = 0; i < 6; ++i)
      CHECK(values[150 + i] == (format == DSB_KV_F32 ? key[i] : bf16_to_f32(f32_to_bf16(key[i]))));
  }
}

TEST_CASE("kv rows: zeros stay zeros, tiny values do not blow up, NaN stays visible") {
  for (uint32_t format : {DSB_KV_E4M3X128_BF16, DSB_KV_Q8X64_BF16}) {
    const KvShape shape = shape_of(format);
    std::vector<uint8_t> row(shape.row_bytes());
    std::vector<float> latent(150, 0.0f), key(6, 0.0f), values(156);
    kv_encode(shape, latent.data(), key.data(), row.data());
    kv_decode(shape, row.data(), values.data());
    CHECK(values == std::vector<float>(156, 0.0f));
    latent.assign(150, 1e-44f);
    kv_encode(shape, latent.data(), key.data(), row.data());
    kv_decode(shape, row.data(), values.data());
    for (float value : values) CHECK(std::fabs(value) <= 1e-43f);
    for (float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      latent.assign(150, 1.0f);
      latent[70] = bad;
      kv_encode(shape, latent.data(), key.data(), row.data());
      kv_decode(shape, row.data(), values.data());
      CHECK(std::isnan(values[70]));
    }
  }
}

TEST_CASE("sampler: a large vocabulary, top_p by parts equals top_p by sorting everything") {
  constexpr uint32_t kV = 50000;
  std::vector<float> logits(kV);
  for (uint32_t i = 0; i < kV; ++i) logits[i] = static_cast<float>(uniform(1, 2, i) * 3);
  auto made = Sampler::make(warm(0.6f));
  REQUIRE(made.ok());
  std::vector<uint32_t> order(kV);
  for (uint32_t i = 0; i < kV; ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
  const double most = logits[order[0]];
  double total = 0, sum = 0;
  for (float logit : logits) total += exact_exp(logit - most);
  std::vector<bool> kept(kV, false);
  for (uint32_t i = 0; i < kV && sum < 0.6f * total; ++i) {
    sum += exact_exp(logits[order[i]] - most);
    kept[order[i]] = true;
  }
  for (uint32_t draw = 0; draw < 50; ++draw) {
    const double wanted = uniform(11, 0, draw) * sum;
    double running = 0;
    uint32_t expected = DSB_NONE;
    bool sure = true;
    for (uint32_t i = 0; i < kV && sure; ++i) {
      if (!kept[i]) continue;
      running += exact_exp(logits[i] - most);
      sure = std::fabs(running - wanted) > 1e-9 * sum;
      if (running <= wanted) continue;
      expected = i;
      break;
    }
    std::vector<float> work = logits;
    auto token = made->draw(work.data(), kV, nullptr, 0);
    REQUIRE(token.ok());
    if (sure) CHECK(*token == expected);
    made->take(*token);
  }
}

TEST_CASE("sampler: rolling back undoes what was seen, in a window of the last tokens too") {
  dsb_sampler_desc desc = warm(0);
  desc.temperature = 0;
  desc.frequency_penalty = 1;
  for (uint32_t last_n : {0u, 3u}) {
    desc.penalty_last_n = last_n;
    auto made = Sampler::make(desc), same = Sampler::make(desc);
    REQUIRE(made.ok());
    REQUIRE(same.ok());
    for (uint32_t token : {1u, 2u, 1u, 3u, 3u}) made->see(token), same->see(token);
    const Sampler::Mark mark = made->mark();
    for (uint32_t token : {4u, 1u, 1u, 2u, 5u, 1u, 0u}) made->take(token);
    made->roll_back(mark);
    CHECK(made->last() == 3);
    for (uint32_t i = 0; i < 12; ++i) {
      std::vector<float> a = {1, 2, 2.5f, 3, 1.5f, 0.5f}, b = a;
      const auto x = made->draw(a.data(), 6, nullptr, 0), y = same->draw(b.data(), 6, nullptr, 0);
      REQUIRE(x.ok());
      CHECK(x.value() == y.value());
      CHECK(a == b);
      made->take(x.value());
      same->take(y.value());
    }
  }
}

}  // namespace deepseam::sdk
