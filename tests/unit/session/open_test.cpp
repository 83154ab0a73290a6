// Opening: plans, budgets, progress, cancel, in the background; and shutting down in every state.
#include <atomic>
#include <future>
#include <thread>

#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

TEST_CASE("a plan says what open then does") {
  Rig rig;
  const PlannedModel planned = must(plan_model(*rig.runtime, Rig::tiny("lite")));
  CHECK(planned.plan.fits);
  CHECK(planned.plan.backend == "ref");
  CHECK(planned.plan.context_length == 512);
  CHECK(planned.plan.tokens_per_second > 0);
  const auto model = rig.open("lite");
  CHECK(model->plan().total_bytes == planned.plan.total_bytes);
  CHECK(model->plan().n_blocks == planned.plan.n_blocks);
}

TEST_CASE("planning and describing a .dsm reads no byte of its tensors") {
  Rig rig;
  OpenOptions options = Rig::tiny("");
  options.source.file = must(open_file(synth_file(rig), MapMode::kNever));
  options.source.path.clear();
  check_headers_only(rig, options);
}

// What a run may touch: the total is for one whole context; a pool that the cache could fill is told beside it.
TEST_CASE("a plan's total is what a context takes, the cache's share of the pool stands beside it") {
  Rig rig;
  OpenOptions options = Rig::tiny("lite");
  const ModelPlan with = must(plan_model(*rig.runtime, options)).plan;
  CHECK(with.kv_bytes + with.cache_bytes == with.n_blocks * 64 * with.kv_bytes_per_token);
  CHECK(with.kv_bytes >= 512 * with.kv_bytes_per_token);
  CHECK(with.cache_bytes > with.kv_bytes);
  options.no_cache = true;
  const ModelPlan without = must(plan_model(*rig.runtime, options)).plan;
  CHECK(without.cache_bytes == 0);
  CHECK(without.total_bytes == with.total_bytes);
  options.no_cache = false;
  options.ram_budget = with.total_bytes + with.cache_bytes / 2;
  const ModelPlan tight = must(plan_model(*rig.runtime, options)).plan;
  CHECK(tight.fits);
  CHECK(tight.total_bytes + tight.cache_bytes <= options.ram_budget);
}

TEST_CASE("what does not fit is said before loading") {
  Rig rig;
  OpenOptions options = Rig::tiny("lite");
  options.ram_budget = 100'000;
  const PlannedModel planned = must(plan_model(*rig.runtime, options));
  CHECK_FALSE(planned.plan.fits);
  CHECK(Model::open(rig.runtime, options).status().code() == DS_E_BUDGET);
}

TEST_CASE("without a wish the context is what the budget holds") {
  Rig rig;
  OpenOptions options = Rig::tiny("lite");
  options.context_length = 0;
  const PlannedModel whole = must(plan_model(*rig.runtime, options));
  CHECK(whole.plan.context_length == 2560);
  options.ram_budget = whole.plan.total_bytes - whole.plan.kv_bytes + 40 * 64 * whole.plan.kv_bytes_per_token;
  const PlannedModel part = must(plan_model(*rig.runtime, options));
  CHECK(part.plan.fits);
  CHECK(part.plan.context_length < 2560);
  CHECK(part.plan.context_length >= 64);
  CHECK(part.plan.total_bytes <= options.ram_budget);
}

TEST_CASE("wrong options are sentences") {
  Rig rig;
  auto code = [&](auto change) {
    OpenOptions options = Rig::tiny("lite");
    change(options);
    return Model::open(rig.runtime, options).status().code();
  };
  CHECK(code([](OpenOptions &o) { o.source.path = "/nowhere/at/all"; }) == DS_E_NOT_FOUND);
  CHECK(code([](OpenOptions &o) { o.backend = "cuda"; }) == DS_E_NO_DEVICE);
  CHECK(code([](OpenOptions &o) { o.devices = {7}; }) == DS_E_NO_DEVICE);
  CHECK(code([](OpenOptions &o) { o.context_length = 1 << 30; }) == DS_E_ARGUMENT);
  CHECK(code([](OpenOptions &o) { o.weight_type = "q4"; }) == DS_E_UNSUPPORTED);
}

TEST_CASE("a missing embedded model says how to get it") {
  Rig rig;
  OpenOptions options;
  options.source.path = "embedded";  // this program lies in no folder with a deepseam/embedded.dsm
  const Status status = Model::open(rig.runtime, options).status();
  CHECK(status.code() == DS_E_NOT_FOUND);
  CHECK(std::string(status.message()).find("the embedded model is not installed") != std::string::npos);
}

TEST_CASE("progress counts up to all bytes, and its answer stops the load") {
  Rig rig;
  OpenOptions options = Rig::tiny("lite-wide");
  uint64_t last = 0, total = 0;
  bool backwards = false;
  options.progress = [&](const Progress &progress) {
    if (progress.stage != Stage::kLoad) return true;
    backwards |= progress.done < last;
    last = progress.done;
    total = progress.total;
    return true;
  };
  rig.open(options);
  CHECK(last == total);
  CHECK(total > 1'000'000);
  CHECK_FALSE(backwards);
  options.progress = [](const Progress &progress) { return progress.stage != Stage::kLoad; };
  CHECK(Model::open(rig.runtime, options).status().code() == DS_E_STOPPED);
}

TEST_CASE("a set cancel flag ends an open") {
  Rig rig;
  OpenOptions options = Rig::tiny("lite");
  auto word = std::make_shared<CancelWord>();
  word->set();
  options.cancel = word;
  CHECK(Model::open(rig.runtime, options).status().code() == DS_E_CANCELLED);
}

TEST_CASE("an open in the background gives its model once") {
  Rig rig;
  const auto job = must(Model::open_start(rig.runtime, Rig::tiny("lite"), {}, Delivery::kQueued));
  DS_REQUIRE_OK(job->wait(UINT64_MAX));
  std::shared_ptr<Model> model;
  DS_REQUIRE_OK(job->take_model(&model));
  CHECK(job->take_model(&model).code() == DS_E_ARGUMENT);
  CHECK(generate(session::session(model), some_ids(5), greedy(2))->choices[0].ids.size() == 2);
  OpenOptions missing = Rig::tiny("lite");
  missing.source.path = "/nowhere/at/all";
  const auto failed = must(Model::open_start(rig.runtime, missing, {}, Delivery::kQueued));
  DS_REQUIRE_OK(failed->wait(UINT64_MAX));
  CHECK(failed->take_model(&model).code() == DS_E_NOT_FOUND);
}

// The opening thread stands in its last progress while the cancel comes, so nothing looks at it any more by chance.
TEST_CASE("a cancel during an open in the background is not lost, however near the end is") {
  Rig rig;
  std::promise<std::shared_ptr<Job>> started;
  JobCallbacks callbacks;
  bool cancelled = false;
  callbacks.on_progress = [&cancelled, job = started.get_future().share()](const Progress &progress) {
    if (progress.stage == Stage::kLoad && progress.done == progress.total) job.get()->cancel(), cancelled = true;
    return true;
  };
  const auto job =
      must(Model::open_start(rig.runtime, Rig::tiny("lite"), std::move(callbacks), Delivery::kSpontaneous));
  started.set_value(job);
  DS_REQUIRE_OK(job->wait(UINT64_MAX));
  REQUIRE(cancelled);
  std::shared_ptr<Model> model;
  CHECK(job->take_model(&model).code() == DS_E_CANCELLED);
  CHECK(model == nullptr);
}

TEST_CASE("progress that answers stop ends an open in the background, also if it is told after the end") {
  Rig rig;
  JobCallbacks callbacks;
  callbacks.on_progress = [](const Progress &) { return false; };
  const auto job = must(Model::open_start(rig.runtime, Rig::tiny("lite"), std::move(callbacks), Delivery::kQueued));
  while (job->poll() != JobState::kDone) std::this_thread::yield();
  DS_REQUIRE_OK(job->wait(UINT64_MAX));
  std::shared_ptr<Model> model;
  CHECK(job->take_model(&model).code() == DS_E_STOPPED);
  CHECK(model == nullptr);
}

TEST_CASE("shutdown ends running jobs, and everything stays releasable") {
  std::shared_ptr<Job> job;
  std::shared_ptr<Session> one;
  std::shared_ptr<Model> model;
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = owned;
  {
    Rig rig;
    model = rig.open("lite");
    one = session::session(model);
    GenerateOptions how = greedy(480);
    how.delivery = Delivery::kQueued;
    how.keep_alive = std::move(owned);
    how.callbacks.on_text = [](const TextEvent &) { return true; };
    job = must(one->start(prompt_of(some_ids(5)), std::move(how)));
  }
  CHECK(job->poll() == JobState::kDone);
  CHECK(watch.expired());
  CHECK(one->start(prompt_of(some_ids(5)), greedy(1)).status().code() == DS_E_SHUT_DOWN);
  CHECK(one->eval({}).status().code() == DS_E_SHUT_DOWN);
  CHECK(Model::open(model->runtime(), Rig::tiny("lite")).status().code() == DS_E_SHUT_DOWN);
  std::unique_ptr<ResultData> result;
  DS_REQUIRE_OK(job->take_result(&result));
  CHECK(result->choices[0].finish == Finish::kCancelled);
}

TEST_CASE("without a shutdown the last release ends all threads by itself") {
  std::atomic<bool> gone{false};
  {
    RuntimeOptions options;
    options.default_plugins = false;
    options.n_threads = 2;
    options.keep_alive.push_back(std::shared_ptr<int>(new int(0), [&](int *p) {
      delete p;
      gone = true;
    }));
    auto runtime = must(RuntimeState::create(std::move(options)));
    DS_REQUIRE_OK(runtime->register_backend(ref::root()));
    auto model = must(Model::open(runtime, Rig::tiny("lite")));
    auto job = must(session::session(model)->start(prompt_of(some_ids(5)), greedy(400)));
    runtime.reset();
    model.reset();
    job->abandon();
  }
  for (int i = 0; i < 20'000 && !gone; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(gone);
}

TEST_CASE("last releases inside a callback on the engine's own thread") {
  Rig rig;
  struct Held {
    std::shared_ptr<Model> model;
    std::shared_ptr<Session> session;
    std::shared_ptr<Job> job;
  };
  auto held = std::make_shared<Held>();
  held->model = rig.open("lite");
  held->session = session::session(held->model);
  GenerateOptions how = greedy(400);
  how.delivery = Delivery::kSpontaneous;
  std::atomic<int> events{0};
  std::atomic<bool> ready{false};
  how.callbacks.on_text = [held, &events, &ready](const TextEvent &) {
    while (!ready) std::this_thread::yield();
    held->session.reset();
    held->model.reset();
    if (held->job) held->job->abandon();
    held->job.reset();
    ++events;
    return true;
  };
  held->job = must(held->session->start(prompt_of(some_ids(5)), std::move(how)));
  ready = true;
  while (events == 0) std::this_thread::yield();
}
