// mla_attention against its expanded form in float64 (keys and values of every head, no absorption), and its promises:
// bit-equal for any chunking and any company.
#include <cmath>

#include "harness.h"

namespace conformance {
namespace {

constexpr uint32_t kHidden = 33, kHeads = 9, kNope = 11, kRope = 6, kValue = 7, kRank = 150, kBlocks = 64;
constexpr double kScale = 0.31, kRopeScale = 1.25, kEps = 1e-5;

struct Setup {
  explicit Setup(uint32_t kv_format = DSB_KV_F32, Storage kv_b = {}, const dsb_plan_options &given = default_options())
      : options(given) {
    options.kv_format = kv_format;
    Random random(21);
    weights["q"] = make_tensor(random, {}, {kHeads * (kNope + kRope), kHidden}, 0.5);
    weights["kv_a"] = make_tensor(random, {}, {kRank + kRope, kHidden}, 0.5);
    weights["norm"] = make_tensor(random, {}, {kRank}, 1.5);
    weights["kv_b"] = make_tensor(random, kv_b, {kHeads * (kNope + kValue), kRank}, 0.3);
    for (uint32_t j = 0; j < kRope / 2; ++j) inv_freq.push_back(std::pow(50.0, -2.0 * j / kRope));
    graph::GraphBuilder b("mla");
    graph::MlaOptions mla;
    mla.shape = {kHeads, kNope, kRope, kValue, kRank};
    mla.kv_layer = 1;
    mla.eps = kEps;
    mla.softmax_scale = kScale;
    mla.rope_scale = kRopeScale;
    mla.inv_freq = inv_freq;
    const graph::Value x = b.input_hidden(kHidden);
    const graph::Value q = b.linear(x, b.weight("q", DType::kF32, {kHeads * (kNope + kRope), kHidden}));
    const graph::Value kv_a = b.linear(x, b.weight("kv_a", DType::kF32, {kRank + kRope, kHidden}));
    const graph::Value y = b.mla_attention(q, kv_a, b.weight("norm", DType::kF32, {kRank}),
                                           b.weight("kv_b", kv_b.dtype, {kHeads * (kNope + kValue), kRank}), mla);
    b.output_hidden(b.gather_rows(y));
    auto made = b.finish();
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    program = std::make_unique<Program>(*made, weights, options);
    pool = std::make_unique<PoolHolder>(options, kRank, kRope, 3, kBlocks);
  }

  // Output rows of hidden rows appended to a sequence of kv_len rows.
  std::vector<float> run(uint32_t slot, uint32_t kv_len, const std::vector<float> &hidden) const {
    Step step;
    step.pool = pool->pool;
    step.hidden_in = hidden;
    step.n_hidden_in = static_cast<uint32_t>(hidden.size() / kHidden);
    add(step, slot, kv_len, 0, step.n_hidden_in);
    return finish(step);
  }
  void add(Step &step, uint32_t slot, uint32_t kv_len, uint32_t hidden_row, uint32_t n) const {
    std::vector<uint32_t> table;
    for (uint32_t i = 0; i < 16; ++i) table.push_back((slot * 16 + i * 7) % kBlocks);  // not in order; slots overlap
    for (uint32_t i = 0; i < 16; ++i) table[i] = slot * 16 + (i * 7) % 16;
    const uint32_t seq = step.add_seq(slot, kv_len, table);
    for (uint32_t i = 0; i < n; ++i) step.add_row(seq, kv_len + i, 0, DSB_WANT_HIDDEN).hidden_row = hidden_row + i;
  }
  std::vector<float> finish(Step &step) const {
    std::vector<float> out(step.rows.size() * kHeads * kValue);
    step.outputs.hidden = out.data();
    run_ok(program->exec, step);
    return out;
  }

  dsb_plan_options options;
  Weights weights;
  std::vector<double> inv_freq;
  std::unique_ptr<Program> program;
  std::unique_ptr<PoolHolder> pool;
};

std::vector<double> product(const Tensor &w, const double *x) {
  std::vector<double> y(w.dims[0]);
  for (uint64_t o = 0; o < w.dims[0]; ++o)
    for (uint64_t i = 0; i < w.cols(); ++i) y[o] += w.row(o)[i] * x[i];
  return y;
}

void turn(const std::vector<double> &inv_freq, uint32_t position, double *x) {
  for (uint32_t j = 0; j < kRope / 2; ++j) {
    const double c = kRopeScale * std::cos(position * inv_freq[j]), s = kRopeScale * std::sin(position * inv_freq[j]);
    const double even = x[2 * j], odd = x[2 * j + 1];
    x[2 * j] = even * c - odd * s;
    x[2 * j + 1] = even * s + odd * c;
  }
}

// The whole sequence at once, causal.
std::vector<double> exact_attention(const Setup &setup, const std::vector<float> &hidden) {
  const uint32_t n = static_cast<uint32_t>(hidden.size() / kHidden);
  std::vector<std::vector<double>> queries, keys, ropes;  // keys: kv_b times the latent
  for (uint32_t t = 0; t < n; ++t) {
    const std::vector<double> x(hidden.begin() + t * kHidden, hidden.begin() + (t + 1) * kHidden);
    std::vector<double> q = product(setup.weights.at("q"), x.data()), c = product(setup.weights.at("kv_a"), x.data());
    double sum = 0;
    for (uint32_t i = 0; i < kRank; ++i) sum += c[i] * c[i];
    for (uint32_t i = 0; i < kRank; ++i) c[i] *= setup.weights.at("norm").values[i] / std::sqrt(sum / kRank + kEps);
    for (uint32_t h = 0; h < kHeads; ++h) turn(setup.inv_freq, t, q.data() + h * (kNope + kRope) + kNope);
    turn(setup.inv_freq, t, c.data() + kRank);
    queries.push_back(q);
    keys.push_back(product(setup.weights.at("kv_b"), c.data()));
    ropes.emplace_back(c.begin() + kRank, c.end());
  }
  std::vector<double> out;
  for (uint32_t t = 0; t < n; ++t)
    for (uint32_t h = 0; h < kHeads; ++h) {
      std::vector<double> weights;
      double total = 0;
      for (uint32_t s = 0; s <= t; ++s) {
        double score = 0;
        const double *q = queries[t].data() + h * (kNope + kRope), *k = keys[s].data() + h * (kNope + kValue);
        for (uint32_t i = 0; i < kNope; ++i) score += q[i] * k[i];
        for (uint32_t i = 0; i < kRope; ++i) score += q[kNope + i] * ropes[s][i];
        weights.push_back(std::exp(score * kScale));
        total += weights.back();
      }
      for (uint32_t i = 0; i < kValue; ++i) {
        double sum = 0;
        for (uint32_t s = 0; s <= t; ++s) sum += weights[s] * keys[s][h * (kNope + kValue) + kNope + i];
        out.push_back(sum / total);
      }
    }
  return out;
}

std::vector<float> rows_of(const std::vector<float> &hidden, uint32_t begin, uint32_t end) {
  return {hidden.begin() + begin * kHidden, hidden.begin() + end * kHidden};
}

void append(std::vector<float> *to, const std::vector<float> &more) { to->insert(to->end(), more.begin(), more.end()); }

}  // namespace

CONFORMANCE("mla_attention: a whole sequence against the expanded form") {
  const Setup setup;
  Random random(22);
  for (uint32_t n : {1u, 2u, 13u, 64u}) {
    const std::vector<float> hidden = random_floats(random, n * kHidden);
    check_close(setup.run(0, 0, hidden), exact_attention(setup, hidden), 1e-5);
  }
}

CONFORMANCE("mla_attention: a sequence of several steps, longer than any running softmax's block") {
  const Setup setup;
  Random random(28);
  std::vector<float> hidden = random_floats(random, 128 * kHidden);
  for (uint32_t i = 64 * kHidden; i < 128 * kHidden; ++i) hidden[i] *= 2;  // larger scores come later
  std::vector<float> found = setup.run(0, 0, rows_of(hidden, 0, 50));
  append(&found, setup.run(0, 50, rows_of(hidden, 50, 114)));
  append(&found, setup.run(0, 114, rows_of(hidden, 114, 128)));
  check_close(found, exact_attention(setup, hidden), 1e-5);
}

CONFORMANCE("mla_attention: many rows of several steps, where bits may depend on the steps") {
  dsb_plan_options options = default_options();
  options.flags = 0;
  options.max_rows = 600;
  options.block_tokens = 64;
  for (const Storage &storage : {Storage{}, Storage{DType::kBF16}}) {
    const Setup setup(DSB_KV_F32, storage, options);
    Random random(29);
    std::vector<float> hidden = random_floats(random, 700 * kHidden);
    for (uint32_t i = 300 * kHidden; i < 700 * kHidden; ++i) hidden[i] *= 2;  // larger scores come later
    std::vector<float> found = setup.run(0, 0, rows_of(hidden, 0, 53));
    append(&found, setup.run(0, 53, rows_of(hidden, 53, 640)));
    append(&found, setup.run(0, 640, rows_of(hidden, 640, 700)));
    check_close(found, exact_attention(setup, hidden), 1e-5 + 3 * tolerance(storage.dtype));
  }
}

CONFORMANCE("mla_attention: stored types of kv_b") {
  for (const Storage &storage :
       {Storage{DType::kF16}, Storage{DType::kBF16}, Storage{DType::kQ8_0}, Storage{DType::kQ4_0},
        Storage{DType::kQ4_1}, Storage{DType::kQ5_0}, Storage{DType::kQ4_K}, Storage{DType::kQ5_K},
        Storage{DType::kQ6_K}, Storage{DType::kF8E4M3, false, 32, 64}}) {
    const std::string type = deepseam::dtype_info(storage.dtype).name;
    CAPTURE(type);
    const Setup setup(DSB_KV_F32, storage);
    Random random(23);
    const std::vector<float> hidden = random_floats(random, 20 * kHidden);
    check_close(setup.run(0, 0, hidden), exact_attention(setup, hidden), 1e-5 + 3 * tolerance(storage.dtype));
  }
}

CONFORMANCE("mla_attention: stored rows of every KV format are close to float32") {
  const double limits[] = {1e-5, 1e-2, 6e-2, 1.5e-2};
  for (uint32_t format = DSB_KV_F32; format <= DSB_KV_Q8X64_BF16; ++format) {
    CAPTURE(format);
    const Setup setup(format);
    Random random(24);
    const std::vector<float> hidden = random_floats(random, 40 * kHidden);
    check_close(setup.run(0, 0, hidden), exact_attention(setup, hidden), limits[format - 1]);
  }
}

CONFORMANCE("mla_attention: any chunking gives the same bits, in every KV format") {
  for (uint32_t format = DSB_KV_F32; format <= DSB_KV_Q8X64_BF16; ++format) {
    CAPTURE(format);
    const Setup setup(format);
    Random random(25);
    const std::vector<float> hidden = random_floats(random, 61 * kHidden);
    const std::vector<float> whole = setup.run(0, 0, hidden);
    for (uint32_t chunk : {1u, 3u, 17u, 40u}) {
      CAPTURE(chunk);
      std::vector<float> pieces;
      for (uint32_t begin = 0; begin < 61; begin += chunk)
        append(&pieces, setup.run(1, begin, rows_of(hidden, begin, std::min(begin + chunk, 61u))));
      check_same(whole, pieces);
    }
  }
}

CONFORMANCE("mla_attention: ragged company changes no bit") {
  const Setup setup;
  Random random(26);
  const std::vector<float> a = random_floats(random, 30 * kHidden), b = random_floats(random, 9 * kHidden),
                           c = random_floats(random, 1 * kHidden);
  const std::vector<float> a_alone = setup.run(0, 0, a), b_alone = setup.run(1, 0, b), c_alone = setup.run(2, 0, c);
  (void)setup.run(0, 0, rows_of(a, 0, 12));
  Step step;
  step.pool = setup.pool->pool;
  step.hidden_in = rows_of(a, 12, 30);
  append(&step.hidden_in, b);
  append(&step.hidden_in, c);
  step.n_hidden_in = 18 + 9 + 1;
  setup.add(step, 1, 0, 18, 9);
  setup.add(step, 0, 12, 0, 18);
  setup.add(step, 2, 0, 27, 1);
  std::vector<float> apart = b_alone;
  apart.insert(apart.end(), a_alone.begin() + 12 * kHeads * kValue, a_alone.end());
  append(&apart, c_alone);
  check_same(setup.finish(step), apart);
}

CONFORMANCE("mla_attention: two sequences share the blocks of a prefix") {
  const Setup setup;
  Random random(27);
  const std::vector<float> prefix = random_floats(random, 16 * kHidden);
  std::vector<float> one = prefix, two = prefix;
  append(&one, random_floats(random, 3 * kHidden));
  append(&two, random_floats(random, 2 * kHidden));
  const std::vector<float> one_alone = setup.run(1, 0, one), two_alone = setup.run(2, 0, two);
  (void)setup.run(0, 0, prefix);
  Step step;
  step.pool = setup.pool->pool;
  step.hidden_in = rows_of(one, 16, 19);
  append(&step.hidden_in, rows_of(two, 16, 18));
  step.n_hidden_in = 5;
  setup.add(step, 1, 16, 0, 3);
  setup.add(step, 2, 16, 3, 2);
  const std::vector<uint32_t> shared = {0, 7};  // slot 0's first two blocks hold rows 0 to 15
  for (auto &table : step.blocks) std::copy(shared.begin(), shared.end(), table.begin());
  std::vector<float> apart(one_alone.begin() + 16 * kHeads * kValue, one_alone.end());
  apart.insert(apart.end(), two_alone.begin() + 16 * kHeads * kValue, two_alone.end());
  check_same(setup.finish(step), apart);
}

}  // namespace conformance
