#include "runtime/program.h"

#include <doctest/doctest.h>

#include "unit/runtime/mock_model.h"

namespace deepseam::runtime {
namespace {

using test::Mock;
using test::Step;

struct Fixture {
  Mock mock{"mock", 1};
  std::shared_ptr<Device> device = test::open_mock(mock);
  std::shared_ptr<Program> program = test::make_program(device);
  std::shared_ptr<Exec> exec = Exec::create(program, 8).value();
};

TEST_CASE("a step runs when its ticket is waited for") {
  Fixture fixture;
  Step step({5, 6, 7});
  auto ticket = fixture.exec->submit(step.step);
  REQUIRE(ticket.ok());
  CHECK(ticket.value()->poll().value() == TicketState::kRunning);
  CHECK(ticket.value()->wait(0).value() == TicketState::kRunning);  // the time ran out
  CHECK(step.logits[0] == -1);
  CHECK(ticket.value()->wait().value() == TicketState::kDone);
  CHECK(step.logits == std::vector<float>{5, 6, 7});
}

TEST_CASE("a released ticket frees its exec") {
  Fixture fixture;
  Step step({1});
  auto ticket = fixture.exec->submit(step.step);
  REQUIRE(ticket.ok());
  const auto second = fixture.exec->submit(step.step);
  CHECK(second.status().code() == DS_E_BUSY);
  ticket.value().reset();
  CHECK(fixture.exec->submit(step.step).ok());
}

TEST_CASE("two execs of a program are in flight at once") {
  Fixture fixture;
  const auto other = Exec::create(fixture.program, 8).value();
  Step one({1}), two({2});
  auto first = fixture.exec->submit(one.step);
  auto second = other->submit(two.step);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CHECK(second.value()->wait().value() == TicketState::kDone);
  CHECK(first.value()->wait().value() == TicketState::kDone);
  CHECK(one.logits[0] == 1);
  CHECK(two.logits[0] == 2);
}

TEST_CASE("a yielded step goes on after resume") {
  Fixture fixture;
  fixture.mock.yields = 1;
  Step step({3});
  auto ticket = fixture.exec->submit(step.step).value();
  CHECK(ticket->wait().value() == TicketState::kYielded);
  CHECK(fixture.exec->resume(*ticket).ok());
  CHECK(ticket->wait().value() == TicketState::kDone);
  CHECK(step.logits[0] == 3);
}

TEST_CASE("a cancelled step ends as cancelled") {
  Fixture fixture;
  const auto cancel = StepCancel::create(fixture.device).value();
  Step step({3});
  step.step.cancel_word = cancel->address();
  auto ticket = fixture.exec->submit(step.step).value();
  cancel->set();
  CHECK(ticket->wait().value() == TicketState::kCancelled);
  CHECK(step.logits[0] == -1);
}

TEST_CASE("tickets that lie are told") {
  Fixture fixture;
  Step step({3});
  auto ticket = fixture.exec->submit(step.step).value();
  fixture.mock.on_state = [](uint32_t &state) { state = 99; };
  CHECK(ticket->wait().status().code() == DS_E_PLUGIN);
  fixture.mock.on_state = [](uint32_t &state) { state = DSB_TICKET_FAILED; };
  CHECK(ticket->poll().status().code() == DS_E_PLUGIN);
}

TEST_CASE("success without an object is a broken contract") {
  Fixture fixture;
  const std::shared_ptr<Layout> &layout = fixture.program->layout();
  const auto weights = test::load_weights(layout, fixture.device, test::filled(0));
  fixture.mock.forget_outputs = true;
  CHECK(Exec::create(fixture.program, 8).status().code() == DS_E_PLUGIN);
  CHECK(Program::compile(layout, fixture.device, weights.value()).status().code() == DS_E_PLUGIN);
}

TEST_CASE("a program takes one weight per packed weight, and every node must run") {
  Fixture fixture;
  CHECK(Program::compile(fixture.program->layout(), fixture.device, {}).status().code() == DS_E_ARGUMENT);
  fixture.mock.on_node = [](dsb_node_verdict &verdict) { verdict.supported = 0; };
  const auto layout = Layout::plan(fixture.device, test::sample_graph(), PlanOptions{}).value();
  const auto weights = test::load_weights(layout, fixture.device, test::filled(0));
  CHECK(Program::compile(layout, fixture.device, weights.value()).status().code() == DS_E_UNSUPPORTED);
}

TEST_CASE("adapters of a plugin without them are unsupported") {
  Fixture fixture;
  CHECK(fixture.program->load_adapter(1, {}).code() == DS_E_UNSUPPORTED);
  CHECK(fixture.program->unload_adapter(1).code() == DS_E_UNSUPPORTED);
}

TEST_CASE("everything goes back to the plugin, whatever order the host lets go in") {
  Fixture fixture;
  Step step({3});
  auto ticket = fixture.exec->submit(step.step).value();
  fixture.device.reset();
  fixture.program.reset();
  fixture.exec.reset();
  CHECK(ticket->wait().value() == TicketState::kDone);
  ticket.reset();
  CHECK(fixture.mock.live == 0);
}

}  // namespace
}  // namespace deepseam::runtime
