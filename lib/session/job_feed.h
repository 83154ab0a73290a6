// The writer's side of a Job: what the engine, or the thread that opens a model, tells the host through it.
//
// No function may be called under the engine's mutex: telling may run host code (wake, spontaneous delivery).
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "session/job.h"
#include "session/runtime_state.h"

namespace deepseam::session {

struct JobFeed {
  // Takes callbacks, delivery, cancel and deadline out of `options`; registers the job with the runtime.
  static Result<std::shared_ptr<Job>> make(const std::shared_ptr<RuntimeState> &runtime, GenerateOptions *options,
                                           bool makes_model);
  static void set_engine(Job &job, const std::shared_ptr<Engine> &engine);
  static void running(Job &job);
  static void text(Job &job, uint32_t choice, std::string_view visible, std::span<const uint32_t> ids);
  static void finish_choice(Job &job, uint32_t choice, Finish finish);
  static void progress(Job &job, const Progress &progress);
  static bool wants_turns(const Job &job) { return job.callbacks_.on_logits || job.callbacks_.on_mask; }
  static bool wants_mask(const Job &job) { return static_cast<bool>(job.callbacks_.on_mask); }
  static void ask(Job &job, std::shared_ptr<HostTurn> turn);
  static bool answered(Job &job, const HostTurn &turn);
  static bool stop_asked(const Job &job);
  // The job's last events. The result may be NULL; the session must have been given back before.
  static void finish(Job &job, Status status, std::unique_ptr<ResultData> result);
  static void finish_model(Job &job, Status status, std::shared_ptr<Model> model);
  static void drop_callbacks(Job &job);

 private:
  static void announce(Job &job);
  static void end(Job &job, Status status);
};

}  // namespace deepseam::session
