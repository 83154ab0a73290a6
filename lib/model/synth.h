// Models with random weights: tiny ones to test with, and full-size ones to measure memory and speed without a
// download.
//
// The weights are a pure function of shape, seed and tensor. The tiny shapes use the very numbers of the oracle's
// checkpoints (tests/oracle/make_tiny.py), rounded to bf16 as those are, so goldens hold for them. Full-size shapes are
// made in the stored format directly, uniform numbers of the same variance, as fast as a disk takes them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "format/hf_config.h"
#include "model/pack.h"

namespace deepseam::model {

// "tiny", "tiny-v3", "lite", "v2", "r1".
std::vector<std::string> synth_shapes();

// The configuration of a shape: token 0 begins and 1 ends a text. DS_E_ARGUMENT names the shapes there are.
Result<HfConfig> synth_config(std::string_view shape);

struct SynthOptions {
  std::string shape;
  PackType type = PackType::kBF16;  // kSource means kBF16
  uint64_t seed = 0;                // 1 with "tiny" gives the oracle's variant `lite`
  std::string tokenizer_blob;
  WorkOptions work;
};

Status synth_model(const SynthOptions &options, const std::string &path);

}  // namespace deepseam::model
