// How tokens are drawn from logits: the one sampler of all backends, so that equal logits give equal tokens everywhere.
//
// A draw changes nothing; take() records what was drawn. A step that fails calls roll_back() to where it began.
//
// Exactly, for one row of logits (float32) and draw number c:
//  1. bias: l += value. 2. repetition: for tokens seen, l > 0 ? l / p : l * p; then l -= presence + frequency * count.
//  3. mask: tokens whose bit is 0 leave. Tokens at -inf have left. (float32 so far, float64 from here.)
//  4. temperature 0: the largest, of equal ones the lowest id. Otherwise weight w = exp((l - max l) / temperature).
//  5. top_k: the k largest l (of equal ones the lower ids) stay. 6. top_p: in order of falling l (then rising id) the
//     shortest list whose w sum reaches top_p of the sum of what stayed. 7. min_p: w >= min_p stay (the largest w is
//     1).
//  8. u = uniform(seed, stream, c); the token is the first in order of id at which the running sum of w exceeds
//     u * (sum of all w that stayed); the sums run in order of id.
//
// uniform(seed, stream, c) = (m(m(m(seed) + stream) + c) >> 11) / 2^53, with m the splitmix64 step: z +=
// 0x9e3779b97f4a7c15, z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9, z = (z ^ z >> 27) * 0x94d049bb133111eb, z ^ z >> 31; all
// modulo 2^64.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/status.h"
#include "deepseam/backend.h"

namespace deepseam::sdk {

double uniform(uint64_t seed, uint64_t stream, uint64_t draw);

// log(sum of e^logit), in float64.
double log_sum_exp(const float *logits, uint64_t n);

// Log probability of each of the n_top largest logits, best first (of equal ones the lower id first). What has no
// probability is DSB_NONE at -inf.
void top_logprobs(const float *logits, uint64_t n, double log_sum, uint32_t n_top, uint32_t *ids, float *logprobs);

class Sampler {
 public:
  static Result<Sampler> make(const dsb_sampler_desc &desc);

  // The token for `logits` [n], which is used up. `ahead`: draws of this step before this one that are not taken yet.
  // DS_E_DEVICE: non-finite logits; DS_E_ARGUMENT: the mask leaves nothing.
  Result<uint32_t> draw(float *logits, uint64_t n, const uint32_t *mask, uint64_t ahead);

  void see(uint32_t token);   // counts as seen; becomes the last token
  void take(uint32_t token);  // sees a drawn token and moves to the next draw number
  bool has_last() const { return has_last_; }
  uint32_t last() const { return last_; }

  struct Mark {
    uint64_t draws = 0;
    uint64_t n_seen = 0;
    uint32_t last = 0;
    bool has_last = false;
  };
  Mark mark() const { return {draws_, seen_.size(), last_, has_last_}; }
  void roll_back(const Mark &mark);

  Sampler fork(uint64_t stream) const;

 private:
  void adjust(float *logits, uint64_t n, const uint32_t *mask) const;
  uint32_t pick(const float *logits, uint64_t n, double largest, uint64_t draw);
  void keep_top(const float *logits, double largest);
  bool has_penalties() const;
  void count(uint32_t token, int change);

  uint32_t top_k_ = 0, penalty_last_n_ = 0;
  float temperature_ = 0, top_p_ = 1, min_p_ = 0, repetition_ = 1, presence_ = 0, frequency_ = 0;
  uint64_t seed_ = 0, stream_ = 0, draws_ = 0;
  std::vector<dsb_bias> bias_;
  std::vector<uint32_t> seen_;                     // only with penalties
  std::unordered_map<uint32_t, uint32_t> counts_;  // of the last penalty_last_n_ of seen_
  uint32_t last_ = 0;
  bool has_last_ = false;
  std::vector<uint32_t> kept_;  // memory of keep_top
};

}  // namespace deepseam::sdk
