// Logits on demand: sizes, rewinding, failures that append nothing.
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

TEST_CASE("eval appends, rewind shortens, and logits do not depend on the way") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto ids = some_ids(70);
  const auto whole = eval_all(model, ids, 0);
  const auto one = session::session(model);
  auto last = [&](std::span<const uint32_t> given) {
    EvalRequest request;
    request.ids = given;
    const EvalResult result = must(one->eval(request));
    REQUIRE(result.rows == 1);
    return std::vector<float>(result.logits, result.logits + result.vocab);
  };
  auto row = [&](size_t i) {
    return std::vector<float>(whole.begin() + static_cast<ptrdiff_t>(i * model->vocab()),
                              whole.begin() + static_cast<ptrdiff_t>((i + 1) * model->vocab()));
  };
  CHECK(last(std::span(ids).first(30)) == row(29));
  CHECK(last(some_ids(20, 9)) != row(49));
  CHECK(one->length() == 50);
  DS_REQUIRE_OK(one->rewind(30));
  CHECK(last(std::span(ids).subspan(30)) == row(69));
  CHECK(one->rewind(71).code() == DS_E_ARGUMENT);
  DS_REQUIRE_OK(one->rewind(0));
  CHECK(last(std::span(ids).first(1)) == row(0));
}

TEST_CASE("all rows into the session's own buffer, none at all, more rows than a step has logits") {
  Rig rig;
  OpenOptions options = Rig::tiny("lite");
  options.max_rows = 16;
  const auto model = rig.open(options);
  const auto ids = some_ids(100);
  const auto one = session::session(model);
  EvalRequest request;
  request.ids = ids;
  request.want = Want::kAll;
  const EvalResult all = must(one->eval(request));
  CHECK(all.rows == 100);
  CHECK(all.n_computed == 100);
  const auto copy = std::vector<float>(all.logits, all.logits + all.rows * all.vocab);
  CHECK(copy == eval_all(model, ids, 7));
  request.want = Want::kNone;
  const EvalResult none = must(session::session(model)->eval(request));
  CHECK(none.rows == 0);
  CHECK(none.logits == nullptr);
  CHECK(none.n_computed == 0);
}

TEST_CASE("a buffer that is too small is told before anything is computed") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto one = session::session(model);
  const auto ids = some_ids(4);
  float small[8];
  EvalRequest request;
  request.ids = ids;
  request.logits = small;
  request.capacity = 8;
  const Status status = one->eval(request).status();
  CHECK(status.code() == DS_E_BUFFER);
  REQUIRE(status.failure());
  CHECK(status.failure()->bytes_needed == model->vocab() * 4);
  CHECK(one->length() == 0);
}

TEST_CASE("a full context, a foreign token, no tokens: refused, nothing appended") {
  Rig rig;
  const auto model = rig.open("lite");
  SessionSettings settings;
  settings.context_length = 10;
  const auto one = session::session(model, settings);
  const auto ids = some_ids(10);
  EvalRequest request;
  CHECK(one->eval(request).status().code() == DS_E_ARGUMENT);
  request.ids = ids;
  must(one->eval(request));
  request.ids = std::span(ids).first(1);
  CHECK(one->eval(request).status().code() == DS_E_CONTEXT_FULL);
  DS_REQUIRE_OK(one->rewind(5));
  const std::vector<uint32_t> foreign{model->vocab()};
  request.ids = foreign;
  CHECK(one->eval(request).status().code() == DS_E_ARGUMENT);
  CHECK(one->length() == 5);
}

TEST_CASE("a cancelled eval appends nothing and the next one works") {
  Rig rig;
  const auto model = rig.open("lite");
  const auto one = session::session(model);
  auto word = std::make_shared<CancelWord>();
  word->set();
  const auto ids = some_ids(50);
  EvalRequest request;
  request.ids = ids;
  request.cancel = word;
  CHECK(one->eval(request).status().code() == DS_E_CANCELLED);
  CHECK(one->length() == 0);
  request.cancel = nullptr;
  CHECK(must(one->eval(request)).rows == 1);
}
