// repeat draws n tokens without the host; it must give what n single steps give.
#include "tiny.h"

namespace conformance {
namespace {

struct Result {
  std::vector<uint32_t> ids;
  std::vector<float> logprobs;
  uint32_t n_steps = 0;
};

// Draws n tokens after `prompt` in one step per token; the prompt goes in with the first.
Result single_steps(Tiny &tiny, uint32_t slot, const std::vector<uint32_t> &prompt, const dsb_sampler_desc &desc,
                    uint32_t n) {
  const SamplerHolder sampler(desc);
  Result result;
  uint32_t kv_len = 0;
  std::vector<uint32_t> tokens = prompt;
  for (uint32_t i = 0; i < n; ++i) {
    Step step = tiny.step(slot, kv_len, tokens, 0);
    step.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE;
    step.rows.back().want = DSB_WANT_SAMPLE;
    step.seqs[0].sampler = sampler.sampler;
    uint32_t id = 0;
    float logprob = 0;
    step.outputs.ids = &id;
    step.outputs.logprobs = &logprob;
    run_ok(tiny.program.exec, step);
    result.ids.push_back(id);
    result.logprobs.push_back(logprob);
    kv_len += static_cast<uint32_t>(tokens.size());
    tokens = {id};
  }
  return result;
}

Step repeated(Tiny &tiny, const std::vector<uint32_t> &prompt, uint32_t n, dsb_sampler *sampler, Result *result) {
  Step step = tiny.step(0, 0, prompt, 0);
  step.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE;
  step.rows.back().want = DSB_WANT_SAMPLE;
  step.seqs[0].sampler = sampler;
  step.repeat = n;
  result->ids.assign(n, 12345);
  result->logprobs.assign(n, 0);
  step.outputs.ids = result->ids.data();
  step.outputs.logprobs = result->logprobs.data();
  step.outputs.n_steps = &result->n_steps;
  return step;
}

}  // namespace

CONFORMANCE("repeat: n tokens in one step are those of n steps, greedy and drawn") {
  Tiny tiny;
  for (float temperature : {0.0f, 1.3f}) {
    dsb_sampler_desc desc = sampler_desc(temperature, 5);
    desc.repetition_penalty = 1.1f;
    const std::vector<uint32_t> prompt = random_tokens(41, 11);
    const Result single = single_steps(tiny, 1, prompt, desc, 20);
    const SamplerHolder sampler(desc);
    Result whole;
    Step step = repeated(tiny, prompt, 20, sampler.sampler, &whole);
    run_ok(tiny.program.exec, step);
    CHECK(whole.ids == single.ids);
    check_same(whole.logprobs, single.logprobs);
    CHECK(whole.n_steps == 20);
  }
}

CONFORMANCE("repeat: several sequences stop at their own time") {
  Tiny tiny;
  const std::vector<uint32_t> prompts[] = {random_tokens(42, 5), random_tokens(43, 9), random_tokens(44, 2)};
  std::vector<Result> single;
  for (uint32_t i = 0; i < 3; ++i) single.push_back(single_steps(tiny, 3, prompts[i], sampler_desc(1, i), 12));
  Step step;
  step.pool = tiny.pool.pool;
  step.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE;
  step.repeat = 12;
  std::vector<std::unique_ptr<SamplerHolder>> samplers;
  const uint32_t stop = single[1].ids[6];
  uint32_t stop_at = 0;
  while (single[1].ids[stop_at] != stop) ++stop_at;
  for (uint32_t i = 0; i < 3; ++i) {
    samplers.push_back(std::make_unique<SamplerHolder>(sampler_desc(1, i)));
    const uint32_t seq = step.add_seq(i, 0, Tiny::blocks(i));
    step.seqs[seq].sampler = samplers[i]->sampler;
    for (uint32_t j = 0; j < prompts[i].size(); ++j) step.add_row(seq, j, prompts[i][j]);
    step.rows.back().want = DSB_WANT_SAMPLE;
  }
  step.seqs[0].max_new = 4;
  step.seqs[1].n_stop_ids = 1;
  step.seqs[1].stop_ids = &stop;
  step.seqs[2].max_new = 10;
  std::vector<uint32_t> ids(12 * 3, 12345);
  uint32_t n_steps = 0;
  step.outputs.ids = ids.data();
  step.outputs.n_steps = &n_steps;
  run_ok(tiny.program.exec, step);
  CHECK(n_steps == 10);  // all have stopped
  const uint32_t lengths[] = {4, stop_at + 1, 10};
  for (uint32_t i = 0; i < 3; ++i)
    for (uint32_t j = 0; j < 12; ++j) CHECK(ids[j * 3 + i] == (j < lengths[i] ? single[i].ids[j] : DSB_NONE));
}

CONFORMANCE("repeat: lengths and tokens kept on the device join two steps") {
  Tiny tiny;
  const std::vector<uint32_t> prompt = random_tokens(45, 6);
  const Result single = single_steps(tiny, 1, prompt, sampler_desc(1, 9), 10);
  const SamplerHolder sampler(sampler_desc(1, 9));
  uint32_t kv_len = 0;
  Result first, second;
  Step step = repeated(tiny, prompt, 4, sampler.sampler, &first);
  step.seqs[0].kv_len_source = DSB_KV_LEN_DEVICE;
  step.seqs[0].kv_len_word = &kv_len;
  run_ok(tiny.program.exec, step);
  CHECK(kv_len == 6 + 3);  // the last token drawn is not stored yet
  // The host does not know where the sequence stands: rows are relative to kv_len 0.
  Step next = repeated(tiny, {0}, 6, sampler.sampler, &second);
  next.rows[0].token_source = DSB_TOKEN_LAST;
  next.seqs[0].kv_len_source = DSB_KV_LEN_DEVICE;
  next.seqs[0].kv_len_word = &kv_len;
  run_ok(tiny.program.exec, next);
  first.ids.insert(first.ids.end(), second.ids.begin(), second.ids.end());
  CHECK(first.ids == single.ids);
  CHECK(kv_len == 6 + 9);
}

CONFORMANCE("sample alone draws from logits that the host has edited") {
  Tiny tiny;
  const std::vector<uint32_t> prompt = random_tokens(46, 7);
  std::vector<float> logits = tiny.forward(0, 0, prompt);
  logits.erase(logits.begin(), logits.end() - kVocab);
  logits[33] = 1000;
  const SamplerHolder sampler(sampler_desc(0));
  Step step = tiny.step(0, 0, prompt, 0);
  step.entry = DSB_ENTRY_SAMPLE;
  step.rows.back().want = DSB_WANT_SAMPLE;
  step.seqs[0].sampler = sampler.sampler;
  uint32_t id = 0;
  step.outputs.logits = logits.data();
  step.outputs.ids = &id;
  run_ok(tiny.program.exec, step);
  CHECK(id == 33);
}

}  // namespace conformance
