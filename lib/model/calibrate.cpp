// See calibrate.h. The decoder as in mla.cpp and moe.cpp, for whole texts and without a cache.
#include "model/calibrate.h"

#include <algorithm>
#include <cmath>

#include "model/calibrate_math.h"
#include "model/config.h"
#include "model/weight_rows.h"

namespace deepseam::model {
namespace {

using Matrix = std::vector<float>;  // rows of tokens

constexpr double kLatentNormEps = 1e-6;
constexpr float kPriorTokens = 16;  // what an expert's few tokens are mixed with
constexpr uint64_t kRowsAtOnce = 64;
constexpr uint64_t kMostActivations = uint64_t{256} << 20;  // floats

class Calibration {
 public:
  Calibration(const ModelFiles &source, const Config &config, const WeightMap &weights, const WorkOptions &work)
      : directory_(source.tensors), c_(config), weights_(weights), work_(work), rope_(rope_constants(config)) {}

  Status run(std::span<const uint32_t> tokens) {
    n_ = tokens.size();
    moments_.tokens = n_;
    DS_TRY(embed(tokens));
    for (int64_t layer = 0; layer < c_.num_hidden_layers; ++layer) {
      prefix_ = "layers." + std::to_string(layer) + ".";
      DS_TRY(attention());
      DS_TRY(c_.is_moe(layer) ? mixture() : dense());
      const auto done = static_cast<uint64_t>(layer) + 1, total = static_cast<uint64_t>(c_.num_hidden_layers);
      if (work_.progress && !work_.progress(done, total)) return Status(DS_E_STOPPED);
    }
    prefix_.clear();
    DS_TRY(normed("final_norm", c_.rms_norm_eps, x_, width(), &hidden_));
    note(c_.tie_word_embeddings ? "embed" : "lm_head", hidden_, width());
    return {};
  }

  Moments moments_;
  Matrix hidden_;

 private:
  uint64_t width() const { return static_cast<uint64_t>(c_.hidden_size); }
  const WeightBinding *find(const char *name) const { return weights_.find(prefix_ + name); }

  Status vector(const char *name, std::vector<float> *out) const {
    const WeightBinding *weight = find(name);
    if (!weight) return fail(DS_E_MODEL, "calibrate", "the model has no '%s%s'", prefix_.c_str(), name);
    out->resize(weight->rows() * weight->spec.shape.back());
    DS_TRY_VALUE(WeightRows reader, WeightRows::open(directory_, *weight));
    return reader.read(0, weight->rows(), out->data());
  }

  Status normed(const char *name, double eps, const Matrix &x, uint64_t cols, Matrix *y, uint64_t stride = 0) const {
    std::vector<float> scale;
    DS_TRY(vector(name, &scale));
    y->resize(n_ * cols);
    for (uint64_t t = 0; t < n_; ++t)
      rms_norm(x.data() + t * (stride ? stride : cols), scale.data(), cols, eps, y->data() + t * cols);
    return {};
  }

  // y = x W^T (+ bias), and the moments of x.
  Status linear(const char *name, const Matrix &x, Matrix *y, bool is_used = true) {
    const WeightBinding *weight = find(name);
    if (!weight) return fail(DS_E_MODEL, "calibrate", "the model has no '%s%s'", prefix_.c_str(), name);
    const uint64_t rows = weight->rows(), cols = weight->spec.shape.back();
    if (is_used) note(name, x, cols);
    y->assign(n_ * rows, 0);
    if (find((std::string(name) + ".bias").c_str()) && is_used) {
      std::vector<float> bias;
      DS_TRY(vector((std::string(name) + ".bias").c_str(), &bias));
      for (uint64_t t = 0; t < n_; ++t)
        std::copy(bias.begin(), bias.end(), y->begin() + static_cast<ptrdiff_t>(t * rows));
    }
    std::vector<RowRange> pieces;
    cut_rows({rows, cols}, 0, 1, &pieces);
    return run_ordered(
        work_, pieces.size(), pieces.empty() ? 0 : pieces[0].n_rows * cols,
        [&](uint64_t i, WorkSlot *slot) -> Status {
          const RowRange &piece = pieces[i];
          slot->rows.resize(piece.n_rows * cols);
          DS_TRY_VALUE(WeightRows reader, WeightRows::open(directory_, *weight));
          DS_TRY(reader.read(piece.first_row, piece.n_rows, slot->rows.data()));
          add_products(x.data(), n_, cols, slot->rows.data(), piece.n_rows, y->data() + piece.first_row, rows);
          return {};
        },
        [](uint64_t, const WorkSlot &) { return Status(); });
  }

  void note(const char *name, const Matrix &x, uint64_t cols) {
    std::vector<double> sums(cols);
    for (uint64_t t = 0; t < n_; ++t) add_squares(x.data() + t * cols, cols, sums.data());
    std::vector<float> &mean = moments_.by_role[prefix_ + name];
    mean.resize(cols);
    for (uint64_t i = 0; i < cols; ++i) mean[i] = static_cast<float>(sums[i] / static_cast<double>(n_));
    raise_zeros(mean.data(), cols);
  }

  Status embed(std::span<const uint32_t> tokens) {
    const WeightBinding *table = weights_.find("embed");
    DS_TRY_VALUE(WeightRows reader, WeightRows::open(directory_, *table));
    x_.resize(n_ * width());
    for (uint64_t t = 0; t < n_; ++t) {
      if (tokens[t] >= table->rows())
        return fail(DS_E_ARGUMENT, "calibrate", "token %llu is %u, and the vocabulary has %llu",
                    static_cast<unsigned long long>(t), tokens[t], static_cast<unsigned long long>(table->rows()));
      DS_TRY(reader.read(tokens[t], 1, x_.data() + t * width()));
    }
    return {};
  }

  void add_to_stream(const Matrix &y) {
    for (size_t i = 0; i < x_.size(); ++i) x_[i] += y[i];
  }

  Status attention() {
    Matrix normal, q, kv, latent, keys, mixed, out;
    const auto rank = static_cast<uint64_t>(c_.kv_lora_rank), dr = static_cast<uint64_t>(c_.qk_rope_head_dim);
    DS_TRY(normed("attn_norm", c_.rms_norm_eps, x_, width(), &normal));
    if (c_.q_lora_rank) {
      Matrix low, low_normed;
      DS_TRY(linear("q_a", normal, &low));
      DS_TRY(normed("q_a_norm", kLatentNormEps, low, static_cast<uint64_t>(c_.q_lora_rank), &low_normed));
      DS_TRY(linear("q_b", low_normed, &q));
    } else {
      DS_TRY(linear("q", normal, &q));
    }
    DS_TRY(linear("kv_a", normal, &kv));
    DS_TRY(normed("kv_a_norm", kLatentNormEps, kv, rank, &latent, rank + dr));
    DS_TRY(linear("kv_b", latent, &keys));
    DS_TRY(attend(&q, &kv, keys, &mixed));
    DS_TRY(linear("o", mixed, &out));
    add_to_stream(out);
    return {};
  }

  // Softmax over the window's earlier tokens, head by head. q and the last dr numbers of each row of kv are turned.
  Status attend(Matrix *q, Matrix *kv, const Matrix &keys, Matrix *mixed) const {
    const HeadShape shape{static_cast<uint64_t>(c_.num_attention_heads), static_cast<uint64_t>(c_.qk_nope_head_dim),
                          static_cast<uint64_t>(c_.qk_rope_head_dim),    static_cast<uint64_t>(c_.v_head_dim),
                          static_cast<uint64_t>(c_.kv_lora_rank),        rope_.softmax_scale};
    for (uint64_t t = 0; t < n_; ++t) {
      const uint64_t position = t % kCalibrationWindow;
      rotate(rope_, position, kv->data() + t * (shape.rank + shape.dr) + shape.rank);
      for (uint64_t h = 0; h < shape.heads; ++h)
        rotate(rope_, position, q->data() + (t * shape.heads + h) * (shape.dn + shape.dr) + shape.dn);
    }
    mixed->resize(n_ * shape.heads * shape.dv);
    const uint64_t windows = (n_ + kCalibrationWindow - 1) / kCalibrationWindow;
    return run_ordered(
        work_, windows * shape.heads, kCalibrationWindow * shape.dv,
        [&](uint64_t i, WorkSlot *slot) {
          const uint64_t begin = i / shape.heads * kCalibrationWindow, end = std::min(begin + kCalibrationWindow, n_);
          attend_head(shape, i % shape.heads, begin, end, q->data(), kv->data(), keys.data(), &slot->rows,
                      mixed->data());
          return Status();
        },
        [](uint64_t, const WorkSlot &) { return Status(); });
  }

  Status gated(const char *gate_name, const char *up_name, const char *down_name, const Matrix &x) {
    Matrix gate, up, out;
    DS_TRY(linear(gate_name, x, &gate));
    DS_TRY(linear(up_name, x, &up));
    for (size_t i = 0; i < gate.size(); ++i) gate[i] = silu(gate[i]) * up[i];
    DS_TRY(linear(down_name, gate, &out));
    add_to_stream(out);
    return {};
  }

  Status dense() {
    Matrix normal;
    DS_TRY(normed("ffn_norm", c_.rms_norm_eps, x_, width(), &normal));
    return gated("gate", "up", "down", normal);
  }

  Status mixture() {
    Matrix normal, logits;
    DS_TRY(normed("ffn_norm", c_.rms_norm_eps, x_, width(), &normal));
    DS_TRY(linear("router", normal, &logits, false));
    std::vector<float> bias;
    if (find("router.bias")) DS_TRY(vector("router.bias", &bias));
    std::vector<std::vector<Share>> shares(static_cast<size_t>(c_.n_routed_experts));
    for (uint64_t t = 0; t < n_; ++t)
      route(c_, logits.data() + t * shares.size(), bias, static_cast<uint32_t>(t), &shares);
    DS_TRY(experts(normal, shares));
    return find("shared.gate") ? gated("shared.gate", "shared.up", "shared.down", normal) : Status();
  }

  Status experts(const Matrix &normal, const std::vector<std::vector<Share>> &shares) {
    const WeightBinding &gate = *find("experts.gate"), &up = *find("experts.up"), &down = *find("experts.down");
    const uint64_t inner = gate.spec.shape[1], n_experts = shares.size();
    std::vector<float> in(n_experts * width()), between(n_experts * inner);
    Matrix sum(x_.size());
    Status ran = run_ordered(
        work_, n_experts, n_ * width(),
        [&](uint64_t e, WorkSlot *slot) -> Status {
          const std::vector<Share> &list = shares[e];
          Matrix x(list.size() * width()), g(list.size() * inner), u(g.size());
          for (size_t i = 0; i < list.size(); ++i)
            std::copy_n(normal.data() + list[i].token * width(), width(), x.data() + i * width());
          DS_TRY(expert_linear(gate, e, x, list.size(), &g));
          DS_TRY(expert_linear(up, e, x, list.size(), &u));
          for (size_t i = 0; i < g.size(); ++i) g[i] = silu(g[i]) * u[i];
          note_expert(x, list.size(), width(), in.data() + e * width());
          note_expert(g, list.size(), inner, between.data() + e * inner);
          slot->rows.assign(list.size() * width(), 0);
          return expert_linear(down, e, g, list.size(), &slot->rows);
        },
        [&](uint64_t e, const WorkSlot &slot) {
          for (size_t i = 0; i < shares[e].size(); ++i)
            for (uint64_t j = 0; j < width(); ++j)
              sum[shares[e][i].token * width() + j] += shares[e][i].weight * slot.rows[i * width() + j];
          return Status();
        });
    if (!ran.ok()) return ran;
    add_to_stream(sum);
    note_stack(shares, width(), in, {"experts.gate", "experts.up"});
    note_stack(shares, inner, between, {"experts.down"});
    return {};
  }

  // y += x W^T with matrix e of a stack; on the thread of the expert.
  Status expert_linear(const WeightBinding &weight, uint64_t e, const Matrix &x, uint64_t n, Matrix *y) const {
    const uint64_t rows = weight.spec.shape[1], cols = weight.spec.shape[2];
    if (n == 0) return {};
    std::vector<float> some(kRowsAtOnce * cols);
    DS_TRY_VALUE(WeightRows reader, WeightRows::open(directory_, weight));
    for (uint64_t row = 0; row < rows; row += kRowsAtOnce) {
      const uint64_t count = std::min(kRowsAtOnce, rows - row);
      DS_TRY(reader.read(e * rows + row, count, some.data()));
      add_products(x.data(), n, cols, some.data(), count, y->data() + row, rows);
    }
    return {};
  }

  static void note_expert(const Matrix &x, uint64_t n, uint64_t cols, float *sums) {
    std::vector<double> exact(cols);
    for (uint64_t t = 0; t < n; ++t) add_squares(x.data() + t * cols, cols, exact.data());
    for (uint64_t i = 0; i < cols; ++i) sums[i] = static_cast<float>(exact[i]);
  }

  // Sums of squares of each expert to means, which a few tokens' worth of all experts' mean keeps from being chance.
  void note_stack(const std::vector<std::vector<Share>> &shares, uint64_t cols, const std::vector<float> &sums,
                  std::initializer_list<const char *> names) {
    double all = 0;
    uint64_t count = 0;
    for (const float sum : sums) all += sum;
    for (const auto &list : shares) count += list.size();
    const float prior = static_cast<float>(all / static_cast<double>(std::max<uint64_t>(count * cols, 1)));
    std::vector<float> means(sums.size());
    for (size_t i = 0; i < sums.size(); ++i)
      means[i] = (sums[i] + kPriorTokens * prior) / (static_cast<float>(shares[i / cols].size()) + kPriorTokens);
    for (size_t e = 0; e < shares.size(); ++e) raise_zeros(means.data() + e * cols, cols);
    for (const char *name : names) moments_.by_role[prefix_ + name] = means;
  }

  const TensorDirectory &directory_;
  const Config &c_;
  const WeightMap &weights_;
  const WorkOptions &work_;
  const RopeConstants rope_;
  uint64_t n_ = 0;
  std::string prefix_;  // of the layer
  Matrix x_;            // the residual stream
};

}  // namespace

Status gather_moments(const ModelFiles &source, std::span<const uint32_t> tokens, const WorkOptions &work,
                      Moments *moments, std::vector<float> *hidden) {
  if (tokens.empty()) return fail(DS_E_ARGUMENT, "calibrate", "the text has no tokens");
  DS_TRY_VALUE(const Config config, make_config(source.config, source.path));
  DS_TRY_VALUE(const WeightMap weights, bind_weights(config, source.tensors, source.path));
  Calibration calibration(source, config, weights, work);
  const int64_t a_token =
      6 * config.hidden_size +
      config.num_attention_heads * (2 * config.qk_nope_head_dim + config.qk_rope_head_dim + 2 * config.v_head_dim);
  const uint64_t fitting = std::max(kMostActivations / static_cast<uint64_t>(a_token), kCalibrationWindow);
  DS_TRY(calibration.run(tokens.first(std::min({uint64_t{tokens.size()}, kCalibrationTokens, fitting}))));
  if (hidden) *hidden = std::move(calibration.hidden_);
  *moments = std::move(calibration.moments_);
  return {};
}

}  // namespace deepseam::model
