// Which number format each weight of a packed model gets: a base type, and exceptions by the weights' names.
//
// A base type has exceptions of its own (packed_type); those given by name come after and are taken as they stand.
// Norms, router and biases are always f32 and cannot be named. Only names are known here, no numbers.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/status.h"
#include "model/weights.h"

namespace deepseam::model {

// kSource: every tensor as the source stores it. kQ8 … kQ3 choose blocks by the length of rows (stored_dtype); the last
// ones are blocks by their own names. Of those kQ8_0 and kQ4_0 are written as the format's reference implementation
// does, without a search for better scales.
enum class PackType {
  kSource,
  kF32,
  kF16,
  kBF16,
  kFp8,
  kQ8,
  kQ6,
  kQ5,
  kQ4,
  kQ3,
  kQ8_0,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ3_K,
  kQ4_K,
  kQ5_K,
  kQ6_K
};

// "f32", "f16", "bf16", "fp8", "q8", "q6", "q5", "q4", "q3", "q8_0" … "q6_k"; "" and "as-is" are kSource.
// DS_E_ARGUMENT otherwise.
Result<PackType> pack_type_from_name(std::string_view name);

// The format of rows of `cols` numbers; kNone: as the source has it. kQ6, kQ5, kQ3 are the K-quants of 256 where those
// take no more bytes than Q8_0, Q5_0, Q4_0, whose blocks of 32 leave less of a short row unused.
DType stored_dtype(PackType type, uint64_t cols);

// Whether blocks are written without a search.
bool is_plain(PackType type);

// What a base type means for a weight. fp8 (blocks of 128 x 128 with scales) keeps embed, lm_head and the MTP's eh_proj
// in bf16, as published checkpoints do. kQ6 to kQ3 keep at 8 bits what every token passes alone or what is contracted
// along two axes: embed, lm_head, kv_a, kv_b, eh_proj. kQ4 and kQ3 are for routed experts; what else every token passes
// is Q5_0, and so is the experts' down of kQ4 (decision 0085). An exception of kQ4 is Q4_0.
PackType packed_type(const WeightSpec &spec, PackType type);

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

// What one weight gets: the last exception that names it, as it stands, else what the base type means.
PackType packed_type(const WeightSpec &spec, PackType type, const std::vector<PackException> &list);

// stored_dtype of that.
DType packed_dtype(const WeightSpec &spec, PackType type, const std::vector<PackException> &list = {});

}  // namespace deepseam::model
