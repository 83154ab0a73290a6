// The oracle's adapter through the library, and steps that it shares with others and with none.
#include "session/adapter.h"

#include <doctest/doctest.h>

#include "golden/backend.h"
#include "golden/compare.h"
#include "golden/npz.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

namespace {

std::shared_ptr<Adapter> load(const std::shared_ptr<Model> &model) {
  ModelSource source;
  source.path = std::string(DS_TINY_DIR) + "/lite-lora";
  return must(Adapter::load(model, source));
}

std::vector<uint32_t> ids_of(const golden::Array &array) {
  const auto ids = array.ints();
  return {ids.begin(), ids.end()};
}

std::vector<float> logits_of(const std::shared_ptr<Model> &model, const std::vector<uint32_t> &ids, uint32_t chunk) {
  std::vector<float> logits(ids.size() * model->vocab());
  EvalRequest request;
  request.ids = ids;
  request.want = Want::kAll;
  request.chunk = chunk;
  request.no_reuse = true;
  request.logits = logits.data();
  request.capacity = logits.size();
  request.adapter = load(model);
  must(session::session(model)->eval(request));
  return logits;
}

}  // namespace

TEST_CASE("logits and greedy text with the oracle's adapter are the oracle's") {
  Rig rig({}, golden::backend_root());
  for (const bool deterministic : {true, false}) {
    OpenOptions options = Rig::tiny("lite");
    options.deterministic = deterministic;
    const auto model = rig.open(options);
    for (const char *length : {"001", "007", "064", "300"}) {
      CAPTURE(length);
      CAPTURE(deterministic);
      const auto record = golden::read_npz(std::string(DS_GOLDEN_DIR) + "/lite-lora-" + length + ".npz");
      const auto ids = ids_of(record.at("ids"));
      const auto positions = record.at("positions").ints();
      const auto reference = record.at("logits").floats();
      const size_t vocab = model->vocab();
      for (const uint32_t chunk : {0u, 5u}) {
        const auto logits = logits_of(model, ids, chunk);
        for (size_t p = 0; p < positions.size(); ++p) {
          const auto d = golden::compare(std::span(reference).subspan(p * vocab, vocab),
                                         std::span(logits).subspan(static_cast<size_t>(positions[p]) * vocab, vocab));
          CHECK(d.max_abs <= golden::kMaxAbs);
          CHECK(d.kl <= golden::kMaxKl);
        }
      }
      GenerateOptions how = greedy(32);
      how.adapter = load(model);
      CHECK(generate(session::session(model), ids, how)->choices[0].ids == ids_of(record.at("generated")));
    }
  }
}

TEST_CASE("rows in shared steps, with the adapter and without, have the bits that they have alone") {
  Rig rig({}, golden::backend_root());
  const auto model = rig.open("lite");
  const auto adapter = load(model);
  const auto start = [&](uint32_t i) {
    GenerateOptions how = greedy(40);
    how.adapter = i % 2 ? adapter : nullptr;
    how.no_reuse = how.no_store = true;
    how.n_logprobs = 5;
    return must(session::session(model)->start(prompt_of(some_ids(200 + 30 * i, i + 1)), how));
  };
  const auto numbers = [](const std::shared_ptr<Job> &job) {
    std::vector<float> values;
    const auto result = finish(job);
    for (const TokenLogprob &entry : result->choices[0].logprobs) values.push_back(entry.logprob);
    return values;
  };
  std::vector<std::vector<float>> alone;
  for (uint32_t i = 0; i < 6; ++i) alone.push_back(numbers(start(i)));
  std::vector<std::shared_ptr<Job>> jobs;
  for (uint32_t i = 0; i < 6; ++i) jobs.push_back(start(i));
  wait_all(jobs);
  CHECK(model->engine()->facts().shared_steps > 20);
  for (uint32_t i = 0; i < 6; ++i) {
    CAPTURE(i);
    CHECK(numbers(jobs[i]) == alone[i]);
  }
}
