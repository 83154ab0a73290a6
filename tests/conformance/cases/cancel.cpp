// Stopping in the middle: cancelled steps have done nothing, yielding ones go on, released ones are gone.
#include <cstring>

#include "tiny.h"

namespace conformance {
namespace {

struct Output {
  std::vector<float> logits;
  uint32_t id = 0, n_steps = 0;
  std::vector<uint32_t> counts = std::vector<uint32_t>(kExperts, 0);
};

// A prompt with logits everywhere, and a token drawn at its end.
Step make_step(const Tiny &tiny, const std::vector<uint32_t> &tokens, dsb_sampler *sampler, Output *out) {
  Step step = tiny.step(0, 0, tokens, DSB_WANT_LOGITS);
  step.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE;
  step.rows.back().want |= DSB_WANT_SAMPLE;
  step.seqs[0].sampler = sampler;
  out->logits.assign(tokens.size() * kVocab, 0);
  step.outputs.logits = out->logits.data();
  step.outputs.ids = &out->id;
  step.outputs.expert_counts = out->counts.data();
  return step;
}

dsb_sampler_desc remembering() {
  dsb_sampler_desc desc = sampler_desc(1.2f, 77);
  desc.presence_penalty = 0.5f;
  return desc;
}

}  // namespace

CONFORMANCE("cancel: a step cancelled after any number of polls has done nothing, and then runs as if new") {
  Tiny tiny;
  const std::vector<uint32_t> tokens = random_tokens(81, 12);
  Output truth;
  const SamplerHolder first(remembering());
  Step step = make_step(tiny, tokens, first.sampler, &truth);
  run_ok(tiny.program.exec, step);

  const SamplerHolder sampler(remembering());
  for (uint32_t polls = 0; polls < 60; polls += 3) {
    Output lost;
    Step cancelled = make_step(tiny, tokens, sampler.sampler, &lost);
    uint32_t word = 0, kv_len = 0, state = DSB_TICKET_RUNNING;
    cancelled.cancel_word = &word;
    cancelled.seqs[0].kv_len_source = DSB_KV_LEN_DEVICE;
    cancelled.seqs[0].kv_len_word = &kv_len;
    const dsb_step raw = cancelled.raw();
    dsb_ticket *ticket = nullptr;
    REQUIRE(api().exec_submit(tiny.program.exec, &raw, &ticket, nullptr) == DS_OK);
    for (uint32_t i = 0; i < polls && state == DSB_TICKET_RUNNING; ++i)
      REQUIRE(api().ticket_poll(ticket, &state, nullptr) == DS_OK);
    if (state == DSB_TICKET_DONE) {
      api().ticket_release(ticket);
      CHECK(polls > 3);
      break;
    }
    word = 1;
    REQUIRE(api().ticket_wait(ticket, UINT64_MAX, &state, nullptr) == DS_OK);
    CHECK(state == DSB_TICKET_CANCELLED);
    api().ticket_release(ticket);
    CHECK(kv_len == 0);
    CHECK(lost.counts == std::vector<uint32_t>(kExperts, 0));

    dsb_sampler *fork = nullptr;  // so that every round starts from the same draw
    REQUIRE(api().sampler_fork(sampler.sampler, 0, &fork, nullptr) == DS_OK);
    Output again;
    Step rerun = make_step(tiny, tokens, fork, &again);
    run_ok(tiny.program.exec, rerun);
    api().sampler_destroy(fork);
    check_same(again.logits, truth.logits);
    CHECK(again.id == truth.id);
    CHECK(again.counts == truth.counts);
  }
}

CONFORMANCE("cancel: in the middle of a repeat nothing is drawn for good") {
  Tiny tiny;
  const std::vector<uint32_t> tokens = random_tokens(82, 5);
  const SamplerHolder sampler(remembering());
  std::vector<uint32_t> ids(8), again(8);
  uint32_t word = 0, n_steps = 0;
  const auto make = [&](std::vector<uint32_t> *out) {
    Step step = tiny.step(0, 0, tokens, 0);
    step.entry = DSB_ENTRY_FORWARD | DSB_ENTRY_SAMPLE;
    step.rows.back().want = DSB_WANT_SAMPLE;
    step.seqs[0].sampler = sampler.sampler;
    step.repeat = 8;
    step.outputs.ids = out->data();
    step.outputs.n_steps = &n_steps;
    return step;
  };
  Step step = make(&ids);
  step.cancel_word = &word;
  const dsb_step raw = step.raw();
  dsb_ticket *ticket = nullptr;
  uint32_t state = DSB_TICKET_RUNNING;
  REQUIRE(api().exec_submit(tiny.program.exec, &raw, &ticket, nullptr) == DS_OK);
  while (n_steps < 3) REQUIRE(api().ticket_poll(ticket, &state, nullptr) == DS_OK);
  word = 1;
  REQUIRE(api().ticket_wait(ticket, UINT64_MAX, &state, nullptr) == DS_OK);
  api().ticket_release(ticket);
  if (state == DSB_TICKET_DONE) return;  // a device may have been faster than us
  CHECK(state == DSB_TICKET_CANCELLED);
  const std::vector<uint32_t> first(ids.begin(), ids.begin() + 3);
  Step rerun = make(&again);
  run_ok(tiny.program.exec, rerun);
  CHECK(std::vector<uint32_t>(again.begin(), again.begin() + 3) == first);
}

CONFORMANCE("cancel: a word set before, and a ticket released while running") {
  Tiny tiny;
  const SamplerHolder sampler(remembering());
  Output out;
  Step step = make_step(tiny, random_tokens(83, 6), sampler.sampler, &out);
  uint32_t word = 1, state = 0;
  step.cancel_word = &word;
  CHECK(run(tiny.program.exec, step, nullptr, &state) == DS_OK);
  CHECK(state == DSB_TICKET_CANCELLED);
  word = 0;
  const dsb_step raw = step.raw();
  dsb_ticket *ticket = nullptr;
  REQUIRE(api().exec_submit(tiny.program.exec, &raw, &ticket, nullptr) == DS_OK);
  dsb_ticket *second = nullptr;
  CHECK(api().exec_submit(tiny.program.exec, &raw, &second, nullptr) == DS_E_BUSY);
  REQUIRE(api().ticket_poll(ticket, &state, nullptr) == DS_OK);
  api().ticket_release(ticket);
  run_ok(tiny.program.exec, step);
}

CONFORMANCE("slices: a step that yields gives the same bits") {
  const std::vector<uint32_t> tokens = random_tokens(84, 50);
  std::vector<Output> outputs(2);
  uint32_t yields = 0;
  for (uint32_t hint : {0u, 1u}) {
    dsb_plan_options options = tiny_options();
    options.slice_hint_us = hint;
    Tiny tiny(options);
    const SamplerHolder sampler(remembering());
    Step step = make_step(tiny, tokens, sampler.sampler, &outputs[hint]);
    const dsb_step raw = step.raw();
    dsb_ticket *ticket = nullptr;
    uint32_t state = DSB_TICKET_RUNNING;
    REQUIRE(api().exec_submit(tiny.program.exec, &raw, &ticket, nullptr) == DS_OK);
    while (state == DSB_TICKET_RUNNING) {
      REQUIRE(api().ticket_wait(ticket, UINT64_MAX, &state, nullptr) == DS_OK);
      if (state != DSB_TICKET_YIELDED) continue;
      ++yields;
      uint32_t same = 0;  // nothing goes on until it is resumed
      REQUIRE(api().ticket_poll(ticket, &same, nullptr) == DS_OK);
      REQUIRE(same == DSB_TICKET_YIELDED);
      REQUIRE(api().exec_resume(tiny.program.exec, ticket, nullptr) == DS_OK);
      state = DSB_TICKET_RUNNING;
    }
    CHECK(state == DSB_TICKET_DONE);
    api().ticket_release(ticket);
  }
  CHECK(yields > 5);
  check_same(outputs[0].logits, outputs[1].logits);
  CHECK(outputs[0].id == outputs[1].id);
  CHECK(outputs[0].counts == outputs[1].counts);
}

}  // namespace conformance
