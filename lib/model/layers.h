// The parts that the main model and its MTP modules are made of, each a function that appends nodes to a graph and
// reads like the paper's formula. Internal to lib/model.
#pragma once

#include <string>

#include "graph/builder.h"
#include "model/config.h"
#include "model/weights.h"

namespace deepseam::model {

using graph::Value;

// What is being built, from what.
struct Build {
  graph::GraphBuilder &g;
  const Config &c;
  const WeightMap &weights;
  const RopeConstants &rope;

  // The weight of a role; absent if the model has none, which the builder tells where it is needed.
  Value weight(const std::string &role) const;
  Value layer_weight(int64_t layer, const char *name) const;
  Value norm(Value x, Value weight) const { return g.rms_norm(x, weight, c.rms_norm_eps); }
};

Value attention(const Build &b, int64_t layer, Value x);                         // mla.cpp
Value mixture(const Build &b, int64_t layer, Value x, int64_t moe_layer);        // moe.cpp
Value dense(const Build &b, int64_t layer, Value x);                             // moe.cpp
Value decoder_layer(const Build &b, int64_t layer, Value x, int64_t moe_layer);  // deepseek.cpp
Value head(const Build &b, Value hidden, Value own, int64_t n_vocab);            // deepseek.cpp; own: may be absent

}  // namespace deepseam::model
