// Multi-token prediction (DeepSeek-V3, section 2.2): a module that drafts the token after next from the next token and
// the hidden state before it.
#include "model/deepseek.h"
#include "model/layers.h"

namespace deepseam::model {

Result<graph::Graph> build_mtp(const Config &config, const WeightMap &weights, int64_t module,
                               const GraphOptions &options) {
  if (!weights.has_mtp || module < 0 || module >= config.num_nextn_predict_layers)
    return fail(DS_E_UNSUPPORTED, "model", "MTP module %lld: the model has %lld in its file",
                static_cast<long long>(module),
                static_cast<long long>(weights.has_mtp ? config.num_nextn_predict_layers : 0));
  const std::string scope = "mtp." + std::to_string(module);
  graph::GraphBuilder g(scope);
  const RopeConstants rope = rope_constants(config);
  const Build b{g, config, weights, rope};

  g.scope(scope);
  const Value own_table = b.weight(scope + ".embed");
  const Value token = g.embed(own_table.id != graph::kAbsent ? own_table : b.weight("embed"));
  const Value before = g.input_hidden(config.hidden_size);
  const Value normed_token = b.norm(token, b.weight(scope + ".enorm"));
  const Value normed_before = b.norm(before, b.weight(scope + ".hnorm"));
  const Value joined = g.concat(normed_token, normed_before);
  const Value x =
      decoder_layer(b, config.num_hidden_layers + module, g.linear(joined, b.weight(scope + ".eh_proj")), 0);
  g.scope(scope);
  const Value hidden = b.norm(g.gather_rows(x), b.weight(scope + ".head_norm"));
  g.output_hidden(hidden);
  g.output_logits(head(b, hidden, b.weight(scope + ".head"), options.n_vocab));
  return g.finish();
}

}  // namespace deepseam::model
