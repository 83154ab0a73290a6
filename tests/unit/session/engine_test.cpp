// The engine beside the service's thread: whom that thread looks at, and until when.
#include <future>

#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

// Whoever hears that a job has ended may free it at once, and the service's thread reads what is watched.
TEST_CASE("a job with a clock is watched while it runs, and no longer when its host hears of the end") {
  Rig rig;
  const auto model = rig.open("lite");
  std::promise<Job *> started;
  const std::shared_future<Job *> told = started.get_future().share();
  std::vector<uint64_t> running, ended;
  GenerateOptions options = greedy(4);
  options.cancel = std::make_shared<CancelWord>();
  options.callbacks.wake = [&] {  // on the engine's thread; poll() lets the next one come
    const bool done = told.get()->poll() == JobState::kDone;
    (done ? ended : running).push_back(model->engine()->facts().watched);
  };
  const auto job = must(session::session(model)->start(prompt_of(some_ids(5)), std::move(options)));
  started.set_value(job.get());
  finish(job);
  REQUIRE(!running.empty());
  for (const uint64_t n : running) CHECK(n == 1);
  REQUIRE(ended.size() == 1);
  CHECK(ended[0] == 0);
}
