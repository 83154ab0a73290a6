// Token trees: masks, accept, and that what remains is the same as if there had been no drafts.
#include "tiny.h"

namespace conformance {
namespace {

// A draft tree: parent of each row (DSB_NONE: root), token of each row.
struct Draft {
  std::vector<uint32_t> parents, tokens;
};

uint32_t depth_of(const Draft &draft, uint32_t row) {
  uint32_t depth = 0;
  for (; draft.parents[row] != DSB_NONE; row = draft.parents[row]) ++depth;
  return depth;
}

Step tree_step(Tiny &tiny, uint32_t slot, uint32_t kv_len, const Draft &draft, uint32_t want) {
  Step step;
  step.pool = tiny.pool.pool;
  step.add_seq(slot, kv_len, Tiny::blocks(slot));
  const uint32_t n = static_cast<uint32_t>(draft.tokens.size()), words = (n + 31) / 32;
  step.ancestors.resize(n * words);
  for (uint32_t i = 0; i < n; ++i) {
    dsb_row &row = step.add_row(0, kv_len + depth_of(draft, i), draft.tokens[i], want);
    row.kv_row = kv_len + i;
    row.mask_offset = i * words;
    for (uint32_t at = i; at != DSB_NONE; at = draft.parents[at])
      step.ancestors[i * words + at / 32] |= 1u << (at % 32);
  }
  return step;
}

// Greedy tokens of a plain run: prompt, then n drawn tokens; sampler as given.
std::vector<uint32_t> linear_run(Tiny &tiny, uint32_t slot, const std::vector<uint32_t> &prompt,
                                 const dsb_sampler_desc &desc, uint32_t n) {
  const SamplerHolder sampler(desc);
  std::vector<uint32_t> ids(n);
  Step step = tiny.step(slot, 0, prompt, 0);
  step.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE;
  step.rows.back().want = DSB_WANT_SAMPLE;
  step.seqs[0].sampler = sampler.sampler;
  step.repeat = n;
  step.outputs.ids = ids.data();
  run_ok(tiny.program.exec, step);
  return ids;
}

}  // namespace

CONFORMANCE("tree: every branch has the logits of its own path") {
  Tiny tiny;
  const std::vector<uint32_t> prompt = random_tokens(51, 10);
  const Draft draft = {{DSB_NONE, 0, 0, 1, 2, 3, 2}, random_tokens(52, 7)};
  (void)tiny.forward(0, 0, prompt);
  Step step = tree_step(tiny, 0, 10, draft, DSB_WANT_LOGITS);
  std::vector<float> logits(7 * kVocab);
  step.outputs.logits = logits.data();
  run_ok(tiny.program.exec, step);
  for (uint32_t row = 0; row < 7; ++row) {
    std::vector<uint32_t> path;
    for (uint32_t at = row; at != DSB_NONE; at = draft.parents[at]) path.insert(path.begin(), draft.tokens[at]);
    std::vector<uint32_t> tokens = prompt;
    tokens.insert(tokens.end(), path.begin(), path.end());
    const std::vector<float> alone = tiny.forward(1, 0, tokens);
    std::vector<double> exact;
    std::vector<float> found;
    for (uint32_t i = 0; i < kUsedVocab; ++i) {
      exact.push_back(alone[(tokens.size() - 1) * kVocab + i]);
      found.push_back(logits[row * kVocab + i]);
    }
    check_close(found, exact, 1e-5);
  }
}

CONFORMANCE("tree: a tree of more than 32 rows") {
  Tiny tiny;
  Draft draft;
  draft.tokens = random_tokens(53, 40);
  for (uint32_t i = 0; i < 40; ++i) draft.parents.push_back(i == 0 ? DSB_NONE : i < 38 ? i - 1 : 36);
  Step step = tree_step(tiny, 0, 0, draft, DSB_WANT_LOGITS);
  std::vector<float> logits(40 * kVocab);
  step.outputs.logits = logits.data();
  run_ok(tiny.program.exec, step);
  std::vector<uint32_t> tokens(draft.tokens.begin(), draft.tokens.begin() + 37);
  tokens.push_back(draft.tokens[39]);
  const std::vector<float> alone = tiny.forward(1, 0, tokens);
  std::vector<double> exact(alone.end() - kVocab, alone.end() - (kVocab - kUsedVocab));
  check_close({logits.end() - kVocab, logits.end() - (kVocab - kUsedVocab)}, exact, 1e-5);
}

CONFORMANCE("accept: the drafts that were right stay, and the sequence goes on as without drafts") {
  for (float temperature : {0.0f, 1.0f}) {
    CAPTURE(temperature);
    Tiny tiny;
    dsb_sampler_desc desc = sampler_desc(temperature, 3);
    desc.frequency_penalty = 0.3f;
    const std::vector<uint32_t> prompt = random_tokens(54, 9);
    const std::vector<uint32_t> truth = linear_run(tiny, 2, prompt, desc, 12);

    // The prompt draws truth[0]; its tree holds a wrong branch first and the right tokens 1, 2, 3 scattered behind.
    const SamplerHolder sampler(desc);
    Step start = tiny.step(0, 0, prompt, 0);
    start.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE;
    start.rows.back().want = DSB_WANT_SAMPLE;
    start.seqs[0].sampler = sampler.sampler;
    run_ok(tiny.program.exec, start);

    const auto wrong = [&](uint32_t i) { return (truth[i] + 1) % kUsedVocab; };
    const Draft draft = {{DSB_NONE, 0, 0, 1, 2, 4, 4, 6},
                         {truth[0], wrong(1), truth[1], truth[2], truth[2], wrong(3), truth[3], wrong(4)}};
    Step step = tree_step(tiny, 0, 9, draft, DSB_WANT_SAMPLE);
    step.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE | DSB_ENTRY_ACCEPT;
    step.rows[0].token_source = DSB_TOKEN_LAST;
    for (uint32_t i = 1; i < 8; ++i) {
      step.rows[i].token_source = DSB_TOKEN_DRAFT;
      step.rows[i].token_id = i;
    }
    step.seqs[0].draft_ids = draft.tokens.data();
    step.seqs[0].n_draft_ids = 8;
    step.seqs[0].sampler = sampler.sampler;
    uint32_t kv_len = 9, n_accepted = 99;
    step.seqs[0].kv_len_source = DSB_KV_LEN_DEVICE;
    step.seqs[0].kv_len_word = &kv_len;
    std::vector<uint32_t> accepted(8, 12345);
    step.outputs.n_accepted = &n_accepted;
    step.outputs.accepted_ids = accepted.data();
    run_ok(tiny.program.exec, step);
    CHECK(n_accepted == 3);
    CHECK(kv_len == 9 + 4);
    for (uint32_t i = 0; i < 4; ++i) CHECK(accepted[i] == truth[1 + i]);

    // Goes on from the rows that were moved together.
    Step next = tiny.step(0, 13, {truth[4]}, DSB_WANT_SAMPLE);
    next.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE;
    next.rows[0].token_source = DSB_TOKEN_LAST;
    next.seqs[0].sampler = sampler.sampler;
    next.repeat = 7;
    std::vector<uint32_t> ids(7);
    next.outputs.ids = ids.data();
    run_ok(tiny.program.exec, next);
    CHECK(ids == std::vector<uint32_t>(truth.begin() + 5, truth.end()));
  }
}

CONFORMANCE("accept: a chain without masks, nothing accepted, everything accepted, a stop id") {
  Tiny tiny;
  const std::vector<uint32_t> prompt = random_tokens(55, 8);
  const std::vector<uint32_t> truth = linear_run(tiny, 2, prompt, sampler_desc(0), 8);
  for (uint32_t right : {0u, 2u, 4u, 5u}) {  // 5: all four, and the second is a stop id
    CAPTURE(right);
    const SamplerHolder sampler(sampler_desc(0));
    (void)tiny.forward(0, 0, prompt);
    std::vector<uint32_t> tokens = {truth[0]};
    for (uint32_t i = 1; i < 5; ++i) tokens.push_back(i <= right ? truth[i] : (truth[i] + 1) % kUsedVocab);
    Step step = tiny.step(0, 8, tokens, DSB_WANT_SAMPLE);
    step.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE | DSB_ENTRY_ACCEPT;
    step.seqs[0].sampler = sampler.sampler;
    if (right == 5) {
      step.seqs[0].n_stop_ids = 1;
      step.seqs[0].stop_ids = &truth[2];
    }
    uint32_t n_accepted = 99;
    std::vector<uint32_t> accepted(5);
    step.outputs.n_accepted = &n_accepted;
    step.outputs.accepted_ids = accepted.data();
    run_ok(tiny.program.exec, step);
    uint32_t expected = std::min(right, 4u);
    if (right == 5)
      for (expected = 0; truth[expected + 1] != truth[2];) ++expected;
    CHECK(n_accepted == expected);
    for (uint32_t i = 0; i <= expected; ++i) CHECK(accepted[i] == truth[i + 1]);
  }
}

}  // namespace conformance
