// A low-rank adapter as deltas of a model's weights: modules to roles, checked, with the numbers read.
//
// What an Adapter holds fits its model: every delta is of a matrix that multiplies, of its shape, with finite numbers.
// The identity is that of the deltas' values, not of files or number formats: equal ones compute the same.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "format/lora.h"
#include "model/config.h"

namespace deepseam::model {

inline constexpr uint32_t kNoExpert = UINT32_MAX;

// W += scale * B A of one matrix: of a role, or of one expert of a stacked role.
struct AdapterDelta {
  std::string role;
  uint32_t expert = kNoExpert;
  uint32_t rank = 0;
  uint64_t in = 0, out = 0;
  float scale = 0;
  std::vector<float> a, b;  // [rank, in], [out, rank]
};

struct Adapter {
  std::vector<AdapterDelta> deltas;  // by role, then by expert
  Hash128 identity;

  bool changes(const std::string &role) const;
  // Adds the deltas of a role to rows [first_row, first_row + n_rows) of it, counted over all leading dims, each number
  // rounded once..
  void add_to(const std::string &role, uint64_t first_row, uint64_t n_rows, float *rows) const;
};

// DS_E_MODEL: a module that the model does not have, a shape or rank other than expected: an adapter for another model.
// DS_E_FORMAT: half of a pair, NaN or infinity. DS_E_UNSUPPORTED: a delta of what only is looked up, number formats
// other than F32, F16 and BF16.
Result<Adapter> read_adapter(const Config &config, const LoraFiles &files);

}  // namespace deepseam::model
