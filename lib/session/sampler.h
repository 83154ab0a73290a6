// Sampling parameters of a request: checked, given the model's defaults, and turned into what backends draw by.
// Drawing itself is the backend's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "deepseam/backend.h"
#include "format/hf_config.h"

namespace deepseam::session {

struct SamplingParams {
  float temperature = 0;                                                      // 0: greedy
  float top_p = 0;                                                            // 0 and 1: off
  float min_p = 0;                                                            // 0: off
  float repetition_penalty = 0, presence_penalty = 0, frequency_penalty = 0;  // 0: off
  uint32_t top_k = 0;                                                         // 0: off
  uint64_t seed = 0;
  bool random_seed = false;     // draw one from the system and report it
  bool model_defaults = false;  // zero temperature, top_p, top_k, min_p, repetition_penalty take the model's
  std::vector<dsb_bias> bias;
};

// Checks and completes: NaN, infinite and negative numbers, top_p or min_p above 1, bias on ids from n_vocab on are
// DS_E_ARGUMENT naming the field and its value. With random_seed, `seed` is set. DS_E_IO: the system has no randomness.
Status complete_sampling(SamplingParams *params, const GenerationDefaults &defaults, uint32_t n_vocab);

// For choice `stream`. `params` owns the bias list.
dsb_sampler_desc sampler_desc(const SamplingParams &params, uint64_t stream);

// Whether draws depend on earlier tokens, so that a prompt has to be told to the sampler.
bool uses_history(const SamplingParams &params);

}  // namespace deepseam::session
