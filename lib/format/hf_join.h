// Tensors of a quantised Hugging Face checkpoint joined to weights: codes with their scales, packed integers with their
// scales, zeros and groups. Names, types and shapes are checked here, against the configuration; no number is read.
#pragma once

#include "base/status.h"
#include "format/quant_config.h"
#include "format/tensors.h"

namespace deepseam {

// Every F8_E4M3 `X.weight` takes `X.weight_scale_inv` or `X.weight_scale`; `X.qweight` (AWQ, GPTQ) or
// `X.weight_packed` (compressed-tensors) becomes `X.weight` of [out, in] with the tensors that belong to it. Those are
// taken off the list. DS_E_FORMAT, DS_E_UNSUPPORTED: one that is missing, or its type or shape and what was expected.
Status join_quantised(const QuantScheme &scheme, TensorDirectory *all);

}  // namespace deepseam
