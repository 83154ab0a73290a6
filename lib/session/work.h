// A request as the engine sees it: its branches (one per choice), what each still has to compute, and where it goes.
//
// Plain data of the engine thread, but for what is filled in before submit(). A branch always wants the rows from its
// lease's end to the end of its ids; the last of them is where the next token comes from.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kv/kv_store.h"
#include "runtime/pool.h"
#include "session/job.h"
#include "session/session.h"
#include "text/stop.h"

namespace deepseam::session {

inline constexpr uint32_t kNoSlot = UINT32_MAX;

enum class Phase : uint32_t {
  kWaiting,  // has no lease: new, preempted, or somebody else is computing its prefix
  kReady,    // rows can be computed
  kTurn,     // the host is asked about its logits
  kSample,   // logits are ready to draw from
  kDone,
};

struct Branch {
  uint32_t choice = 0;
  Phase phase = Phase::kWaiting;
  std::vector<uint32_t> ids;  // prompt and generated tokens
  kv::Lease lease;
  std::shared_ptr<runtime::Sampler> sampler;
  text::TextStream stream;
  std::string healing;             // bytes that the text still has to begin with
  std::vector<uint32_t> mask;      // tokens that agree with `healing`; empty: all
  std::shared_ptr<HostTurn> turn;  // the logits to draw from, with kTurn and kSample
  bool asked = false;
  uint32_t slot = kNoSlot;   // of the program's block tables
  bool table_known = false;  // the program has the lease's table in `slot`
  bool leased_before = false;
  double served = 0;
  bool preempted = false;     // gave its blocks away
  uint64_t preempted_at = 0;  // EngineState::ends at that time
  ChoiceResult out;
};

// What an eval leaves for its caller.
struct EvalOut {
  uint64_t n_computed = 0;
};

struct Work {
  std::shared_ptr<Job> job;
  std::shared_ptr<Session> session;
  kv::Identity identity;
  GenerateOptions options;  // callbacks have moved to the job
  Prompt prompt;
  std::shared_ptr<const text::StopSet> stops;
  std::vector<uint32_t> end_ids;  // the model's own ends
  uint32_t context = 0;           // tokens that the sequence may hold

  bool eval = false;
  Want want = Want::kLast;
  uint32_t n_given = 0;  // eval: the last so many of the prompt are what was given
  uint32_t chunk = 0;
  float *logits = nullptr;  // [rows, V] of the caller, who waits
  std::shared_ptr<EvalOut> eval_out;

  std::vector<std::unique_ptr<Branch>> branches;
  uint64_t order = 0;
  bool solo = false;  // runs alone, because a step with it failed
  uint64_t n_cached = 0, n_computed = 0, n_generated = 0;
  uint64_t submitted_ns = 0, first_step_ns = 0, prefilled_ns = 0, first_text_ns = 0, next_token_ns = 0;

  // Rows of the prompt whose logits an eval wants: from here on.
  uint32_t first_wanted() const {
    const auto n = static_cast<uint32_t>(prompt.ids.size());
    if (!eval || want == Want::kNone) return n;
    return want == Want::kAll ? n - n_given : n - 1;
  }
};

}  // namespace deepseam::session
