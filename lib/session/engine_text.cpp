// From logits and drawn tokens to text: choices that part, healing, ends and stops, results.
#include <algorithm>

#include "session/engine_state.h"
#include "session/job_feed.h"
#include "session/model.h"
#include "text/prompt.h"

namespace deepseam::session {
namespace {

bool contains(const std::vector<uint32_t> &ids, uint32_t id) { return std::ranges::find(ids, id) != ids.end(); }

double ms(uint64_t from, uint64_t to) { return to > from && from ? static_cast<double>(to - from) * 1e-6 : 0.0; }

}  // namespace

// Which tokens agree with what still has to be written of the healed word.
void EngineState::set_mask(const Work &work, Branch &branch) {
  branch.mask.clear();
  const text::Tokenizer *tokenizer = work.session->model()->tokenizer();
  if (branch.healing.empty() || !tokenizer) return;
  branch.mask.resize((device->vocab + 31) / 32);
  text::healing_mask(*tokenizer, branch.healing, branch.mask);
}

Status EngineState::make_sampler(Work &work, Branch &branch) {
  if (work.eval || work.options.prefill_only) return {};
  DS_TRY_VALUE(branch.sampler,
               runtime::Sampler::create(device->device, sampler_desc(work.options.sampling, branch.choice)));
  return uses_history(work.options.sampling) ? branch.sampler->update(work.prompt.ids) : Status();
}

std::shared_ptr<HostTurn> EngineState::turn_of(const Work &work, const Branch &branch, const float *from) {
  auto turn = std::make_shared<HostTurn>();
  turn->choice = branch.choice;
  turn->logits.assign(from, from + device->vocab);
  if (JobFeed::wants_mask(*work.job)) {
    turn->mask.assign((device->vocab + 31) / 32, UINT32_MAX);
    if (device->vocab % 32) turn->mask.back() = (1u << device->vocab % 32) - 1;
  }
  if (JobFeed::wants_turns(*work.job)) turn->ids = branch.ids;
  return turn;
}

// The logits behind a branch's last token, before anything is drawn. At the end of the prompt the choices part here:
// all draw from the same logits, each by its own random numbers.
void EngineState::prompt_done(Work &work, Branch &branch, const float *from) {
  const bool first = work.branches.size() < work.options.n_choices;
  const Phase phase = JobFeed::wants_turns(*work.job) ? Phase::kTurn : Phase::kSample;
  branch.turn = turn_of(work, branch, from);
  branch.phase = phase;
  if (!first) return;
  for (uint32_t i = 1; i < work.options.n_choices; ++i) {
    auto other = std::make_unique<Branch>();
    other->choice = i;
    other->ids = branch.ids;
    other->lease = store->fork(branch.lease);
    other->stream = text::TextStream(work.stops);
    other->healing = branch.healing;
    other->mask = branch.mask;
    other->leased_before = true;
    other->served = branch.served;
    other->turn = turn_of(work, *other, from);
    other->phase = phase;
    Status status = make_sampler(work, *other);
    work.branches.push_back(std::move(other));
    if (!status.ok()) {
      finish(work, std::move(status), Finish::kError);
      return;
    }
  }
}

void EngineState::take_token(Work &work, Branch &branch, uint32_t id, const TokenLogprob *logprobs) {
  const uint64_t now = now_ns();
  if (!work.prefilled_ns) work.prefilled_ns = now;
  if (contains(work.options.stop_ids, id)) return finish_branch(work, branch, Finish::kStop);
  if (contains(work.end_ids, id)) return finish_branch(work, branch, Finish::kEnd);
  branch.ids.push_back(id);
  branch.out.ids.push_back(id);
  ++work.n_generated;
  if (work.options.logprobs || work.options.n_logprobs)
    branch.out.logprobs.insert(branch.out.logprobs.end(), logprobs, logprobs + 1 + work.options.n_logprobs);

  std::string visible;
  bool stopped = false;
  if (const text::Tokenizer *tokenizer = work.session->model()->tokenizer()) {
    std::string_view bytes = tokenizer->is_special(id) ? std::string_view() : tokenizer->token_bytes(id);
    if (!branch.healing.empty()) {
      const size_t used = text::healing_step(branch.healing, bytes);
      branch.healing.erase(0, used);
      bytes.remove_prefix(used);
      set_mask(work, branch);
    }
    stopped = branch.stream.push(bytes, &visible);
  }
  if (!work.first_text_ns && !visible.empty()) work.first_text_ns = now;
  branch.out.text += visible;
  JobFeed::text(*work.job, branch.choice, visible, {&id, 1});
  JobFeed::progress(*work.job, {Stage::kDecode, work.n_generated, uint64_t{work.options.max_tokens}});
  const double rate = work.session->settings().tokens_per_second;
  if (rate > 0)
    work.next_token_ns = std::max(work.next_token_ns, now) + static_cast<uint64_t>(std::min(1e9 / rate, 1e18));
  if (stopped) return finish_branch(work, branch, Finish::kStop);
  if (work.options.max_tokens && branch.out.ids.size() >= work.options.max_tokens)
    return finish_branch(work, branch, Finish::kLength);
  if (branch.ids.size() >= work.context) return finish_branch(work, branch, Finish::kContext);
}

// Ends one choice; with the last one the request ends, and `work` is gone.
void EngineState::finish_branch(Work &work, Branch &branch, Finish finish) {
  if (branch.phase == Phase::kDone) return;
  branch.phase = Phase::kDone;
  let_go(branch);
  ++ends;
  branch.sampler.reset();
  branch.turn.reset();
  branch.out.finish = finish;
  std::string visible;
  branch.stream.finish(&visible);
  branch.out.text += visible;
  if (!visible.empty()) JobFeed::text(*work.job, branch.choice, visible, {});
  JobFeed::finish_choice(*work.job, branch.choice, finish);
  const bool complete = work.branches.size() == work.options.n_choices &&
                        std::ranges::all_of(work.branches, [](const auto &one) { return one->phase == Phase::kDone; });
  const bool here = std::ranges::any_of(works, [&](const auto &entry) { return entry.get() == &work; });
  if (here && (complete || work.options.prefill_only)) this->finish(work, Status(), finish);
}

std::unique_ptr<ResultData> EngineState::result_of(Work &work, Finish rest) {
  auto result = std::make_unique<ResultData>();
  Facts &told = result->facts;
  const uint64_t now = now_ns();
  if (!work.eval)
    for (auto &branch : work.branches) result->choices.push_back(std::move(branch->out));
  while (!work.eval && result->choices.size() < work.options.n_choices) {
    result->choices.emplace_back();
    result->choices.back().finish = rest;
  }
  if (work.options.logprobs || work.options.n_logprobs) result->logprob_width = 1 + work.options.n_logprobs;
  const uint64_t prefilled = work.prefilled_ns ? work.prefilled_ns : now;
  const uint64_t first_text = work.first_text_ns ? work.first_text_ns : prefilled;
  const double decode_ms = work.prefilled_ns ? ms(work.prefilled_ns, now) : 0.0;
  const uint64_t later = work.n_generated > work.branches.size() ? work.n_generated - work.branches.size() : 0;
  told.add("choices", uint64_t{result->choices.size()});
  told.add("seed", work.options.sampling.seed);
  told.add("usage.prompt_tokens", uint64_t{work.prompt.ids.size()});
  told.add("usage.cached_tokens", work.n_cached);
  told.add("usage.computed_tokens", work.n_computed);
  told.add("usage.completion_tokens", work.n_generated);
  told.add("timings.queue_ms", ms(work.submitted_ns, work.first_step_ns));
  told.add("timings.prefill_ms", work.first_step_ns ? ms(work.first_step_ns, prefilled) : 0.0);
  told.add("timings.decode_ms", decode_ms);
  told.add("timings.ttft_ms", ms(work.submitted_ns, first_text));
  told.add("timings.tokens_per_second", decode_ms > 0 ? static_cast<double>(later) * 1e3 / decode_ms : 0.0);
  return result;
}

}  // namespace deepseam::session
