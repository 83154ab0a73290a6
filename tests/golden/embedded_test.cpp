// The model that ships, on one backend: its logits are those that transformers and the oracle agreed on.
//
// models/train/make_golden.py wrote the records from the weights that the packed file multiplies with, so that rounding
// to four and eight bits is no part of the difference. ref multiplies such blocks in float32. onednn rounds activations
// to eight bits where weights are blocks; with the same weights stored as f32 it does not, and both are judged.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "golden/backend.h"
#include "golden/compare.h"
#include "golden/npz.h"
#include "model/pack.h"
#include "unit/base/temporary_folder.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;
using golden::Record;

namespace {

constexpr double kMaxKlMedianInt8 = 0.03;  // tests/oracle/README.md

const char *const kPrompts[] = {"c", "python", "fim"};

Record record_of(const std::string &prompt) {
  return golden::read_npz(std::string(DS_EMBEDDED_GOLDEN_DIR) + "/" + prompt + ".npz");
}

OpenOptions options_of(const std::string &path) {
  OpenOptions options;
  options.source.path = path;
  options.deterministic = true;
  options.context_length = 1024;
  return options;
}

struct Judged {
  double max_abs = 0;
  std::vector<double> kl;  // a row: over the recorded best tokens and, as one more, all others; at most the whole KL
};

// What a row keeps for all tokens but the recorded ones.
double rest_of(const std::vector<double> &log_p) {
  double rest = 1;
  for (double p : log_p) rest -= std::exp(p);
  return std::max(rest, 1e-12);
}

void judge_row(const Record &record, size_t row, std::span<const float> ours, Judged *judged) {
  const auto columns = record.at("columns").ints(), top = record.at("top_ids").ints();
  const auto logits = record.at("logits").floats(), best = record.at("top_logits").floats();
  const auto logprobs = record.at("top_logprobs").floats();
  for (size_t i = 0; i < columns.size(); ++i) {
    const double abs = std::fabs(double{logits[row * columns.size() + i]} - ours[static_cast<size_t>(columns[i])]);
    judged->max_abs = abs <= 1e30 ? std::max(judged->max_abs, abs) : HUGE_VAL;
  }
  const size_t n = top.size() / record.at("ids").size();
  const auto our_row = golden::log_softmax(ours);
  std::vector<double> p, q;
  for (size_t i = row * n; i < (row + 1) * n; ++i) {
    p.push_back(logprobs[i]);
    q.push_back(our_row[static_cast<size_t>(top[i])]);
    judged->max_abs = std::max(judged->max_abs, std::fabs(double{best[i]} - ours[static_cast<size_t>(top[i])]));
  }
  double kl = rest_of(p) * std::log(rest_of(p) / rest_of(q));
  for (size_t i = 0; i < n; ++i) kl += std::exp(p[i]) * (p[i] - q[i]);
  judged->kl.push_back(kl);
}

Judged judge(const std::shared_ptr<Model> &model, const Record &record) {
  const auto ids = record.at("ids").ints();
  const std::vector<float> logits = eval_all(model, {ids.begin(), ids.end()}, 0);
  Judged judged;
  for (size_t row = 0; row < ids.size(); ++row)
    judge_row(record, row, std::span(logits).subspan(row * model->vocab(), model->vocab()), &judged);
  std::sort(judged.kl.begin(), judged.kl.end());
  return judged;
}

void check_float32(const Judged &judged) {
  CHECK(judged.max_abs <= golden::kMaxAbs);
  CHECK(judged.kl.back() <= golden::kMaxKl);
}

}  // namespace

TEST_CASE("the records are of the model that ships, and transformers agreed") {
  Rig rig({}, golden::backend_root());
  const auto model = rig.open(options_of(DS_EMBEDDED_MODEL));
  for (const std::string prompt : kPrompts) {
    CAPTURE(prompt);
    const Record record = record_of(prompt);
    const auto fingerprint = record.at("fingerprint").ints();
    const auto &ours = model->identity().model_fingerprint;
    REQUIRE(fingerprint.size() == ours.size());
    CHECK(std::equal(ours.begin(), ours.end(), fingerprint.begin()));
    CHECK(record.at("transformers_max_abs").floats()[0] <= golden::kMaxAbs);
  }
}

TEST_CASE("logits as the file stores the weights") {
  Rig rig({}, golden::backend_root());
  const auto model = rig.open(options_of(DS_EMBEDDED_MODEL));
  for (const std::string prompt : kPrompts) {
    CAPTURE(prompt);
    const Judged judged = judge(model, record_of(prompt));
    CAPTURE(judged.max_abs);
    if (model->plan().backend == "ref")
      check_float32(judged);
    else
      CHECK(judged.kl[judged.kl.size() / 2] <= kMaxKlMedianInt8);
  }
}

#if defined(DS_GOLDEN_ONEDNN)  // ref computes that already
TEST_CASE("logits with the same weights as f32") {
  TemporaryFolder folder;
  const std::string path = folder / "f32.dsm";
  model::PackOptions options;
  options.type = model::PackType::kF32;
  DS_REQUIRE_OK(model::pack_model(must(open_model_files(DS_EMBEDDED_MODEL, MapMode::kAuto)), path, options));
  Rig rig({}, golden::backend_root());
  const auto model = rig.open(options_of(path));
  for (const std::string prompt : kPrompts) {
    CAPTURE(prompt);
    const Judged judged = judge(model, record_of(prompt));
    CAPTURE(judged.max_abs);
    check_float32(judged);
  }
}
#endif
