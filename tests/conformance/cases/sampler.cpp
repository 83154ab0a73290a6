// Drawing, through a graph whose logits are what the case says: hidden_in times the unit matrix.
#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "harness.h"

namespace conformance {
namespace {

constexpr uint32_t kV = 40;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Drawn {
  uint32_t id = 0;
  float logprob = 0;
  std::vector<uint32_t> top_ids;
  std::vector<float> top_logprobs;
};

// One row a draw; a sequence without KV.
class Dice {
 public:
  Dice() {
    std::vector<float> unit(kV * kV);
    for (uint32_t i = 0; i < kV; ++i) unit[i * kV + i] = 1;
    weights_["unit"] = exact_tensor({kV, kV}, unit);
    graph::GraphBuilder b("dice");
    b.output_logits(b.lm_head(b.gather_rows(b.input_hidden(kV)), b.weight("unit", DType::kF32, {kV, kV}), kV));
    auto made = b.finish();
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    program_ = std::make_unique<Program>(*made, weights_);
  }
  ds_status draw(dsb_sampler *sampler, const std::vector<float> &logits, Drawn *drawn, const uint32_t *mask = nullptr,
                 uint32_t n_top = 0, Error *error = nullptr) {
    Step step;
    step.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE;
    step.hidden_in = logits;
    step.n_hidden_in = 1;
    step.add_seq(0, 0, {});
    step.add_row(0, 0, 0, DSB_WANT_SAMPLE).hidden_row = 0;
    step.seqs[0].sampler = sampler;
    step.seqs[0].token_mask = mask;
    drawn->top_ids.resize(n_top);
    drawn->top_logprobs.resize(n_top);
    step.outputs.ids = &drawn->id;
    step.outputs.logprobs = &drawn->logprob;
    step.outputs.n_top = n_top;
    step.outputs.top_ids = drawn->top_ids.data();
    step.outputs.top_logprobs = drawn->top_logprobs.data();
    return run(program_->exec, step, error);
  }
  uint32_t id(dsb_sampler *sampler, const std::vector<float> &logits, const uint32_t *mask = nullptr) {
    Drawn drawn;
    REQUIRE(draw(sampler, logits, &drawn, mask) == DS_OK);
    return drawn.id;
  }

 private:
  Weights weights_;
  std::unique_ptr<Program> program_;
};

std::vector<float> some_logits(uint64_t seed) {
  Random random(seed);
  return random_floats(random, kV, 4);
}

// How often each token comes in n draws.
std::map<uint32_t, double> frequencies(Dice &dice, const dsb_sampler_desc &desc, const std::vector<float> &logits,
                                       uint32_t n) {
  const SamplerHolder sampler(desc);
  std::map<uint32_t, double> share;
  for (uint32_t i = 0; i < n; ++i) share[dice.id(sampler.sampler, logits)] += 1.0 / n;
  return share;
}

// What the distribution is by definition, in float64.
std::map<uint32_t, double> expected(const std::vector<float> &logits, double temperature, uint32_t top_k, double top_p,
                                    double min_p) {
  std::vector<uint32_t> order(kV);
  for (uint32_t i = 0; i < kV; ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) { return logits[a] > logits[b]; });
  if (top_k) order.resize(top_k);
  std::vector<double> weights;
  double total = 0;
  for (uint32_t i : order) {
    weights.push_back(std::exp((logits[i] - logits[order[0]]) / temperature));
    total += weights.back();
  }
  std::map<uint32_t, double> share;
  double sum = 0, kept = 0;
  for (size_t i = 0; i < order.size() && (i == 0 || top_p == 0 || sum < top_p * total); ++i) {
    sum += weights[i];
    if (weights[i] < min_p) continue;
    share[order[i]] = weights[i];
    kept += weights[i];
  }
  for (auto &entry : share) entry.second /= kept;
  return share;
}

uint64_t mix(uint64_t z) {
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

}  // namespace

CONFORMANCE("sampler: greedy, ties to the lower id") {
  Dice dice;
  const SamplerHolder sampler(sampler_desc(0));
  std::vector<float> logits = some_logits(1);
  logits[17] = logits[23] = 9;
  CHECK(dice.id(sampler.sampler, logits) == 17);
  std::vector<float> negative(kV, -5);
  CHECK(dice.id(sampler.sampler, negative) == 0);
}

CONFORMANCE("sampler: frequencies of draws are the probabilities") {
  Dice dice;
  const std::vector<float> logits = some_logits(2);
  struct Case {
    float temperature;
    uint32_t top_k;
    float top_p, min_p;
  };
  for (const Case &c : {Case{1, 0, 0, 0}, Case{2.5f, 0, 1, 0}, Case{1, 5, 0, 0}, Case{1.5f, 0, 0.7f, 0},
                        Case{1.5f, 0, 0, 0.2f}, Case{2, 12, 0.8f, 0.1f}}) {
    CAPTURE(c.temperature);
    CAPTURE(c.top_k);
    CAPTURE(c.top_p);
    CAPTURE(c.min_p);
    dsb_sampler_desc desc = sampler_desc(c.temperature, 3);
    desc.top_k = c.top_k;
    desc.top_p = c.top_p;
    desc.min_p = c.min_p;
    constexpr uint32_t kDraws = 3000;
    const auto found = frequencies(dice, desc, logits, kDraws);
    const auto exact = expected(logits, c.temperature, c.top_k, c.top_p == 1 ? 0 : c.top_p, c.min_p);
    for (const auto &entry : found) CHECK(exact.count(entry.first) == 1);
    double chi_squared = 0;
    for (const auto &entry : exact) {
      const auto seen = found.find(entry.first);
      const double difference = (seen == found.end() ? 0 : seen->second) - entry.second;
      chi_squared += kDraws * difference * difference / entry.second;
    }
    CHECK(chi_squared < 2 * static_cast<double>(exact.size()) + 25);
  }
}

CONFORMANCE("sampler: a seed fixes every draw, to the token") {
  Dice dice;
  const std::vector<float> logits = some_logits(4);
  dsb_sampler_desc desc = sampler_desc(1, 99);
  desc.stream = 7;
  const SamplerHolder sampler(desc);
  const auto exact = expected(logits, 1, 0, 0, 0);
  for (uint64_t draw = 0; draw < 200; ++draw) {
    const double u = static_cast<double>(mix(mix(mix(99) + 7) + draw) >> 11) * 0x1p-53;
    double sum = 0;
    uint32_t token = DSB_NONE;
    bool sure = true;
    for (const auto &entry : exact) {  // by id
      sum += entry.second;
      sure = sure && std::fabs(sum - u) > 1e-9;
      if (token == DSB_NONE && sum > u) token = entry.first;
    }
    const uint32_t found = dice.id(sampler.sampler, logits);
    if (sure) CHECK(found == token);
  }
}

CONFORMANCE("sampler: reset starts anew, fork goes its own way") {
  Dice dice;
  const std::vector<float> logits(kV, 0);
  const dsb_sampler_desc desc = sampler_desc(1, 5);
  const SamplerHolder sampler(desc);
  const auto draws = [&](dsb_sampler *of) {
    std::vector<uint32_t> ids;
    for (uint32_t i = 0; i < 16; ++i) ids.push_back(dice.id(of, logits));
    return ids;
  };
  const std::vector<uint32_t> first = draws(sampler.sampler), second = draws(sampler.sampler);
  CHECK(first != second);
  REQUIRE(api().sampler_reset(sampler.sampler, &desc, nullptr) == DS_OK);
  CHECK(draws(sampler.sampler) == first);
  dsb_sampler *same = nullptr, *other = nullptr;
  REQUIRE(api().sampler_fork(sampler.sampler, 0, &same, nullptr) == DS_OK);
  REQUIRE(api().sampler_fork(sampler.sampler, 1, &other, nullptr) == DS_OK);
  CHECK(draws(same) == second);
  CHECK(draws(other) != second);
  CHECK(draws(sampler.sampler) == second);  // the forks have not touched it
  api().sampler_destroy(same);
  api().sampler_destroy(other);
}

CONFORMANCE("sampler: biases, masks, and what they leave") {
  Dice dice;
  const std::vector<float> logits = some_logits(6);
  const dsb_bias bias[] = {{7, 100}, {9, 80}, {5000, 1000}};
  dsb_sampler_desc desc = sampler_desc(0);
  desc.n_bias = 3;
  desc.bias = bias;
  const SamplerHolder sampler(desc);
  CHECK(dice.id(sampler.sampler, logits) == 7);
  uint32_t mask[2] = {~(1u << 7), ~0u};
  CHECK(dice.id(sampler.sampler, logits, mask) == 9);
  mask[0] = 0, mask[1] = 1u << 3;
  CHECK(dice.id(sampler.sampler, logits, mask) == 35);
  const SamplerHolder hot(sampler_desc(50));
  for (uint32_t i = 0; i < 20; ++i) CHECK(dice.id(hot.sampler, logits, mask) == 35);
  mask[1] = 0;
  Drawn drawn;
  Error error;
  CHECK(dice.draw(hot.sampler, logits, &drawn, mask, 0, &error) == DS_E_ARGUMENT);
  CHECK(error.message[0] != 0);
}

CONFORMANCE("sampler: penalties over tokens seen") {
  Dice dice;
  std::vector<float> logits(kV, -10);
  logits[1] = 5, logits[2] = 4, logits[3] = 3, logits[4] = -1;
  const auto greedy = [&](dsb_sampler_desc desc, const std::vector<uint32_t> &seen) {
    desc.struct_size = sizeof desc;
    const SamplerHolder sampler(desc);
    REQUIRE(api().sampler_update(sampler.sampler, seen.data(), seen.size(), nullptr) == DS_OK);
    std::vector<uint32_t> ids;
    for (uint32_t i = 0; i < 4; ++i) ids.push_back(dice.id(sampler.sampler, logits));
    return ids;
  };
  using Ids = std::vector<uint32_t>;
  dsb_sampler_desc repetition{}, presence{}, frequency{};
  repetition.repetition_penalty = 2;  // 5 to 2.5, 4 to 2, 3 to 1.5
  CHECK(greedy(repetition, {}) == Ids{1, 2, 3, 1});
  CHECK(greedy(repetition, {1, 1, 2}) == Ids{3, 1, 1, 1});
  presence.presence_penalty = 1.5f;  // 5 to 3.5, 4 to 2.5, 3 to 1.5
  CHECK(greedy(presence, {}) == Ids{1, 2, 1, 1});
  frequency.frequency_penalty = 1;  // one less for each time
  CHECK(greedy(frequency, {}) == Ids{1, 1, 2, 1});
  CHECK(greedy(frequency, {1, 1, 1, 2, 2}) == Ids{3, 1, 2, 3});
  frequency.penalty_last_n = 2;  // only the last two count
  CHECK(greedy(frequency, {1, 1, 1, 1, 5, 5}) == Ids{1, 1, 2, 1});
}

CONFORMANCE("sampler: log probabilities are of the raw logits, best first") {
  Dice dice;
  std::vector<float> logits = some_logits(8);
  logits[11] = logits[12] = 6;
  double sum = 0;
  for (float logit : logits) sum += std::exp(double{logit});
  const dsb_bias bias = {20, 50};
  dsb_sampler_desc desc = sampler_desc(0.1f);
  desc.n_bias = 1;
  desc.bias = &bias;
  const SamplerHolder sampler(desc);
  Drawn drawn;
  REQUIRE(dice.draw(sampler.sampler, logits, &drawn, nullptr, kV) == DS_OK);
  CHECK(drawn.id == 20);
  CHECK(std::fabs(drawn.logprob - (logits[20] - std::log(sum))) < 1e-5);
  CHECK(drawn.top_ids[0] == 11);
  CHECK(drawn.top_ids[1] == 12);
  for (uint32_t i = 0; i < kV; ++i) {
    CHECK(std::fabs(drawn.top_logprobs[i] - (logits[drawn.top_ids[i]] - std::log(sum))) < 1e-5);
    if (i) CHECK(drawn.top_logprobs[i] <= drawn.top_logprobs[i - 1]);
  }
  REQUIRE(dice.draw(sampler.sampler, logits, &drawn, nullptr, 3) == DS_OK);
  CHECK(drawn.top_ids[2] != DSB_NONE);
}

CONFORMANCE("sampler: logits that are no numbers are the device's failure") {
  Dice dice;
  for (float bad : {std::numeric_limits<float>::quiet_NaN(), kInfinity}) {
    for (float temperature : {0.0f, 1.0f}) {
      const SamplerHolder sampler(sampler_desc(temperature));
      std::vector<float> logits(kV, 0.0f);
      logits[0] = bad;  // the unit matrix spreads it: infinity times zero is no number
      Drawn drawn;
      Error error;
      CHECK(dice.draw(sampler.sampler, logits, &drawn, nullptr, 0, &error) == DS_E_DEVICE);
      CHECK(std::string(error.message).find("non-finite") != std::string::npos);
    }
  }
}

CONFORMANCE("sampler: wrong descriptions are refused") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const auto refuse = [&](const dsb_sampler_desc &desc) {
    dsb_sampler *sampler = nullptr;
    Error error;
    CHECK(api().sampler_create(device(), &desc, &sampler, &error) != DS_OK);
    CHECK(sampler == nullptr);
    CHECK(error.message[0] != 0);
  };
  const dsb_sampler_desc good = sampler_desc(1);
  for (float dsb_sampler_desc::*field : {&dsb_sampler_desc::temperature, &dsb_sampler_desc::top_p,
                                         &dsb_sampler_desc::min_p, &dsb_sampler_desc::repetition_penalty,
                                         &dsb_sampler_desc::presence_penalty, &dsb_sampler_desc::frequency_penalty}) {
    dsb_sampler_desc bad = good;
    refuse((bad.*field = nan, bad));
    refuse((bad.*field = kInfinity, bad));
    refuse((bad.*field = -kInfinity, bad));
  }
  dsb_sampler_desc bad = good;
  refuse((bad.temperature = -1, bad));
  refuse((bad = good, bad.top_p = 1.5f, bad));
  refuse((bad = good, bad.n_bias = 1, bad));
  refuse((bad = good, bad.struct_size = 0, bad));
  const dsb_bias bias = {1, nan};
  refuse((bad = good, bad.n_bias = 1, bad.bias = &bias, bad));
}

}  // namespace conformance
