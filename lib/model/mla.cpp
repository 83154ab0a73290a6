// Multi-head latent attention (DeepSeek-V2, section 2.1): queries whole or through a low-rank bottleneck, keys and
// values through one latent per token, which is what a KV cache keeps.
#include "model/layers.h"

namespace deepseam::model {
namespace {

// The norms of latents have a fixed eps, whatever rms_norm_eps says.
constexpr double kLatentNormEps = 1e-6;

Value queries(const Build &b, int64_t layer, Value x) {
  if (!b.c.q_lora_rank) return b.g.linear(x, b.layer_weight(layer, "q"));
  const Value latent = b.g.linear(x, b.layer_weight(layer, "q_a"), b.layer_weight(layer, "q_a.bias"));
  const Value normed = b.g.rms_norm(latent, b.layer_weight(layer, "q_a_norm"), kLatentNormEps);
  return b.g.linear(normed, b.layer_weight(layer, "q_b"));
}

}  // namespace

Value attention(const Build &b, int64_t layer, Value x) {
  graph::MlaOptions options;
  options.shape = {b.c.num_attention_heads, b.c.qk_nope_head_dim, b.c.qk_rope_head_dim, b.c.v_head_dim,
                   b.c.kv_lora_rank};
  options.kv_layer = layer;
  options.eps = kLatentNormEps;
  options.softmax_scale = b.rope.softmax_scale;
  options.rope_scale = b.rope.rope_scale;
  options.inv_freq = b.rope.inv_freq;

  const Value q = queries(b, layer, x);
  const Value kv = b.g.linear(x, b.layer_weight(layer, "kv_a"), b.layer_weight(layer, "kv_a.bias"));
  const Value o = b.g.mla_attention(q, kv, b.layer_weight(layer, "kv_a_norm"), b.layer_weight(layer, "kv_b"), options);
  return b.g.linear(o, b.layer_weight(layer, "o"), b.layer_weight(layer, "o.bias"));
}

}  // namespace deepseam::model
