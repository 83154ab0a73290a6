// Several jobs at once: fairness, suspension, caps, several threads, a pool that is too small for all.
#include <atomic>
#include <thread>

#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

TEST_CASE("a long prompt does not hold back text that is being generated") {
  Rig rig;
  OpenOptions options = Rig::tiny("lite");
  options.max_rows = 16;
  options.context_length = 2048;
  const auto model = rig.open(options);
  const auto text = must(session::session(model)->start(prompt_of(some_ids(8)), greedy(300)));  // has a head start
  const auto prompt = must(session::session(model)->start(prompt_of(some_ids(1800, 3)), greedy(1)));
  wait_all(std::vector<std::shared_ptr<Job>>{text, prompt});
  const EngineFacts facts = model->engine()->facts();
  CHECK(facts.shared_steps >= 50);
  CHECK(finish(text)->choices[0].ids.size() == 300);
  CHECK(finish(prompt)->choices[0].ids.size() == 1);
}

TEST_CASE("a suspended session stands still and goes on where it was") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto reference = generate(session::session(model), some_ids(20), greedy(200));
  const auto one = session::session(model);
  const auto job = must(one->start(prompt_of(some_ids(20)), greedy(200)));
  SessionSettings settings = one->settings();
  settings.suspended = true;
  DS_REQUIRE_OK(one->set(settings));
  CHECK(job->wait(50'000'000).code() == DS_E_TIMEOUT);
  const uint64_t before = job->progress().done;
  CHECK(job->wait(30'000'000).code() == DS_E_TIMEOUT);
  CHECK(job->progress().done == before);
  settings.suspended = false;
  DS_REQUIRE_OK(one->set(settings));
  CHECK(finish(job)->choices[0].ids == reference->choices[0].ids);
}

TEST_CASE("a cap on tokens per second is kept to") {
  Rig rig;
  const auto model = rig.open("lite");
  SessionSettings settings;
  settings.tokens_per_second = 100;
  const uint64_t start = now_ns();
  generate(session::session(model, settings), some_ids(20), greedy(11));
  CHECK(now_ns() - start >= 95'000'000);
}

TEST_CASE("settings out of range are refused") {
  Rig rig;
  const auto model = rig.open("lite");
  SessionSettings settings;
  settings.context_length = 513;
  CHECK(Session::create(model, settings).status().code() == DS_E_ARGUMENT);
  settings.context_length = 0;
  settings.tokens_per_second = -1;
  CHECK(Session::create(model, settings).status().code() == DS_E_ARGUMENT);
}

TEST_CASE("more branches than block tables and more tokens than blocks: all finish with the same text") {
  Rig rig;
  OpenOptions options = Rig::tiny("lite");
  options.max_sequences = 2;
  options.context_length = 128;
  options.block_tokens = 8;
  options.no_cache = true;  // 16 blocks for one whole context and 3 to spare
  const auto model = rig.open(options);
  REQUIRE(model->plan().n_blocks == 19);
  std::vector<std::vector<uint32_t>> alone;
  for (uint32_t i = 0; i < 5; ++i)
    alone.push_back(generate(session::session(model), some_ids(30, i + 1), greedy(40))->choices[0].ids);
  std::vector<std::shared_ptr<Session>> sessions;
  std::vector<std::shared_ptr<Job>> jobs;
  for (uint32_t i = 0; i < 5; ++i) {
    sessions.push_back(session::session(model));
    jobs.push_back(must(sessions.back()->start(prompt_of(some_ids(30, i + 1)), greedy(40))));
  }
  wait_all(jobs);
  for (uint32_t i = 0; i < 5; ++i) CHECK(finish(jobs[i])->choices[0].ids == alone[i]);
  CHECK(model->engine()->facts().preemptions > 0);
  CHECK(model->store()->check().ok());
  CHECK(model->store()->stats().blocks_used == 0);
}

TEST_CASE("four sessions on four threads") {
  Rig rig;
  const auto model = rig.open("lite");
  std::vector<std::vector<uint32_t>> expected;
  for (uint32_t i = 0; i < 4; ++i)
    expected.push_back(generate(session::session(model), some_ids(30, i), greedy(10))->choices[0].ids);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (uint32_t i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      auto one = Session::create(model, {});
      for (int round = 0; round < 4; ++round) {
        GenerateOptions how = greedy(10);
        how.callbacks.on_text = [](const TextEvent &) { return true; };
        auto job = one.value()->start(prompt_of(some_ids(30, i)), std::move(how));
        std::unique_ptr<ResultData> result;
        if (!job.ok() || !job.value()->wait(UINT64_MAX).ok() || !job.value()->take_result(&result).ok() ||
            result->choices[0].ids != expected[i])
          ++wrong;
        static_cast<void>(model->facts());
        static_cast<void>(model->cache()->stats());
      }
    });
  for (std::thread &thread : threads) thread.join();
  CHECK(wrong == 0);
}
