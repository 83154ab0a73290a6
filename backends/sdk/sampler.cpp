#include "sdk/sampler.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "sdk/exact_math.h"

namespace deepseam::sdk {
namespace {

constexpr float kGone = -std::numeric_limits<float>::infinity();

uint64_t mix(uint64_t z) {
  z += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

// Falling logits, of equal ones rising ids.
struct Better {
  const float *logits;
  bool operator()(uint32_t a, uint32_t b) const { return logits[a] != logits[b] ? logits[a] > logits[b] : a < b; }
};

Status check_number(const char *field, float value, float least, float most) {
  if (value >= least && value <= most) return {};  // false for NaN
  return fail(DS_E_ARGUMENT, "backend", "sampler: %s is %g, expected %g to %g", field, static_cast<double>(value),
              static_cast<double>(least), static_cast<double>(most));
}

}  // namespace

double uniform(uint64_t seed, uint64_t stream, uint64_t draw) {
  return static_cast<double>(mix(mix(mix(seed) + stream) + draw) >> 11) * 0x1p-53;
}

double log_sum_exp(const float *logits, uint64_t n) {
  float most = kGone;
  for (uint64_t i = 0; i < n; ++i) most = std::max(most, logits[i]);
  double sum = 0;
  for (uint64_t i = 0; i < n; ++i)
    if (logits[i] != kGone) sum += exact_exp(static_cast<double>(logits[i]) - most);
  return most + std::log(sum);
}

void top_logprobs(const float *logits, uint64_t n, double log_sum, uint32_t n_top, uint32_t *ids, float *logprobs) {
  uint32_t found = 0;
  std::vector<uint32_t> best;  // a heap whose front is the worst of them
  best.reserve(n_top);
  const Better better{logits};
  for (uint32_t i = 0; i < n; ++i) {
    if (logits[i] == kGone) continue;
    if (best.size() < n_top) {
      best.push_back(i);
      std::push_heap(best.begin(), best.end(), better);
    } else if (n_top && better(i, best.front())) {
      std::pop_heap(best.begin(), best.end(), better);
      best.back() = i;
      std::push_heap(best.begin(), best.end(), better);
    }
  }
  std::sort_heap(best.begin(), best.end(), better);
  for (; found < best.size(); ++found) {
    if (ids) ids[found] = best[found];
    if (logprobs) logprobs[found] = static_cast<float>(logits[best[found]] - log_sum);
  }
  for (; found < n_top; ++found) {
    if (ids) ids[found] = DSB_NONE;
    if (logprobs) logprobs[found] = kGone;
  }
}

Result<Sampler> Sampler::make(const dsb_sampler_desc &desc) {
  constexpr float kMost = 1e6f;
  DS_TRY(check_number("temperature", desc.temperature, 0, kMost));
  DS_TRY(check_number("top_p", desc.top_p, 0, 1));
  DS_TRY(check_number("min_p", desc.min_p, 0, 1));
  DS_TRY(check_number("repetition_penalty", desc.repetition_penalty, 0, kMost));
  DS_TRY(check_number("presence_penalty", desc.presence_penalty, -kMost, kMost));
  DS_TRY(check_number("frequency_penalty", desc.frequency_penalty, -kMost, kMost));
  if (desc.n_bias > 1u << 20 || (desc.n_bias && !desc.bias))
    return fail(DS_E_ARGUMENT, "backend", "sampler: n_bias is %u, expected at most 2^20 and a list", desc.n_bias);
  Sampler sampler;
  sampler.top_k_ = desc.top_k;
  sampler.penalty_last_n_ = desc.penalty_last_n;
  sampler.temperature_ = desc.temperature;
  sampler.top_p_ = desc.top_p > 0 ? desc.top_p : 1;
  sampler.min_p_ = desc.min_p;
  sampler.repetition_ = desc.repetition_penalty > 0 ? desc.repetition_penalty : 1;
  sampler.presence_ = desc.presence_penalty;
  sampler.frequency_ = desc.frequency_penalty;
  sampler.seed_ = desc.seed;
  sampler.stream_ = desc.stream;
  sampler.bias_.assign(desc.bias, desc.bias + desc.n_bias);
  for (const dsb_bias &bias : sampler.bias_)
    if (bias.value != bias.value || bias.value == -kGone)
      return fail(DS_E_ARGUMENT, "backend", "sampler: the bias of token %u is not a number below infinity", bias.token);
  return sampler;
}

Sampler Sampler::fork(uint64_t stream) const {
  Sampler copy = *this;
  copy.stream_ = stream;
  return copy;
}

bool Sampler::has_penalties() const { return repetition_ != 1 || presence_ != 0 || frequency_ != 0; }

// The token has been seen, so it has an entry, and this needs no memory.
void Sampler::count(uint32_t token, int change) { counts_.find(token)->second += static_cast<uint32_t>(change); }

void Sampler::see(uint32_t token) {
  if (has_penalties()) {
    counts_.try_emplace(token, 0);  // entries stay, also at 0: rolling back must not need memory
    seen_.push_back(token);
    count(token, 1);
    if (penalty_last_n_ && seen_.size() > penalty_last_n_) count(seen_[seen_.size() - 1 - penalty_last_n_], -1);
  }
  last_ = token;
  has_last_ = true;
}

void Sampler::take(uint32_t token) {
  see(token);
  ++draws_;
}

void Sampler::roll_back(const Mark &mark) {
  while (seen_.size() > mark.n_seen) {
    count(seen_.back(), -1);
    if (penalty_last_n_ && seen_.size() > penalty_last_n_) count(seen_[seen_.size() - 1 - penalty_last_n_], 1);
    seen_.pop_back();
  }
  draws_ = mark.draws;
  last_ = mark.last;
  has_last_ = mark.has_last;
}

void Sampler::adjust(float *logits, uint64_t n, const uint32_t *mask) const {
  for (const dsb_bias &bias : bias_)
    if (bias.token < n) logits[bias.token] += bias.value;
  for (const auto &entry : counts_) {
    if (entry.first >= n || entry.second == 0) continue;
    float &logit = logits[entry.first];
    logit = logit > 0 ? logit / repetition_ : logit * repetition_;
    logit -= presence_ + frequency_ * static_cast<float>(entry.second);
  }
  if (!mask) return;
  for (uint64_t i = 0; i < n; ++i)
    if (!(mask[i / 32] >> (i % 32) & 1)) logits[i] = kGone;
}

Result<uint32_t> Sampler::draw(float *logits, uint64_t n, const uint32_t *mask, uint64_t ahead) {
  for (uint64_t i = 0; i < n; ++i)
    if (!(logits[i] < -kGone))  // false for NaN and +inf
      return fail(DS_E_DEVICE, "backend", "non-finite logits: token %llu has %g", static_cast<unsigned long long>(i),
                  static_cast<double>(logits[i]));
  adjust(logits, n, mask);
  uint64_t best = 0;
  for (uint64_t i = 1; i < n; ++i)
    if (logits[i] > logits[best]) best = i;
  if (logits[best] == kGone)
    return fail(DS_E_ARGUMENT, "backend", "no token can be drawn: the mask or the biases leave none of %llu",
                static_cast<unsigned long long>(n));
  if (temperature_ == 0 || top_k_ == 1) return static_cast<uint32_t>(best);
  return pick(logits, n, logits[best], draws_ + ahead);
}

// Leaves in kept_, in order of falling logits, what top_k and top_p keep of the candidates in it.
void Sampler::keep_top(const float *logits, double largest) {
  const Better better{logits};
  const auto weight = [&](uint32_t token) { return exact_exp((logits[token] - largest) / temperature_); };
  if (top_k_ && top_k_ < kept_.size()) {
    std::nth_element(kept_.begin(), kept_.begin() + (top_k_ - 1), kept_.end(), better);
    kept_.resize(top_k_);
  }
  if (top_p_ >= 1) return;
  // The sum runs in order of id, the same whatever order selection has left.
  if (top_k_) std::sort(kept_.begin(), kept_.end());
  double total = 0;
  for (uint32_t token : kept_) total += weight(token);
  const double wanted = top_p_ * total;
  double sum = 0;
  size_t sorted = 0;  // kept_[0 … sorted) is in order and before everything else
  for (size_t length = 64; sorted < kept_.size(); length *= 8) {
    const size_t end = std::min(length, kept_.size());
    if (end < kept_.size()) std::nth_element(kept_.begin() + sorted, kept_.begin() + (end - 1), kept_.end(), better);
    std::sort(kept_.begin() + sorted, kept_.begin() + end, better);
    for (; sorted < end; ++sorted) {
      sum += weight(kept_[sorted]);
      if (sum < wanted) continue;
      kept_.resize(sorted + 1);
      return;
    }
  }
}

uint32_t Sampler::pick(const float *logits, uint64_t n, double largest, uint64_t draw) {
  kept_.clear();
  for (uint32_t i = 0; i < n; ++i)
    if (logits[i] != kGone) kept_.push_back(i);
  keep_top(logits, largest);
  std::sort(kept_.begin(), kept_.end());
  const auto weight = [&](uint32_t token) { return exact_exp((logits[token] - largest) / temperature_); };
  double total = 0;
  size_t n_kept = 0;
  for (uint32_t token : kept_) {
    const double w = weight(token);
    if (w < min_p_) continue;
    total += w;
    kept_[n_kept++] = token;
  }
  kept_.resize(n_kept);  // never empty: the largest has weight 1
  const double wanted = uniform(seed_, stream_, draw) * total;
  double sum = 0;
  for (uint32_t token : kept_) {
    sum += weight(token);
    if (sum > wanted) return token;
  }
  return kept_.back();
}

}  // namespace deepseam::sdk
