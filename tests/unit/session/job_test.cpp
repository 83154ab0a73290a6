// Jobs from outside: callbacks and their threads, reading, waiting, cancelling, host turns.
#include <atomic>
#include <thread>

#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

TEST_CASE("text events of a blocking call come on the caller's thread and add up to the result") {
  Rig rig;
  const auto model = open_synth(rig);
  GenerateOptions options = greedy(20);
  std::string text;
  std::vector<uint32_t> ids;
  Finish last = Finish::kNone;
  bool own_thread = true;
  const auto self = std::this_thread::get_id();
  options.callbacks.on_text = [&](const TextEvent &event) {
    own_thread &= std::this_thread::get_id() == self;
    text += event.text;
    ids.insert(ids.end(), event.ids.begin(), event.ids.end());
    last = event.finish;
    return true;
  };
  const auto result = generate(session::session(model), some_ids(20), options);
  CHECK(text == result->choices[0].text);
  CHECK(ids == result->choices[0].ids);
  CHECK(last == Finish::kLength);
  CHECK(own_thread);
}

TEST_CASE("a callback that answers stop ends the job with the text so far") {
  Rig rig;
  const auto model = rig.open("lite");
  GenerateOptions options = greedy(400);
  int n = 0;
  options.callbacks.on_text = [&](const TextEvent &) { return ++n < 3; };
  const auto result = generate(session::session(model), some_ids(20), options);
  CHECK(result->choices[0].finish == Finish::kCallback);
  CHECK(result->choices[0].ids.size() < 400);
  CHECK(n == 3);
}

TEST_CASE("an answer of stop counts although the text came to its end meanwhile") {
  Rig rig;
  const auto model = rig.open("lite");
  GenerateOptions options = greedy(8);
  options.delivery = Delivery::kQueued;
  options.n_choices = 2;
  options.callbacks.on_text = [](const TextEvent &event) { return event.choice != 1; };
  const auto job = must(session::session(model)->start(prompt_of(some_ids(5)), std::move(options)));
  while (job->poll() != JobState::kDone) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  must(rig.runtime->process_events(0));
  std::unique_ptr<ResultData> result;
  DS_REQUIRE_OK(job->take_result(&result));
  CHECK(result->choices[0].finish == Finish::kLength);
  CHECK(result->choices[1].finish == Finish::kCallback);
}

TEST_CASE("what the host gave for callbacks goes back once, when the job has ended") {
  Rig rig;
  const auto model = rig.open("lite");
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = owned;
  GenerateOptions options = greedy(3);
  options.keep_alive = std::move(owned);
  options.callbacks.on_text = [](const TextEvent &) { return true; };
  const auto job = must(session::session(model)->start(prompt_of(some_ids(5)), std::move(options)));
  DS_REQUIRE_OK(job->wait(UINT64_MAX));
  CHECK(watch.expired());
}

TEST_CASE("queued events are delivered by process_events, and wake tells") {
  Rig rig;
  const auto model = rig.open("lite");
  GenerateOptions options = greedy(8);
  options.delivery = Delivery::kQueued;
  std::atomic<int> woken{0};
  size_t n_ids = 0;
  options.callbacks.wake = [&] { ++woken; };
  options.callbacks.on_text = [&](const TextEvent &event) {
    n_ids += event.ids.size();
    return true;
  };
  const auto job = must(session::session(model)->start(prompt_of(some_ids(5)), std::move(options)));
  while (job->poll() != JobState::kDone) must(rig.runtime->process_events(5'000'000));
  must(rig.runtime->process_events(0));
  CHECK(n_ids == 8);
  CHECK(woken > 0);
}

TEST_CASE("spontaneous events come without anybody asking") {
  Rig rig;
  const auto model = rig.open("lite");
  GenerateOptions options = greedy(8);
  options.delivery = Delivery::kSpontaneous;
  std::atomic<size_t> n_ids{0};
  options.callbacks.on_text = [&](const TextEvent &event) {
    n_ids += event.ids.size();
    return true;
  };
  const auto job = must(session::session(model)->start(prompt_of(some_ids(5)), std::move(options)));
  DS_REQUIRE_OK(job->wait(UINT64_MAX));
  CHECK(n_ids == 8);
}

TEST_CASE("read gives whole characters once") {
  Rig rig;
  const auto model = open_synth(rig);
  const auto job = must(session::session(model)->start(prompt_of(some_ids(20)), greedy(30)));
  DS_REQUIRE_OK(job->wait(UINT64_MAX));
  std::string text;
  for (;;) {
    char buffer[7];
    uint64_t size = 0;
    DS_REQUIRE_OK(job->read(0, buffer, &size));
    if (!size) break;
    text.append(buffer, size);
  }
  uint64_t size = 0;
  CHECK(job->read(1, {}, &size).code() == DS_E_ARGUMENT);
  std::unique_ptr<ResultData> result;
  DS_REQUIRE_OK(job->take_result(&result));
  CHECK(text == result->choices[0].text);
  CHECK(job->take_result(&result).code() == DS_E_ARGUMENT);
}

TEST_CASE("one call at a time per session, and the next one after the end") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto one = session::session(model);
  const auto job = must(one->start(prompt_of(some_ids(5)), greedy(400)));
  CHECK(one->start(prompt_of(some_ids(5)), greedy(1)).status().code() == DS_E_BUSY);
  CHECK(one->rewind(0).code() == DS_E_BUSY);
  job->cancel();
  const auto result = finish(job);
  CHECK(result->choices[0].finish == Finish::kCancelled);
  CHECK(generate(one, some_ids(5), greedy(2))->choices[0].ids.size() == 2);
}

TEST_CASE("deadlines and host cancel flags end a job that nobody waits for") {
  Rig rig;
  const auto model = rig.open("lite");
  GenerateOptions timed = greedy(480);
  timed.deadline_ns = 20'000'000;
  auto result = generate(session::session(model), some_ids(5), timed);
  CHECK(result->choices[0].finish == Finish::kDeadline);
  GenerateOptions flagged = greedy(480);
  auto word = std::make_shared<CancelWord>();
  flagged.cancel = word;
  flagged.callbacks.wake = [word] { word->set(); };  // as a signal handler would: nobody is told
  const auto job = must(session::session(model)->start(prompt_of(some_ids(5)), std::move(flagged)));
  while (job->poll() != JobState::kDone) std::this_thread::yield();
  std::unique_ptr<ResultData> taken;
  DS_REQUIRE_OK(job->take_result(&taken));
  CHECK(taken->choices[0].finish == Finish::kCancelled);
}

TEST_CASE("an abandoned job ends, and its session's next call works") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto one = session::session(model);
  must(one->start(prompt_of(some_ids(5)), greedy(400)))->abandon();
  for (;;) {
    auto next = one->start(prompt_of(some_ids(5)), greedy(1));
    if (next.ok()) {
      CHECK(finish(std::move(next).value())->choices[0].ids.size() == 1);
      break;
    }
    REQUIRE(next.status().code() == DS_E_BUSY);
    std::this_thread::yield();
  }
}

TEST_CASE("edited logits decide the next token, and unedited ones change nothing") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto plain = generate(session::session(model), some_ids(20), greedy(8));
  GenerateOptions watching = greedy(8);
  int turns = 0;
  watching.callbacks.on_logits = [&](uint32_t, std::span<float> logits, std::span<const uint32_t> ids) {
    CHECK(logits.size() == model->vocab());
    CHECK(ids.size() == 20u + static_cast<size_t>(turns++));
    return true;
  };
  CHECK(generate(session::session(model), some_ids(20), watching)->choices[0].ids == plain->choices[0].ids);
  CHECK(turns == 8);
  GenerateOptions forced = greedy(8);
  forced.callbacks.on_logits = [](uint32_t, std::span<float> logits, std::span<const uint32_t> ids) {
    logits[100 + ids.size()] = 1e6f;
    return true;
  };
  const auto result = generate(session::session(model), some_ids(20), forced);
  for (uint32_t i = 0; i < 8; ++i) CHECK(result->choices[0].ids[i] == 120 + i);
}

TEST_CASE("a mask forbids tokens, for every choice") {
  Rig rig;
  const auto model = rig.open("lite");
  GenerateOptions options = greedy(6);
  options.n_choices = 2;
  options.sampling.temperature = 2;
  options.callbacks.on_mask = [](uint32_t, std::span<uint32_t> mask, std::span<const uint32_t>) {
    std::fill(mask.begin(), mask.end(), 0u);
    mask[3] = 0xff;  // tokens 96 to 103
    return true;
  };
  const auto result = generate(session::session(model), some_ids(20), options);
  for (const auto &choice : result->choices)
    for (uint32_t id : choice.ids) CHECK((id >= 96 && id < 104));
}

TEST_CASE("a host turn that is answered with stop, and one that nobody answers") {
  Rig rig;
  const auto model = rig.open("lite");
  GenerateOptions stops = greedy(8);
  stops.callbacks.on_logits = [](uint32_t, std::span<float>, std::span<const uint32_t> ids) { return ids.size() < 22; };
  const auto stopped = generate(session::session(model), some_ids(20), stops);
  CHECK(stopped->choices[0].finish == Finish::kCallback);
  CHECK(stopped->choices[0].ids.size() == 2);
  GenerateOptions waits = greedy(8);
  waits.delivery = Delivery::kQueued;
  waits.callbacks.on_logits = [](uint32_t, std::span<float>, std::span<const uint32_t>) { return true; };
  const auto job = must(session::session(model)->start(prompt_of(some_ids(20)), waits));
  CHECK(generate(session::session(model), some_ids(20), greedy(4))->choices[0].ids.size() == 4);  // others go on
  job->cancel();
  CHECK(finish(job)->choices[0].finish == Finish::kCancelled);
}

TEST_CASE("progress counts the prompt, then the text") {
  Rig rig;
  OpenOptions options = Rig::tiny("lite");
  options.max_rows = 16;
  const auto model = rig.open(options);
  GenerateOptions how = greedy(4);
  std::vector<Progress> seen;
  how.callbacks.on_progress = [&](const Progress &progress) {
    seen.push_back(progress);
    return true;
  };
  generate(session::session(model), some_ids(100), how);
  REQUIRE(!seen.empty());
  CHECK(seen.front().stage == Stage::kPrefill);
  CHECK(seen.front().total == 100);
  CHECK(seen.back().stage == Stage::kDecode);
  CHECK(seen.back().done == 4);
}
