// The DeepSeek V2 / V3 decoder as graphs. One layer is one screen of named calls that read like the papers
// (DeepSeek-V2, arXiv 2405.04434, sections 2.1 and 2.2; DeepSeek-V3, arXiv 2412.19437, sections 2.1 and 2.2).
#pragma once

#include "base/status.h"
#include "graph/builder.h"
#include "model/config.h"
#include "model/weights.h"

namespace deepseam::model {

struct GraphOptions {
  int64_t n_vocab = 0;  // ids from here on have no token and are masked; 0: vocab_size
};

// The main model: embed, layers, gather_rows, final norm (hidden output), lm_head (logits output).
Result<graph::Graph> build_forward(const Config &config, const WeightMap &weights, const GraphOptions &options);

// MTP module j: takes the token after each row and the main model's hidden output; its KV layer is L + j.
Result<graph::Graph> build_mtp(const Config &config, const WeightMap &weights, int64_t module,
                               const GraphOptions &options);

}  // namespace deepseam::model
