// The prefix cache in use: a hit never changes the output, nobody computes what another one is computing.
#include <random>

#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

namespace {

std::vector<float> last_logits(const std::shared_ptr<Session> &session, const std::vector<uint32_t> &ids,
                               EvalRequest request = {}) {
  DS_REQUIRE_OK(session->rewind(0));
  request.ids = ids;
  const EvalResult result = must(session->eval(request));
  return {result.logits, result.logits + result.vocab};
}

}  // namespace

TEST_CASE("cache on equals cache off, bit for bit, over random edits") {
  Rig rig;
  OpenOptions with = Rig::tiny("lite"), without = Rig::tiny("lite");
  with.block_tokens = without.block_tokens = 8;
  with.context_length = without.context_length = 128;
  without.no_cache = true;
  const auto on = rig.open(with), off = rig.open(without);
  const auto a = session::session(on), b = session::session(off);
  std::mt19937 random(20261122);
  std::vector<uint32_t> ids = some_ids(60);
  for (int round = 0; round < 40; ++round) {
    CAPTURE(round);
    const size_t at = random() % (ids.size() + 1);
    switch (random() % 4) {
      case 0:
        ids.resize(std::max<size_t>(at, 1));
        break;
      case 1:
        ids.insert(ids.begin() + static_cast<ptrdiff_t>(at), 2 + random() % 40);
        break;
      case 2:
        ids[std::min(at, ids.size() - 1)] = 2 + random() % 40;
        break;
      default:
        for (int i = 0; i < 10; ++i) ids.push_back(2 + random() % 40);
    }
    if (ids.size() > 120) ids.resize(40);
    REQUIRE(last_logits(a, ids) == last_logits(b, ids));
    REQUIRE(on->store()->check().ok());
  }
  CHECK(on->store()->stats().hit_tokens > 500);
  CHECK(off->store()->stats().hit_tokens == 0);
}

TEST_CASE("a second session waits for a prefix that is being computed instead of computing it too") {
  Rig rig;
  OpenOptions options = Rig::tiny("lite");
  options.max_rows = 32;
  const auto model = rig.open(options);
  const auto prefix = some_ids(400);
  std::vector<std::shared_ptr<Session>> sessions;
  std::vector<std::shared_ptr<Job>> jobs;
  for (uint32_t i = 0; i < 3; ++i) {
    auto ids = prefix;
    ids.push_back(10 + i);
    sessions.push_back(session::session(model));
    jobs.push_back(must(sessions.back()->start(prompt_of(ids), greedy(2))));
  }
  wait_all(jobs);
  uint64_t computed = 0;
  for (const auto &job : jobs) computed += fact(finish(job)->facts, "usage.computed_tokens");
  CHECK(computed < 400 + 3 * 70);
}

TEST_CASE("salts do not see each other, and erasing one leaves the other") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto ids = some_ids(100);
  auto cached = [&](const std::string &salt) {
    GenerateOptions how = greedy(1);
    how.salt = salt;
    return fact(generate(session::session(model), ids, how)->facts, "usage.cached_tokens");
  };
  CHECK(cached("a") == 0);
  CHECK(cached("b") == 0);
  CHECK(cached("") == 0);
  CHECK(cached("a") == 99);
  model->cache()->erase("a");
  CHECK(cached("a") == 0);
  CHECK(cached("b") == 99);
}

TEST_CASE("no_store leaves nothing behind, no_reuse takes nothing") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto ids = some_ids(100);
  GenerateOptions secret = greedy(3);
  secret.no_store = true;
  secret.n_choices = 2;
  const auto first = generate(session::session(model), ids, secret);
  CHECK(model->store()->stats().blocks_used == 0);
  const auto plain = generate(session::session(model), ids, greedy(3));
  CHECK(fact(plain->facts, "usage.cached_tokens") == 0);
  CHECK(plain->choices[0].ids == first->choices[0].ids);
  GenerateOptions fresh = greedy(3);
  fresh.no_reuse = true;
  const auto again = generate(session::session(model), ids, fresh);
  CHECK(fact(again->facts, "usage.cached_tokens") == 0);
  CHECK(again->choices[0].ids == plain->choices[0].ids);
}

TEST_CASE("a conversation that goes on computes only what is new") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto one = session::session(model);
  const auto first = generate(one, some_ids(90), greedy(20));
  auto ids = one->tokens();
  for (uint32_t id : some_ids(15, 4)) ids.push_back(id);
  const auto second = generate(one, ids, greedy(5));
  CHECK(fact(second->facts, "usage.cached_tokens") == 109);
  CHECK(fact(second->facts, "usage.computed_tokens") == 16 + 4);
}
