// Running a model through the C API: generation and its parameters, callbacks, jobs, batches, logits, results.
#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>

#include "hostile/host.h"

using namespace hostile;

namespace {

// One open model for all cases of this file.
struct Shared {
  Host host = open_host();
  ~Shared() { close_host(host); }
};
const Host &shared() {
  static Shared one;
  return one.host;
}

ds_session *new_session() {
  ds_error error = fresh_error();
  ds_session *session = nullptr;
  require(ds_session_create(shared().model, nullptr, &session, &error), error);
  return session;
}

struct Run {
  ds_result *result = nullptr;
  ds_status status = DS_OK;
  Run(ds_session *session, const char *prompt, const ds_params &parameters) {
    const ds_text_input input = text_input(prompt);
    status = ds_generate(session, &input.head, &parameters, &result, nullptr);
  }
  ~Run() { ds_result_release(result); }
  std::vector<uint32_t> ids(uint32_t choice = 0) const {
    const uint32_t *ids = nullptr;
    uint64_t n = 0;
    ds_error error = fresh_error();
    require(ds_result_ids(result, choice, &ids, &n, &error), error);
    return {ids, ids + n};
  }
  std::string text(uint32_t choice = 0) const {
    ds_text view{};
    ds_error error = fresh_error();
    require(ds_result_text(result, choice, &view, &error), error);
    return {view.data, view.size};
  }
  uint32_t reason() const {
    uint32_t reason = 0;
    ds_error error = fresh_error();
    require(ds_result_finish_reason(result, 0, &reason, &error), error);
    return reason;
  }
  uint64_t number(const char *key) const {
    ds_info *info = nullptr;
    uint64_t value = 0;
    ds_error error = fresh_error();
    require(ds_result_info(result, &info, &error), error);
    const ds_status found = ds_info_get_u64(info, key, &value, &error);
    ds_info_release(info);
    require(found, error);
    return value;
  }
};

int32_t DS_CALL collect(void *user, const ds_text_event *now) {
  static_cast<std::string *>(user)->append(now->text.data, now->text.size);
  return DS_CONTINUE;
}

}  // namespace

TEST_CASE("greedy generation is the same every time and counts its tokens") {
  ds_session *session = new_session();
  const Run one(session, kPrompt, params(8)), two(session, kPrompt, params(8));
  CHECK(one.ids() == two.ids());
  CHECK(one.ids().size() == 8);
  CHECK(one.reason() == DS_FINISH_LENGTH);
  CHECK(one.number("usage.completion_tokens") == 8);
  CHECK(two.number("usage.cached_tokens") > 0);
  ds_session_release(session);
}

TEST_CASE("seeds repeat, other seeds differ, and a random one is told") {
  ds_session *session = new_session();
  ds_params sampled = params(12);
  sampled.temperature = 1;
  sampled.n_choices = 2;
  sampled.seed = 3;
  const Run one(session, kPrompt, sampled), same(session, kPrompt, sampled);
  sampled.seed = 4;
  const Run other(session, kPrompt, sampled);
  sampled.flags |= DS_SAMPLING_RANDOM_SEED;
  const Run random(session, kPrompt, sampled);
  sampled.flags &= ~DS_SAMPLING_RANDOM_SEED;
  sampled.seed = random.number("seed");
  const Run again(session, kPrompt, sampled);
  CHECK(one.ids(0) == same.ids(0));
  CHECK(one.ids(1) == same.ids(1));
  CHECK(one.ids(0) != one.ids(1));
  CHECK(one.ids(0) != other.ids(0));
  CHECK(random.ids(0) == again.ids(0));
  ds_session_release(session);
}

TEST_CASE("a mask leaves only what it allows, logits can be edited, and a callback can stop") {
  ds_session *session = new_session();
  ds_params masked = params(3);
  masked.on_mask = [](void *, const ds_mask_event *now) -> int32_t {
    std::memset(now->mask, 0, now->n_words * 4);
    now->mask[70 / 32] |= 1u << 70 % 32;
    return DS_CONTINUE;
  };
  CHECK(Run(session, kPrompt, masked).ids() == std::vector<uint32_t>{70, 70, 70});
  ds_params edited = params(3);
  edited.on_logits = [](void *, const ds_logits_event *now) -> int32_t {
    now->logits[71 + now->n_ids % 2] = 1e6f;
    return DS_CONTINUE;
  };
  const auto ids = Run(session, kPrompt, edited).ids();
  CHECK(ids.size() == 3);
  for (const uint32_t id : ids) CHECK((id == 71 || id == 72));
  ds_params stopped = params(100);
  stopped.on_text = [](void *, const ds_text_event *) -> int32_t { return DS_STOP; };
  const Run run(session, kPrompt, stopped);
  CHECK(run.status == DS_OK);
  CHECK(run.reason() == DS_FINISH_CALLBACK);
  CHECK(run.ids().size() < 100);
  ds_session_release(session);
}

TEST_CASE("biases, stop ids, stop strings and deadlines end or steer a generation") {
  ds_session *session = new_session();
  ds_params parameters = params(6);
  const ds_logit_bias bias[] = {{80, 1e6f}};
  parameters.logit_bias = bias;
  parameters.n_logit_bias = 1;
  const Run biased(session, kPrompt, parameters);
  CHECK(biased.ids() == std::vector<uint32_t>(6, 80));
  const std::string letter = biased.text().substr(0, 1);
  const ds_text stops[] = {{letter.data(), letter.size()}};
  parameters.stops = stops;
  parameters.n_stops = 1;
  const Run stopped(session, kPrompt, parameters);
  CHECK(stopped.reason() == DS_FINISH_STOP);
  CHECK(stopped.text() == "");
  parameters.n_stops = 0;
  const uint32_t stop_ids[] = {80};
  parameters.stop_ids = stop_ids;
  parameters.n_stop_ids = 1;
  CHECK(Run(session, kPrompt, parameters).reason() == DS_FINISH_STOP);
  parameters = params(1000);
  parameters.deadline_ns = 1;
  CHECK(Run(session, kPrompt, parameters).reason() == DS_FINISH_DEADLINE);
  ds_session_release(session);
}

TEST_CASE("logprobs come in rows of the chosen token and the most likely ones") {
  ds_session *session = new_session();
  ds_params parameters = params(5);
  parameters.n_logprobs = 3;
  const Run run(session, kPrompt, parameters);
  const ds_token_logprob *entries = nullptr;
  uint64_t n = 0;
  uint32_t width = 0;
  REQUIRE(ds_result_logprobs(run.result, 0, &entries, &n, &width, nullptr) == DS_OK);
  CHECK(n == 5);
  REQUIRE(width == 4);
  const auto ids = run.ids();
  for (uint64_t i = 0; i < n; ++i) {
    const ds_token_logprob *row = entries + i * width;
    CHECK(row[0].id == ids[i]);
    CHECK(row[1].id == ids[i]);  // greedy
    CHECK(row[0].logprob == row[1].logprob);
    CHECK(row[1].logprob >= row[2].logprob);
    CHECK(row[2].logprob >= row[3].logprob);
    CHECK(row[0].logprob <= 0);
  }
  ds_session_release(session);
}

TEST_CASE("a job's text by events, by reading and in the result is the same") {
  ds_session *session = new_session();
  const ds_text_input input = text_input(kPrompt);
  ds_params parameters = params(40);
  std::string events, read;
  parameters.on_text = collect;
  parameters.callback_user = &events;
  std::atomic<int> wakes{0};
  ds_job_options options{};
  options.struct_size = sizeof options;
  options.wake = [](void *user) { ++*static_cast<std::atomic<int> *>(user); };
  options.wake_user = &wakes;
  ds_error error = fresh_error();
  ds_job *job = nullptr;
  ds_result *result = nullptr;
  require(ds_job_start(session, &input.head, &parameters, &options, &job, &error), error);
  CHECK(ds_job_take_result(job, &result, &error) == DS_E_PENDING);
  ds_job *second = nullptr;
  CHECK(ds_job_start(session, &input.head, nullptr, nullptr, &second, &error) == DS_E_BUSY);
  uint32_t state = DS_JOB_QUEUED;
  while (state != DS_JOB_DONE) {
    char piece[7];
    uint64_t size = 0, delivered = 0;
    require(ds_process_events(shared().runtime, 1'000'000, &delivered, &error), error);
    require(ds_job_read(job, 0, piece, sizeof piece, &size, &error), error);
    read.append(piece, size);
    require(ds_job_poll(job, &state, &error), error);
  }
  for (uint64_t size = 1; size;) {
    char piece[64];
    require(ds_job_read(job, 0, piece, sizeof piece, &size, &error), error);
    read.append(piece, size);
  }
  require(ds_job_wait(job, UINT64_MAX, &error), error);
  require(ds_job_take_result(job, &result, &error), error);
  ds_result *twice = nullptr;
  CHECK(ds_job_take_result(job, &twice, &error) == DS_E_ARGUMENT);
  ds_text text{};
  require(ds_result_text(result, 0, &text, &error), error);
  CHECK(std::string(text.data, text.size) == events);
  CHECK(events == read);
  CHECK(read.size() > 10);
  CHECK(wakes > 0);
  ds_result_release(result);
  ds_job_release(job);
  ds_session_release(session);
}

TEST_CASE("spontaneous callbacks run on a thread of the library, others never do") {
  for (const bool spontaneous : {false, true}) {
    ds_session *session = new_session();
    const ds_text_input input = text_input(kPrompt);
    ds_params parameters = params(4);
    struct Seen {
      std::thread::id host = std::this_thread::get_id();
      std::atomic<int> here{0}, elsewhere{0};
    } seen;
    parameters.callback_user = &seen;
    parameters.on_text = [](void *user, const ds_text_event *) -> int32_t {
      auto *given = static_cast<Seen *>(user);
      ++(std::this_thread::get_id() == given->host ? given->here : given->elsewhere);
      return DS_CONTINUE;
    };
    ds_job_options options{};
    options.struct_size = sizeof options;
    options.flags = spontaneous ? DS_JOB_SPONTANEOUS : 0;
    ds_error error = fresh_error();
    ds_job *job = nullptr;
    require(ds_job_start(session, &input.head, &parameters, &options, &job, &error), error);
    require(ds_job_wait(job, UINT64_MAX, &error), error);
    CHECK((seen.here > 0) == !spontaneous);
    CHECK((seen.elsewhere > 0) == spontaneous);
    ds_job_release(job);
    ds_session_release(session);
  }
}

TEST_CASE("a batch gives every item what it would get alone, and its own status") {
  const char *prompts[] = {"int a;", "def b():", "c = 1"};
  ds_session *sessions[4] = {new_session(), new_session(), new_session(), new_session()};
  std::vector<std::vector<uint32_t>> alone;
  for (const char *prompt : prompts) alone.push_back(generate(sessions[3], prompt, 10));
  ds_text_input inputs[4];
  ds_batch_item items[4]{};
  const ds_params parameters = params(10);
  for (int i = 0; i < 4; ++i) {
    inputs[i] = text_input(prompts[i % 3]);
    items[i].struct_size = sizeof items[i];
    items[i].session = sessions[i == 3 ? 0 : i];  // the last one is used twice
    items[i].input = &inputs[i].head;
    items[i].parameters = &parameters;
  }
  ds_error error = fresh_error();
  REQUIRE(ds_generate_batch(items, 4, sizeof items[0], &error) == DS_OK);
  for (int i = 0; i < 3; ++i) {
    REQUIRE(items[i].status == DS_OK);
    const uint32_t *ids = nullptr;
    uint64_t n = 0;
    require(ds_result_ids(items[i].result, 0, &ids, &n, &error), error);
    CHECK(std::vector<uint32_t>(ids, ids + n) == alone[i]);
    ds_result_release(items[i].result);
  }
  CHECK(items[3].status == DS_E_BUSY);
  CHECK(items[3].result == nullptr);
  CHECK(ds_generate_batch(items, 4, sizeof items[0] - 8, &error) == DS_E_STRUCT);
  CHECK(ds_generate_batch(nullptr, 4, sizeof items[0], &error) == DS_E_ARGUMENT);
  for (ds_session *session : sessions) ds_session_release(session);
}

TEST_CASE("logits: buffers, views, chunks and rewinding agree") {
  ds_session *session = new_session();
  const std::vector<uint32_t> ids = {0, 65, 66, 67, 68, 69};
  ds_eval_input input{};
  input.struct_size = sizeof input;
  input.want = DS_WANT_ALL;
  input.ids = ids.data();
  input.n_ids = ids.size();
  ds_eval_output output{};
  output.struct_size = sizeof output;
  ds_error error = fresh_error();
  require(ds_session_eval(session, &input, &output, &error), error);
  REQUIRE(output.rows == ids.size());
  const uint64_t vocab = output.vocab;
  const std::vector<float> viewed(output.logits, output.logits + output.rows * vocab);
  for (const float value : viewed) REQUIRE(std::isfinite(value));

  require(ds_session_rewind(session, 0, &error), error);
  std::vector<float> copied(viewed.size());
  input.logits = copied.data();
  input.capacity = copied.size() - 1;
  CHECK(ds_session_eval(session, &input, &output, &error) == DS_E_BUFFER);
  CHECK(error.bytes_needed == copied.size() * sizeof(float));
  input.capacity = copied.size();
  input.chunk = 2;
  input.flags = DS_GEN_NO_REUSE;
  require(ds_session_eval(session, &input, &output, &error), error);
  CHECK(copied == viewed);
  CHECK(output.n_computed == ids.size());

  require(ds_session_rewind(session, ids.size() - 1, &error), error);
  input.ids = &ids.back();
  input.n_ids = 1;
  input.want = DS_WANT_LAST;
  input.logits = nullptr;
  input.flags = 0;
  require(ds_session_eval(session, &input, &output, &error), error);
  CHECK(std::memcmp(output.logits, viewed.data() + (ids.size() - 1) * vocab, vocab * sizeof(float)) == 0);
  CHECK(ds_session_rewind(session, 100, &error) == DS_E_ARGUMENT);
  const uint32_t beyond[] = {0xffffff};
  input.ids = beyond;
  CHECK(ds_session_eval(session, &input, &output, &error) == DS_E_ARGUMENT);
  input.n_ids = 0;
  CHECK(ds_session_eval(session, &input, &output, &error) == DS_E_ARGUMENT);
  ds_session_release(session);
}

TEST_CASE("a suspended session stands still and goes on") {
  ds_session *session = new_session();
  const auto set = [&](int64_t suspended) {
    ds_option option{};
    option.key = "suspended";
    option.value = suspended;
    ds_error error = fresh_error();
    require(ds_session_set(session, &option, 1, &error), error);
  };
  set(1);
  const ds_text_input input = text_input(kPrompt);
  const ds_params parameters = params(4);
  ds_error error = fresh_error();
  ds_job *job = nullptr;
  require(ds_job_start(session, &input.head, &parameters, nullptr, &job, &error), error);
  CHECK(ds_job_wait(job, 200'000'000, &error) == DS_E_TIMEOUT);
  set(0);
  CHECK(ds_job_wait(job, UINT64_C(60'000'000'000), &error) == DS_OK);
  ds_job_release(job);
  ds_session_release(session);
}

TEST_CASE("wrong inputs are refused before anything runs") {
  ds_session *session = new_session();
  ds_error error = fresh_error();
  ds_result *result = nullptr;
  ds_text_input input = text_input(kPrompt);
  CHECK(ds_generate(session, nullptr, nullptr, &result, &error) == DS_E_ARGUMENT);
  CHECK(ds_generate(session, &input.head, nullptr, nullptr, &error) == DS_E_ARGUMENT);
  input.head.tag = 77;
  CHECK(ds_generate(session, &input.head, nullptr, &result, &error) == DS_E_ARGUMENT);
  input = text_input(kPrompt);
  input.head.struct_size = 8;
  CHECK(ds_generate(session, &input.head, nullptr, &result, &error) == DS_E_STRUCT);
  ds_tokens_input tokens{};
  tokens.head.struct_size = sizeof tokens;
  tokens.head.tag = DS_INPUT_TOKENS;
  const uint32_t beyond[] = {1u << 30};
  tokens.ids = beyond;
  tokens.n_ids = 1;
  CHECK(ds_generate(session, &tokens.head, nullptr, &result, &error) == DS_E_ARGUMENT);
  const std::vector<uint32_t> many(3000, 65);
  tokens.ids = many.data();
  tokens.n_ids = many.size();
  CHECK(ds_generate(session, &tokens.head, nullptr, &result, &error) == DS_E_CONTEXT_FULL);
  CHECK(result == nullptr);
  CHECK(generate(session, kPrompt, kTokens) == expected());
  ds_session_release(session);
}

TEST_CASE("a wait is over when the wake has returned, a result is there before") {
  struct Bell {
    std::atomic<bool> seen_done{false}, held{false}, open{false}, freed{false};
  } bell;
  ds_session *session = new_session();
  ds_job_options options{};
  options.struct_size = sizeof options;
  options.wake_user = &bell;
  options.wake = [](void *user) {  // a slow one: the last is still there when the end was seen
    auto *self = static_cast<Bell *>(user);
    for (int i = 0; i < 200 && !self->seen_done; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    self->held = self->seen_done.load();
    while (self->held && !self->open) std::this_thread::yield();
  };
  options.wake_free = [](void *user) { static_cast<Bell *>(user)->freed = true; };
  ds_error error = fresh_error();
  ds_job *job = nullptr;
  ds_result *result = nullptr;
  const ds_text_input input = text_input(kPrompt);
  ds_params prefill = params(0);
  prefill.flags |= DS_GEN_PREFILL_ONLY;  // no text: its end is all there is to tell
  require(ds_job_start(session, &input.head, &prefill, &options, &job, &error), error);
  for (uint32_t state = 0; state != DS_JOB_DONE; std::this_thread::yield())
    require(ds_job_poll(job, &state, &error), error);
  bell.seen_done = true;
  while (!bell.held) std::this_thread::yield();
  CHECK(ds_job_wait(job, 0, &error) == DS_E_TIMEOUT);
  CHECK(ds_job_wait(job, 1'000'000, &error) == DS_E_TIMEOUT);
  CHECK(ds_job_take_result(job, &result, &error) == DS_OK);
  CHECK_FALSE(bell.freed);
  bell.open = true;
  CHECK(ds_job_wait(job, UINT64_MAX, &error) == DS_OK);
  CHECK(bell.freed);
  CHECK(ds_job_wait(job, 0, &error) == DS_OK);
  ds_result_release(result);
  ds_job_release(job);
  ds_session_release(session);
}
