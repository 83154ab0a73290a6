// What a text uses of a model (moments.h): the model is run over it in float32, layer by layer, all tokens at once, and
// the squares of what goes into each weight are averaged.
//
// Weights are read a few rows at a time, so memory is that of the activations: about 6 H + N (2 dn + dr + 2 dv) floats
// a token, of which there are as many as 1 GiB holds. Results do not depend on the number of threads. MTP modules are
// not run: their weights, and those of a router, have no moments.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/status.h"
#include "format/open_model.h"
#include "model/moments.h"
#include "model/row_work.h"

namespace deepseam::model {

// Tokens that are looked at, at most, in windows: the time grows with them.
inline constexpr uint64_t kCalibrationTokens = 4096, kCalibrationWindow = 512;

// Progress counts layers. DS_E_ARGUMENT: no token, or one beyond the vocabulary. `hidden`, if given, gets the hidden
// states after the final norm, [tokens, H]; each window begins at position 0.
Status gather_moments(const ModelFiles &source, std::span<const uint32_t> tokens, const WorkOptions &work,
                      Moments *moments, std::vector<float> *hidden = nullptr);

}  // namespace deepseam::model
