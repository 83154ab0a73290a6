#include "runtime/layout.h"

#include <doctest/doctest.h>

#include "unit/runtime/mock_model.h"

namespace deepseam::runtime {
namespace {

using test::Mock;

struct Fixture {
  Mock mock{"mock", 1};
  std::shared_ptr<Device> device = test::open_mock(mock);
  Result<std::shared_ptr<Layout>> plan() { return Layout::plan(device, test::sample_graph(), PlanOptions{}); }
  // That the plan is refused as a broken contract, in these words.
  void check_broken(const char *words) {
    const Result<std::shared_ptr<Layout>> layout = plan();
    REQUIRE_FALSE(layout.ok());
    CHECK(layout.status().code() == DS_E_PLUGIN);
    const std::string message = layout.status().message();
    CHECK_MESSAGE(message.find(words) != std::string::npos, message);
    CHECK(message.find("plugin mock broke the contract of") == 0);
    CHECK(mock.live == 2);  // instance and device: the layout went back
  }
};

TEST_CASE("a truthful answer is read whole") {
  Fixture fixture;
  const Result<std::shared_ptr<Layout>> planned = fixture.plan();
  REQUIRE(planned.ok());
  const Layout &layout = *planned.value();
  CHECK(layout.weights().size() == 3);
  CHECK(layout.summary().weight_bytes == 3 * 64);
  CHECK(layout.summary().scratch_bytes == 4096);
  CHECK(layout.summary().numerics_id == 42);
  CHECK(layout.source_bytes() == 8 * 4 * 4 + 4 * 4 + 8 * 4 * 2);
  CHECK(layout.weights()[0].layout_id == 7);
  CHECK(layout.nodes().size() == test::sample_graph().nodes.size());
  CHECK(layout.check_nodes().ok());
  CHECK(layout.nodes()[0].reason == "mocked");
}

TEST_CASE("no device is needed to plan") {
  Fixture fixture;
  const auto layout = Layout::plan(fixture.device->backend(), 0, test::sample_graph(), PlanOptions{});
  CHECK(layout.ok());
}

TEST_CASE("a node that cannot run is named, with its reason") {
  Fixture fixture;
  fixture.mock.on_node = [](dsb_node_verdict &verdict) {
    verdict.supported = verdict.node != 1;
    std::strcpy(verdict.reason, "no kernel for it");
  };
  const auto layout = fixture.plan();
  REQUIRE(layout.ok());
  const Status status = layout.value()->check_nodes();
  CHECK(status.code() == DS_E_UNSUPPORTED);
  CHECK(std::string(status.message()).find(layout.value()->nodes()[1].node) != std::string::npos);
  CHECK(std::string(status.message()).find("no kernel for it") != std::string::npos);
}

TEST_CASE("success without a layout") {
  Fixture fixture;
  fixture.mock.forget_outputs = true;
  fixture.check_broken("success without a layout");
}

TEST_CASE("a summary that lies") {
  Fixture fixture;
  const auto with = [&](std::function<void(dsb_layout_summary &)> lie, const char *words) {
    fixture.mock.on_summary = std::move(lie);
    fixture.check_broken(words);
  };
  with([](dsb_layout_summary &s) { s.n_nodes += 1; }, "n_nodes");
  with([](dsb_layout_summary &s) { s.n_weights = UINT32_MAX; }, "n_weights");
  with([](dsb_layout_summary &s) { s.n_kv_layers = 1000; }, "n_kv_layers");
  with([](dsb_layout_summary &s) { s.weight_bytes += 1; }, "weight_bytes");
  with([](dsb_layout_summary &s) { s.scratch_bytes = UINT64_MAX; }, "2^48");
  with([](dsb_layout_summary &s) { s.kv_bytes_per_block = UINT64_MAX; }, "2^48");
  with([](dsb_layout_summary &s) { s.struct_size = UINT32_MAX; }, "struct_size");
}

TEST_CASE("a packed weight that lies") {
  Fixture fixture;
  static dsb_weight_slice slice;
  const auto with = [&](std::function<void(dsb_packed_weight &)> lie, const char *words) {
    slice = {0, DSB_NONE, 0, 0};
    fixture.mock.on_weight = [&, lie](uint32_t index, dsb_packed_weight &weight) {
      if (index == 0) lie(weight);
    };
    fixture.check_broken(words);
  };
  with([](dsb_packed_weight &w) { w.bytes = UINT64_MAX; }, "bytes of weight 0");
  with([](dsb_packed_weight &w) { w.alignment = 3; }, "alignment");
  with([](dsb_packed_weight &w) { w.alignment = 1u << 31; }, "alignment");
  with([](dsb_packed_weight &w) { w.slices = nullptr; }, "no array of them");
  with([](dsb_packed_weight &w) { w.n_slices = 0; }, "0 slices");
  with([](dsb_packed_weight &w) { w.n_slices = UINT32_MAX; }, "4294967295 slices");
  with([](dsb_packed_weight &w) { w.slice_stride = 1; }, "slice_stride");
  with([](dsb_packed_weight &w) { w.slice_stride = UINT32_MAX; }, "slice_stride");
  const auto with_slice = [&](dsb_weight_slice lie, const char *words) {
    with(
        [lie](dsb_packed_weight &w) {
          slice = lie;
          w.slices = &slice;
        },
        words);
  };
  with_slice({1000, DSB_NONE, 0, 0}, "names tensor 1000");
  with_slice({1, DSB_NONE, 0, 0}, "which is no weight");  // the embedded rows
  with_slice({0, 2, 0, 1}, "leaves dimension 2");
  with_slice({0, 0, 8, 1}, "leaves dimension 0");
  with_slice({0, 0, 0, 9}, "leaves dimension 0");
  with_slice({0, 0, 1, UINT64_MAX}, "leaves dimension 0");
  with_slice({0, 0, 0, 0}, "leaves dimension 0");
}

TEST_CASE("a verdict that lies") {
  Fixture fixture;
  fixture.mock.on_node = [](dsb_node_verdict &verdict) { verdict.node += 1; };
  fixture.check_broken("verdict 0");
  fixture.mock.on_node = [](dsb_node_verdict &verdict) { verdict.supported = 2; };
  fixture.check_broken("supported 2");
}

TEST_CASE("a reason without an end is cut") {
  Fixture fixture;
  fixture.mock.on_node = [](dsb_node_verdict &verdict) { std::memset(verdict.reason, 'r', sizeof verdict.reason); };
  const auto layout = fixture.plan();
  REQUIRE(layout.ok());
  CHECK(layout.value()->nodes()[0].reason == std::string(240, 'r'));
}

TEST_CASE("children keep their parents until the last one goes") {
  Fixture fixture;
  auto layout = fixture.plan().value();
  fixture.device.reset();
  CHECK(fixture.mock.live == 3);
  layout.reset();
  CHECK(fixture.mock.live == 0);
}

}  // namespace
}  // namespace deepseam::runtime
