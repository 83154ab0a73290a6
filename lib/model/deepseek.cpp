// The decoder: embedding, layers, head.
#include "model/deepseek.h"

#include "model/layers.h"

namespace deepseam::model {

Value Build::weight(const std::string &role) const {
  const WeightBinding *binding = weights.find(role);
  if (!binding) return {};
  return g.weight(role, binding->compute(), {binding->spec.shape.begin(), binding->spec.shape.end()});
}

Value Build::layer_weight(int64_t layer, const char *name) const {
  return weight("layers." + std::to_string(layer) + "." + name);
}

Value decoder_layer(const Build &b, int64_t layer, Value x, int64_t moe_layer) {
  b.g.scope("layers." + std::to_string(layer));
  const Value h = b.g.add(x, attention(b, layer, b.norm(x, b.layer_weight(layer, "attn_norm"))));
  const Value normed = b.norm(h, b.layer_weight(layer, "ffn_norm"));
  return b.g.add(h, b.c.is_moe(layer) ? mixture(b, layer, normed, moe_layer) : dense(b, layer, normed));
}

Value head(const Build &b, Value hidden, Value own, int64_t n_vocab) {
  const Value table = own.id != graph::kAbsent ? own : b.weight(b.c.tie_word_embeddings ? "embed" : "lm_head");
  return b.g.lm_head(hidden, table, n_vocab ? n_vocab : b.c.vocab_size);
}

Result<graph::Graph> build_forward(const Config &config, const WeightMap &weights, const GraphOptions &options) {
  graph::GraphBuilder g("forward");
  const RopeConstants rope = rope_constants(config);
  const Build b{g, config, weights, rope};

  Value x = g.embed(b.weight("embed"));
  int64_t moe_layer = 0;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    x = decoder_layer(b, layer, x, moe_layer);
    moe_layer += config.is_moe(layer);
  }
  g.scope("");
  const Value hidden = b.norm(g.gather_rows(x), b.weight("final_norm"));
  g.output_hidden(hidden);  // what MTP modules start from: the hidden state after the final norm
  g.output_logits(head(b, hidden, {}, options.n_vocab));
  return g.finish();
}

}  // namespace deepseam::model
