// One request at a time: ends, stops, choices, seeds, logprobs, usage.
#include "unit/base/temporary_folder.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

TEST_CASE("a generation is the same every time, and the session holds prompt and text") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto one = session::session(model);
  const auto ids = some_ids(20);
  const auto first = generate(one, ids, greedy(10));
  CHECK(first->choices[0].ids.size() == 10);
  CHECK(first->choices[0].finish == Finish::kLength);
  auto all = ids;
  all.insert(all.end(), first->choices[0].ids.begin(), first->choices[0].ids.end());
  CHECK(one->tokens() == all);
  CHECK(fact(first->facts, "usage.prompt_tokens") == 20);
  CHECK(fact(first->facts, "usage.cached_tokens") == 0);
  CHECK(fact(first->facts, "usage.completion_tokens") == 10);
  const auto second = generate(one, ids, greedy(10));
  CHECK(second->choices[0].ids == first->choices[0].ids);
  CHECK(fact(second->facts, "usage.cached_tokens") == 19);
}

TEST_CASE("requests that cannot work are refused before any work") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto one = session::session(model);
  auto refused = [&](std::vector<uint32_t> ids, GenerateOptions options) {
    return one->start(prompt_of(std::move(ids)), std::move(options)).status().code();
  };
  CHECK(refused({}, greedy(1)) == DS_E_ARGUMENT);
  CHECK(refused({model->vocab()}, greedy(1)) == DS_E_ARGUMENT);
  CHECK(refused(some_ids(512), greedy(1)) == DS_E_CONTEXT_FULL);
  GenerateOptions many = greedy(1);
  many.n_choices = 65;
  CHECK(refused({5}, many) == DS_E_ARGUMENT);
  GenerateOptions stops = greedy(1);
  stops.stops = {"x"};
  CHECK(refused({5}, stops) == DS_E_UNSUPPORTED);  // this checkpoint has no tokenizer
  GenerateOptions hot = greedy(1);
  hot.sampling.temperature = -1;
  CHECK(refused({5}, hot) == DS_E_ARGUMENT);
  CHECK(generate(one, {5}, greedy(1))->choices[0].ids.size() == 1);  // none of them left the session busy
}

TEST_CASE("the end of the context ends the text") {
  Rig rig;
  const auto model = rig.open("lite");
  SessionSettings settings;
  settings.context_length = 24;
  const auto result = generate(session::session(model, settings), some_ids(20), greedy(0));
  CHECK(result->choices[0].finish == Finish::kContext);
  CHECK(result->choices[0].ids.size() == 4);
}

TEST_CASE("stop ids end the text and are not part of it") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto plain = generate(session::session(model), some_ids(20), greedy(10));
  const auto &text = plain->choices[0].ids;
  GenerateOptions options = greedy(10);
  options.stop_ids = {text[4]};
  const auto stopped = generate(session::session(model), some_ids(20), options);
  CHECK(stopped->choices[0].finish == Finish::kStop);
  const auto until = static_cast<size_t>(std::find(text.begin(), text.end(), text[4]) - text.begin());
  CHECK(stopped->choices[0].ids.size() == until);
  Prompt prompt = prompt_of(some_ids(20));
  prompt.stop_ids = {text[4]};
  GenerateOptions end = greedy(10);
  end.ignore_end = false;
  const auto ended = finish(must(session::session(model)->start(prompt, end)));
  CHECK(ended->choices[0].finish == Finish::kEnd);
}

TEST_CASE("choices share the prompt, draw apart, and equal single requests of their stream") {
  Rig rig;
  const auto model = rig.open("lite");
  GenerateOptions options = greedy(12);
  options.sampling.temperature = 1.5f;
  options.sampling.seed = 7;
  options.n_choices = 3;
  const auto three = generate(session::session(model), some_ids(20), options);
  REQUIRE(three->choices.size() == 3);
  CHECK(fact(three->facts, "usage.completion_tokens") == 36);
  CHECK(three->choices[0].ids != three->choices[1].ids);
  CHECK(three->choices[1].ids != three->choices[2].ids);
  options.n_choices = 1;
  const auto single = generate(session::session(model), some_ids(20), options);
  CHECK(single->choices[0].ids == three->choices[0].ids);
  options.n_choices = 3;
  const auto again = generate(session::session(model), some_ids(20), options);
  for (int i = 0; i < 3; ++i) CHECK(again->choices[i].ids == three->choices[i].ids);
}

TEST_CASE("other seeds draw other texts; a random seed is told") {
  Rig rig;
  const auto model = rig.open("lite");
  GenerateOptions options = greedy(16);
  options.sampling.temperature = 1.5f;
  const auto a = generate(session::session(model), some_ids(20), options);
  options.sampling.seed = 1;
  const auto b = generate(session::session(model), some_ids(20), options);
  CHECK(a->choices[0].ids != b->choices[0].ids);
  options.sampling.random_seed = true;
  const auto c = generate(session::session(model), some_ids(20), options);
  options.sampling.random_seed = false;
  options.sampling.seed = fact(c->facts, "seed");
  const auto d = generate(session::session(model), some_ids(20), options);
  CHECK(c->choices[0].ids == d->choices[0].ids);
}

TEST_CASE("logprobs: the chosen token, then the best ones in order") {
  Rig rig;
  const auto model = rig.open("lite");
  GenerateOptions options = greedy(6);
  options.n_logprobs = 4;
  const auto result = generate(session::session(model), some_ids(20), options);
  CHECK(result->logprob_width == 5);
  const auto &entries = result->choices[0].logprobs;
  REQUIRE(entries.size() == 30);
  for (size_t row = 0; row < 6; ++row) {
    CHECK(entries[row * 5].id == result->choices[0].ids[row]);
    CHECK(entries[row * 5].id == entries[row * 5 + 1].id);  // greedy takes the best
    for (size_t i = 1; i < 4; ++i) CHECK(entries[row * 5 + i].logprob >= entries[row * 5 + i + 1].logprob);
    CHECK(entries[row * 5].logprob <= 0);
  }
}

TEST_CASE("penalties look at the prompt too") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto plain = generate(session::session(model), some_ids(20), greedy(1));
  auto with = some_ids(20);
  with[3] = plain->choices[0].ids[0];
  GenerateOptions options = greedy(1);
  options.sampling.presence_penalty = 100;
  const auto base = generate(session::session(model), with, greedy(1));
  with[3] = base->choices[0].ids[0];
  const auto fixed = generate(session::session(model), with, greedy(1));
  if (std::find(with.begin(), with.end(), fixed->choices[0].ids[0]) != with.end()) {
    const auto penal = generate(session::session(model), with, options);
    CHECK(penal->choices[0].ids[0] != fixed->choices[0].ids[0]);
  }
  const auto never = generate(session::session(model), with, options);
  CHECK(std::find(with.begin(), with.end(), never->choices[0].ids[0]) == with.end());
}

TEST_CASE("a prefill computes and caches the prompt and generates nothing") {
  Rig rig;
  const auto model = rig.open("lite");
  GenerateOptions options;
  options.prefill_only = true;
  const auto warm = generate(session::session(model), some_ids(100), options);
  CHECK(warm->choices[0].finish == Finish::kPrefill);
  CHECK(warm->choices[0].ids.empty());
  CHECK(fact(warm->facts, "usage.computed_tokens") == 100);
  const auto again = generate(session::session(model), some_ids(100), options);
  CHECK(fact(again->facts, "usage.computed_tokens") == 0);
  const auto result = generate(session::session(model), some_ids(100), greedy(1));
  CHECK(fact(result->facts, "usage.computed_tokens") == 1);
}

TEST_CASE("a request that asks for the model's defaults ends after as many tokens as those say") {
  Rig rig;
  const TemporaryFolder folder;
  std::filesystem::copy(std::string(DS_TINY_DIR) + "/lite", folder.path(), std::filesystem::copy_options::recursive);
  folder.write("generation_config.json", R"({"max_new_tokens":5,"do_sample":false})");
  OpenOptions options = Rig::tiny("lite");
  options.source.path = folder.path();
  const auto model = rig.open(options);
  const auto n_tokens = [&](GenerateOptions asked) {
    return generate(session::session(model), some_ids(8), std::move(asked))->choices[0].ids.size();
  };
  GenerateOptions asked = greedy(0);
  asked.sampling.model_defaults = true;
  CHECK(n_tokens(asked) == 5);
  asked.max_tokens = 7;
  CHECK(n_tokens(asked) == 7);
  CHECK(n_tokens(greedy(0)) == 512 - 8);
}
