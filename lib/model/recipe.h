// Which number format each weight of a packed model gets: a base type, and exceptions by the weights' names.
//
// A base type has exceptions of its own (packed_dtype); those given by name come after and are taken as they stand.
// Norms, router and biases are always f32 and cannot be named. Only names are known here, no numbers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "model/weights.h"

namespace deepseam::model {

// kSource: every tensor as the source stores it.
enum class PackType { kSource, kF32, kF16, kBF16, kFp8, kQ8, kQ4 };

// "", "f32", "f16", "bf16", "fp8", "q8", "q4"; DS_E_ARGUMENT otherwise.
Result<PackType> pack_type_from_name(std::string_view name);

// The format in which a base type stores a weight; kNone: as the source has it. fp8 (blocks of 128 x 128 with scales)
// keeps embed, lm_head and the MTP's eh_proj in bf16, as published checkpoints do. q4 keeps at 8 bits what every token
// passes alone or what is contracted along two axes: embed, lm_head, kv_a, kv_b, eh_proj.
DType packed_dtype(const WeightSpec &spec, PackType type);

// Weights that are stored as `type`, whatever the base type says. `name` is one of
//   a role of weights.h ("layers.3.o", "embed"), or its end without "layers.N." and "mtp.N." ("o", "experts.down",
//   "gate"), a group: attention (all projections of the attention), dense, shared, experts (their gate, up and down),
//   vocabulary (embed and lm_head, also of MTP modules).
struct PackException {
  PackType type = PackType::kQ8;
  std::string name;
};

// "q8=embed,kv_a,o": one exception a name, added behind `list`. DS_E_ARGUMENT: not of that form, or no such type.
Status parse_exceptions(std::string_view text, std::vector<PackException> *list);

// DS_E_ARGUMENT: an exception that names no weight of the model, or only weights that stay f32.
Status check_exceptions(const WeightMap &weights, const std::vector<PackException> &list);

// The format of one weight: of the last exception that names it, else of the base type.
DType packed_dtype(const WeightSpec &spec, PackType type, const std::vector<PackException> &list);

}  // namespace deepseam::model
