// See sampler.h.
#include "session/sampler.h"

#include <cmath>
#include <random>

namespace deepseam::session {
namespace {

Status check(float value, float most, const char *field) {
  if (std::isfinite(value) && value >= 0 && value <= most) return {};
  return fail(DS_E_ARGUMENT, "session", "%s is %g, expected a number from 0 to %g", field, static_cast<double>(value),
              static_cast<double>(most));
}

// Zero takes what generation_config.json says; values there that make no sense are left out.
void take_default(float *value, const std::optional<double> &given, double most) {
  if (*value == 0 && given && std::isfinite(*given) && *given >= 0 && *given <= most)
    *value = static_cast<float>(*given);
}

void take_defaults(SamplingParams *params, const GenerationDefaults &defaults) {
  if (defaults.do_sample.value_or(true)) take_default(&params->temperature, defaults.temperature, 100);
  take_default(&params->top_p, defaults.top_p, 1);
  take_default(&params->min_p, defaults.min_p, 1);
  take_default(&params->repetition_penalty, defaults.repetition_penalty, 100);
  if (params->top_k == 0 && defaults.top_k && *defaults.top_k > 0 && *defaults.top_k < INT32_MAX)
    params->top_k = static_cast<uint32_t>(*defaults.top_k);
}

}  // namespace

Status complete_sampling(SamplingParams *params, const GenerationDefaults &defaults, uint32_t n_vocab) {
  constexpr float kMost = 3e38f;
  DS_TRY(check(params->temperature, kMost, "temperature"));
  DS_TRY(check(params->top_p, 1, "top_p"));
  DS_TRY(check(params->min_p, 1, "min_p"));
  DS_TRY(check(params->repetition_penalty, kMost, "repetition_penalty"));
  DS_TRY(check(params->presence_penalty, kMost, "presence_penalty"));
  DS_TRY(check(params->frequency_penalty, kMost, "frequency_penalty"));
  for (size_t i = 0; i < params->bias.size(); ++i) {
    const dsb_bias &bias = params->bias[i];
    if (!std::isfinite(bias.value))
      return fail(DS_E_ARGUMENT, "session", "logit_bias[%zu] of token %u is %g, expected a finite number", i,
                  bias.token, static_cast<double>(bias.value));
    if (bias.token >= n_vocab)
      return fail(DS_E_ARGUMENT, "session", "logit_bias[%zu] is for token %u, and the vocabulary has %u", i, bias.token,
                  n_vocab);
  }
  if (params->model_defaults) take_defaults(params, defaults);
  if (!params->random_seed) return {};
  try {
    std::random_device device;
    params->seed = (uint64_t{device()} << 32) | device();
  } catch (const std::exception &) {
    return fail(DS_E_IO, "session", "the system offers no random numbers for a seed");
  }
  return {};
}

dsb_sampler_desc sampler_desc(const SamplingParams &params, uint64_t stream) {
  dsb_sampler_desc desc{};
  desc.struct_size = sizeof desc;
  desc.top_k = params.top_k;
  desc.temperature = params.temperature;
  desc.top_p = params.top_p;
  desc.min_p = params.min_p;
  desc.repetition_penalty = params.repetition_penalty;
  desc.presence_penalty = params.presence_penalty;
  desc.frequency_penalty = params.frequency_penalty;
  desc.n_bias = static_cast<uint32_t>(params.bias.size());
  desc.bias = params.bias.data();
  desc.seed = params.seed;
  desc.stream = stream;
  return desc;
}

bool uses_history(const SamplingParams &params) {
  const bool repeats = params.repetition_penalty != 0 && params.repetition_penalty != 1;
  return repeats || params.presence_penalty != 0 || params.frequency_penalty != 0;
}

}  // namespace deepseam::session
