// Every oracle variant through the library: logits, greedy text, chunking, incremental decode, cache, batches.
//
// The backend is that of backend.h. Limits are the oracle's for float32; equality of bits is asked for wherever the
// deterministic mode promises it.
#include <doctest/doctest.h>

#include <cstdlib>

#include "golden/backend.h"
#include "golden/compare.h"
#include "golden/npz.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;
using golden::Record;

namespace {

// A sanitizer judges memory, not numbers: there, one variant of each architecture, gate and width, but in `./check
// full`.
std::vector<std::string> variants() {
#if defined(__SANITIZE_ADDRESS__)
  if (!std::getenv("DS_TEST_FULL")) return {"lite", "lite-wide", "v2", "v3"};
#endif
  return {"lite",        "lite-rope", "lite-dense", "lite-dense0", "lite-dense2", "lite-tied",
          "lite-shards", "lite-wide", "v2",         "v3",          "v3-bf16",     "v3-true"};
}
const std::vector<std::string> kVariants = variants();
const std::vector<std::string> kLengths = {"001", "007", "064", "300"};

Record record_of(const std::string &variant, const std::string &length) {
  return golden::read_npz(std::string(DS_GOLDEN_DIR) + "/" + variant + "-" + length + ".npz");
}

std::vector<uint32_t> ids_of(const golden::Array &array) {
  const auto ids = array.ints();
  return {ids.begin(), ids.end()};
}

void check_logits(const std::vector<float> &logits, const Record &record, uint32_t vocab) {
  const auto positions = record.at("positions").ints();
  const auto reference = record.at("logits").floats();
  golden::Difference worst;
  for (size_t p = 0; p < positions.size(); ++p) {
    const auto d = golden::compare(std::span(reference).subspan(p * vocab, vocab),
                                   std::span(logits).subspan(static_cast<size_t>(positions[p]) * vocab, vocab));
    worst.max_abs = std::max(worst.max_abs, d.max_abs);
    worst.kl = std::max(worst.kl, d.kl);
  }
  CHECK(worst.max_abs <= golden::kMaxAbs);
  CHECK(worst.kl <= golden::kMaxKl);
}

}  // namespace

TEST_CASE("logits of every variant are the oracle's") {
  Rig rig({}, golden::backend_root());
  for (const std::string &variant : kVariants) {
    const auto model = rig.open(variant);
    for (const std::string &length : kLengths) {
      CAPTURE(variant);
      CAPTURE(length);
      const Record record = record_of(variant, length);
      check_logits(eval_all(model, ids_of(record.at("ids")), 0), record, model->vocab());
    }
  }
}

TEST_CASE("greedy text of every variant is the oracle's") {
  Rig rig({}, golden::backend_root());
  for (const std::string &variant : kVariants) {
    const auto model = rig.open(variant);
    for (const std::string &length : kLengths) {
      CAPTURE(variant);
      CAPTURE(length);
      const Record record = record_of(variant, length);
      const auto result = generate(session::session(model), ids_of(record.at("ids")), greedy(32));
      CHECK(result->choices[0].ids == ids_of(record.at("generated")));
      CHECK(result->choices[0].finish == Finish::kLength);
    }
  }
}

TEST_CASE("chunks of 1, 3, 17 rows and the whole prompt give the same bits") {
  Rig rig({}, golden::backend_root());
  for (const std::string &variant : kVariants) {
    CAPTURE(variant);
    const auto model = rig.open(variant);
    const auto ids = ids_of(record_of(variant, "064").at("ids"));
    const auto whole = eval_all(model, ids, 0);
    for (const uint32_t chunk : {1u, 3u, 17u}) {
      CAPTURE(chunk);
      CHECK(eval_all(model, ids, chunk) == whole);
    }
  }
}

TEST_CASE("without the deterministic mode chunks and single tokens stay within the oracle's limits") {
  Rig rig({}, golden::backend_root());
  for (const std::string &variant : kVariants) {
    CAPTURE(variant);
    OpenOptions options = Rig::tiny(variant);
    options.deterministic = false;
    const auto model = rig.open(options);
    const Record record = record_of(variant, "064"), longer = record_of(variant, "300");
    for (const uint32_t chunk : {0u, 1u, 3u, 17u}) {
      CAPTURE(chunk);
      check_logits(eval_all(model, ids_of(record.at("ids")), chunk), record, model->vocab());
    }
    check_logits(eval_all(model, ids_of(longer.at("ids")), 0), longer, model->vocab());
    const auto result = generate(session::session(model), ids_of(longer.at("ids")), greedy(32));
    CHECK(result->choices[0].ids == ids_of(longer.at("generated")));
  }
}

TEST_CASE("one token at a time gives the bits of the whole prompt, and so does a cached prefix") {
  Rig rig({}, golden::backend_root());
  for (const std::string &variant : kVariants) {
    CAPTURE(variant);
    const auto model = rig.open(variant);
    const auto ids = ids_of(record_of(variant, "064").at("ids"));
    const auto whole = eval_all(model, ids, 0);
    const auto one = session::session(model);
    std::vector<float> row(model->vocab());
    for (size_t i = 0; i < ids.size(); ++i) {
      EvalRequest request;
      request.ids = std::span(ids).subspan(i, 1);
      request.logits = row.data();
      request.capacity = row.size();
      must(one->eval(request));
      REQUIRE(std::equal(row.begin(), row.end(), whole.begin() + static_cast<ptrdiff_t>(i * row.size())));
    }
    // Everything is cached by now: only the last row of each prefix is computed.
    for (const size_t n : {1u, 5u, 63u, 64u}) {
      CAPTURE(n);
      EvalRequest request;
      request.ids = std::span(ids).first(n);
      request.logits = row.data();
      request.capacity = row.size();
      const EvalResult result = must(session::session(model)->eval(request));
      CHECK(result.n_computed == 1);
      CHECK(std::equal(row.begin(), row.end(), whole.begin() + static_cast<ptrdiff_t>((n - 1) * row.size())));
    }
  }
}

TEST_CASE("any mix of sequences in a step gives each the bits it has alone") {
  Rig rig({}, golden::backend_root());
  for (const std::string &variant : kVariants) {
    CAPTURE(variant);
    OpenOptions options = Rig::tiny(variant);
    options.max_rows = 24;
    options.no_cache = true;
    const auto model = rig.open(options);
    std::vector<std::vector<uint32_t>> prompts, alone;
    for (uint32_t i = 0; i < 6; ++i) prompts.push_back(some_ids(5 + 13 * i, i + 1));
    GenerateOptions how = greedy(12);
    how.n_logprobs = 3;
    std::vector<std::vector<TokenLogprob>> logprobs;
    for (const auto &prompt : prompts) {
      const auto result = generate(session::session(model), prompt, how);
      alone.push_back(result->choices[0].ids);
      logprobs.push_back(result->choices[0].logprobs);
    }
    const uint64_t shared_before = model->engine()->facts().shared_steps;
    std::vector<std::shared_ptr<Job>> jobs;
    std::vector<std::shared_ptr<Session>> sessions;
    for (const auto &prompt : prompts) {
      sessions.push_back(session::session(model));
      jobs.push_back(must(sessions.back()->start(prompt_of(prompt), how)));
    }
    wait_all(jobs);
    for (size_t i = 0; i < jobs.size(); ++i) {
      const auto result = finish(jobs[i]);
      CHECK(result->choices[0].ids == alone[i]);
      REQUIRE(result->choices[0].logprobs.size() == logprobs[i].size());
      for (size_t j = 0; j < logprobs[i].size(); ++j) {
        CHECK(result->choices[0].logprobs[j].id == logprobs[i][j].id);
        CHECK(result->choices[0].logprobs[j].logprob == logprobs[i][j].logprob);
      }
    }
    CHECK(model->engine()->facts().shared_steps > shared_before);
  }
}
