// Sampling parameters: what is refused, what a model's defaults fill in.
#include "session/sampler.h"

#include <doctest/doctest.h>

#include <cmath>

using namespace deepseam;
using namespace deepseam::session;

TEST_CASE("numbers that are not numbers are refused by name") {
  const std::pair<float SamplingParams::*, const char *> fields[] = {
      {&SamplingParams::temperature, "temperature"},
      {&SamplingParams::top_p, "top_p"},
      {&SamplingParams::min_p, "min_p"},
      {&SamplingParams::repetition_penalty, "repetition_penalty"},
      {&SamplingParams::presence_penalty, "presence_penalty"},
      {&SamplingParams::frequency_penalty, "frequency_penalty"}};
  for (const auto &[field, name] : fields)
    for (const float bad : {std::nanf(""), INFINITY, -1.0f}) {
      SamplingParams params;
      params.*field = bad;
      const Status status = complete_sampling(&params, {}, 100);
      CHECK(status.code() == DS_E_ARGUMENT);
      CHECK(std::string(status.message()).find(name) != std::string::npos);
    }
  SamplingParams above;
  above.top_p = 1.5f;
  CHECK(complete_sampling(&above, {}, 100).code() == DS_E_ARGUMENT);
}

TEST_CASE("a bias has to be finite and for a token that exists") {
  SamplingParams params;
  params.bias = {{99, -5}};
  CHECK(complete_sampling(&params, {}, 100).ok());
  params.bias = {{100, 1}};
  CHECK(complete_sampling(&params, {}, 100).code() == DS_E_ARGUMENT);
  params.bias = {{1, INFINITY}};
  CHECK(complete_sampling(&params, {}, 100).code() == DS_E_ARGUMENT);
}

TEST_CASE("the model's defaults fill in zeros only, and only if asked for") {
  GenerationDefaults defaults;
  defaults.temperature = 0.3;
  defaults.top_p = 0.95;
  defaults.top_k = 40;
  SamplingParams params;
  CHECK(complete_sampling(&params, defaults, 100).ok());
  CHECK(params.temperature == 0);
  params.model_defaults = true;
  params.top_p = 0.5f;
  CHECK(complete_sampling(&params, defaults, 100).ok());
  CHECK(params.temperature == 0.3f);
  CHECK(params.top_p == 0.5f);
  CHECK(params.top_k == 40);
  SamplingParams damaged;
  damaged.model_defaults = true;
  defaults.temperature = std::nan("");
  CHECK(complete_sampling(&damaged, defaults, 100).ok());
  CHECK(damaged.temperature == 0);
}

TEST_CASE("seed 0 is seed 0, and a random one is drawn anew") {
  SamplingParams fixed;
  CHECK(complete_sampling(&fixed, {}, 100).ok());
  CHECK(fixed.seed == 0);
  SamplingParams a, b;
  a.random_seed = b.random_seed = true;
  CHECK(complete_sampling(&a, {}, 100).ok());
  CHECK(complete_sampling(&b, {}, 100).ok());
  CHECK(a.seed != b.seed);
}

TEST_CASE("only penalties look back") {
  SamplingParams params;
  CHECK_FALSE(uses_history(params));
  params.repetition_penalty = 1;
  CHECK_FALSE(uses_history(params));
  params.repetition_penalty = 1.1f;
  CHECK(uses_history(params));
}
