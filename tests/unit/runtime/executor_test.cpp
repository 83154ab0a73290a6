#include "runtime/executor.h"

#include <doctest/doctest.h>

#include "unit/runtime/mock_model.h"

namespace deepseam::runtime {
namespace {

using test::Mock;
using test::Step;

constexpr uint32_t kRows = 8;

PlanOptions options_for(uint32_t max_logit_rows) {
  PlanOptions options;
  options.max_rows = kRows;
  options.max_logit_rows = max_logit_rows;
  return options;
}

// Two segments on two backends; the second adds 3 per weight byte of 1 to what the first made of the tokens.
struct TwoSegments {
  Mock front{"front", 1}, back{"back", 1};
  std::shared_ptr<Program> first = test::make_program(test::open_mock(front), true, 0, options_for(kRows));
  std::shared_ptr<Program> second = test::make_program(test::open_mock(back), false, 1, options_for(1));
  std::shared_ptr<Executor> executor =
      Executor::create({first, second}, kRows, 2, static_cast<uint32_t>(test::kHidden)).value();
  float bias = 4 * 4 + 8 * 4 * 2;  // bytes of final_norm and lm_head, each 1
};

TEST_CASE("one segment: a run is the program's own step") {
  Mock mock("mock", 1);
  const auto program = test::make_program(test::open_mock(mock));
  const auto executor = Executor::create({program}, kRows).value();
  CHECK(executor->n_lanes() == 2);
  Step one({4, 5}), two({6});
  auto first = executor->submit(0, one.step, {nullptr});
  auto second = executor->submit(1, two.step, {nullptr});
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CHECK(executor->submit(0, one.step, {nullptr}).status().code() == DS_E_BUSY);
  CHECK(executor->submit(2, one.step, {nullptr}).status().code() == DS_E_ARGUMENT);
  CHECK(executor->submit(0, one.step, {}).status().code() == DS_E_ARGUMENT);
  CHECK(second.value()->wait().value() == TicketState::kDone);
  CHECK(first.value()->wait().value() == TicketState::kDone);
  CHECK(one.logits == std::vector<float>{4, 5});
  CHECK(two.logits == std::vector<float>{6});
  first.value().reset();
  CHECK(executor->submit(0, one.step, {nullptr}).ok());
}

TEST_CASE("a refused step leaves its lane free") {
  Mock mock("mock", 1);
  const auto executor = Executor::create({test::make_program(test::open_mock(mock))}, kRows).value();
  Step empty({});
  CHECK(executor->submit(0, empty.step, {nullptr}).status().code() == DS_E_ARGUMENT);
  Step step({1});
  CHECK(executor->submit(0, step.step, {nullptr}).ok());
}

TEST_CASE("two segments: hidden rows go from one to the other") {
  TwoSegments plan;
  Step step({4, 5, 6});
  step.rows[1].want = 0;  // the second row is not wanted by the host, but by the second segment
  auto run = plan.executor->submit(0, step.step, {nullptr, nullptr}).value();
  CHECK(run->wait().value() == TicketState::kDone);
  CHECK(step.logits == std::vector<float>{4 + plan.bias, 6 + plan.bias, -1});
}

TEST_CASE("two segments by polling") {
  TwoSegments plan;
  plan.front.on_state = [](uint32_t &state) { state = DSB_TICKET_DONE; };
  plan.back.on_state = [](uint32_t &state) { state = DSB_TICKET_DONE; };
  Step step({4});
  auto run = plan.executor->submit(0, step.step, {nullptr, nullptr}).value();
  CHECK(run->poll().value() == TicketState::kRunning);  // on to the second
  CHECK(run->poll().value() == TicketState::kDone);
  CHECK(plan.front.calls == std::vector<std::string>{"submit front"});
  CHECK(plan.back.calls == std::vector<std::string>{"submit back"});
}

TEST_CASE("two segments yield, resume and cancel where they are") {
  TwoSegments plan;
  plan.back.yields = 1;
  Step step({4});
  uint32_t cancel = 0;
  step.step.cancel_word = &cancel;
  {
    auto run = plan.executor->submit(0, step.step, {nullptr, nullptr}).value();
    CHECK(run->wait().value() == TicketState::kYielded);
    CHECK(run->resume().ok());
    CHECK(run->wait().value() == TicketState::kDone);
    CHECK(step.logits[0] == 4 + plan.bias);
  }
  auto run = plan.executor->submit(0, step.step, {nullptr, nullptr}).value();
  cancel = 1;
  CHECK(run->wait().value() == TicketState::kCancelled);
  CHECK(plan.back.calls.size() == 1);  // the second segment of the cancelled run never began
}

TEST_CASE("a step that only samples goes to the last segment alone") {
  TwoSegments plan;
  Step step({4});
  step.step.entry = DSB_ENTRY_SAMPLE;
  auto run = plan.executor->submit(0, step.step, {nullptr, nullptr}).value();
  CHECK(run->wait().value() == TicketState::kDone);
  CHECK(plan.front.calls.empty());
}

TEST_CASE("what several segments cannot do is refused") {
  TwoSegments plan;
  Step step({4});
  step.step.repeat = 2;
  CHECK(plan.executor->submit(0, step.step, {nullptr, nullptr}).status().code() == DS_E_UNSUPPORTED);
  step.step.repeat = 1;
  step.step.entry |= DSB_ENTRY_ACCEPT;
  CHECK(plan.executor->submit(0, step.step, {nullptr, nullptr}).status().code() == DS_E_UNSUPPORTED);
  CHECK(Executor::create({plan.first, plan.second}, kRows, 2, 0).status().code() == DS_E_ARGUMENT);
  // The second cannot hand on all its rows.
  CHECK(Executor::create({plan.second, plan.second}, kRows, 2, 4).status().code() == DS_E_ARGUMENT);
  CHECK(Executor::create({}, kRows).status().code() == DS_E_ARGUMENT);
  CHECK(Executor::create({plan.first}, kRows, 0).status().code() == DS_E_ARGUMENT);
}

TEST_CASE("borders must be one float32 activation of all rows") {
  graph::Graph graph = test::sample_graph();
  const auto tensor = [&](const std::vector<int64_t> &shape, DType dtype) {
    graph.tensors.push_back({"border", graph::TensorKind::kActivation, dtype, shape});
    return static_cast<uint32_t>(graph.tensors.size() - 1);
  };
  const uint32_t good = tensor({graph::kRows, 4}, DType::kF32),
                 gathered = tensor({graph::kGatheredRows, 4}, DType::kF32);
  const uint32_t ids = tensor({graph::kRows, 4}, DType::kI32);
  const auto code = [&](std::vector<uint32_t> out, std::vector<uint32_t> in) {
    const graph::Segment segments[] = {{0, 0, 1, {}, std::move(out)}, {1, 1, 1, std::move(in), {}}};
    return check_borders(graph, segments).code();
  };
  CHECK(code({good}, {good}) == DS_OK);
  CHECK(code({gathered}, {gathered}) == DS_E_UNSUPPORTED);
  CHECK(code({ids}, {ids}) == DS_E_UNSUPPORTED);
  CHECK(code({good, ids}, {good}) == DS_E_UNSUPPORTED);
  CHECK(code({good}, {good, ids}) == DS_E_UNSUPPORTED);
  CHECK(code({}, {}) == DS_E_UNSUPPORTED);
}

TEST_CASE("a run let go early frees its lane and everything else") {
  TwoSegments plan;
  Step step({4});
  auto run = plan.executor->submit(0, step.step, {nullptr, nullptr}).value();
  plan.executor.reset();
  plan.first.reset();
  plan.second.reset();
  run.reset();
  CHECK(plan.front.live == 0);
  CHECK(plan.back.live == 0);
}

}  // namespace
}  // namespace deepseam::runtime
