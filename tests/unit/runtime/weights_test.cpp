#include "runtime/weights.h"

#include <doctest/doctest.h>

#include "unit/runtime/mock_model.h"

namespace deepseam::runtime {
namespace {

using test::filled;
using test::Mock;

struct Fixture {
  Mock mock{"mock", 1};
  std::shared_ptr<Device> device = test::open_mock(mock);
  std::shared_ptr<Layout> layout = Layout::plan(device, test::sample_graph(), PlanOptions{}).value();
  Result<std::vector<std::shared_ptr<Weight>>> load(const SourceCallback &source, const CancelWord *cancel = nullptr,
                                                    const LoadProgress &progress = {}) {
    return test::load_weights(layout, device, source, cancel, progress);
  }
  ds_status code_of(const SourceCallback &source) { return load(source).status().code(); }
};

TEST_CASE("every weight gets the sources of its slices and gives back their bytes") {
  for (const bool ticket : {false, true}) {
    Fixture fixture;
    fixture.mock.load_with_ticket = ticket;
    auto weights = fixture.load(filled(0x5a));
    REQUIRE(weights.ok());
    REQUIRE(weights->size() == 3);
    CHECK((*weights)[0]->export_size().value() == 8 * 4 * 4);
    std::vector<uint8_t> bytes(8 * 4 * 4);
    REQUIRE((*weights)[0]->export_to(bytes).ok());
    CHECK(bytes == std::vector<uint8_t>(bytes.size(), 0x5a));
    CHECK(fixture.mock.live == 3 + 3);  // no ticket is left
  }
}

TEST_CASE("progress grows to the total, whatever the plugin says") {
  Fixture fixture;
  fixture.mock.on_load = [](uint32_t, const dsb_weight_source *, uint32_t, dsb_progress progress, void *user) {
    progress(user, 1);
    progress(user, UINT64_MAX);
    return DS_OK;
  };
  uint64_t last = 0, total = 0;
  REQUIRE(fixture
              .load(filled(1), nullptr,
                    [&](uint64_t done, uint64_t all) {
                      CHECK(done >= last);
                      CHECK(done <= all);
                      last = done;
                      total = all;
                    })
              .ok());
  CHECK(last == fixture.layout->source_bytes());
  CHECK(total == fixture.layout->source_bytes());
}

TEST_CASE("only one packed weight's sources are alive at a time") {
  Fixture fixture;
  int alive = 0, most = 0;
  const SourceCallback plain = filled(1);
  const SourceCallback counting = [&](const graph::Tensor &tensor, bool) -> Result<WeightSource> {
    WeightSource source = plain(tensor, false).value();
    most = std::max(most, ++alive);
    source.keep =
        std::shared_ptr<const void>(source.keep.get(), [&alive, keep = source.keep](const void *) { --alive; });
    return source;
  };
  REQUIRE(fixture.load(counting).ok());
  CHECK(most == 1);
  CHECK(alive == 0);
}

TEST_CASE("lasting sources live as long as a weight that points to them, and no longer than one that copied them") {
  for (const bool mappable : {true, false}) {
    CAPTURE(mappable);
    Fixture fixture;
    fixture.mock.on_weight = [&](uint32_t, dsb_packed_weight &weight) {
      weight.flags = mappable ? DSB_WEIGHT_MAPPABLE : 0;
    };
    fixture.layout = Layout::plan(fixture.device, test::sample_graph(), PlanOptions{}).value();
    std::weak_ptr<const void> watched;
    const SourceCallback plain = filled(1, true);
    auto weights = fixture.load([&](const graph::Tensor &tensor, bool) -> Result<WeightSource> {
      WeightSource source = plain(tensor, false).value();
      if (tensor.name == "embed") watched = source.keep;
      return source;
    });
    REQUIRE(weights.ok());
    CHECK(watched.expired() == !mappable);
    weights->clear();
    CHECK(watched.expired());
  }
}

TEST_CASE("cancelling stops before the next source is asked for") {
  Fixture fixture;
  CancelWord cancel;
  int asked = 0;
  const SourceCallback plain = filled(1);
  const auto weights = fixture.load(
      [&](const graph::Tensor &tensor, bool) {
        if (++asked == 2) cancel.set();
        return plain(tensor, false);
      },
      &cancel);
  CHECK(weights.status().code() == DS_E_CANCELLED);
  CHECK(asked == 2);
  CHECK(fixture.mock.live == 3);
}

TEST_CASE("cancelling reaches a load that is under way") {
  Fixture fixture;
  fixture.mock.load_with_ticket = true;
  CancelWord cancel;
  fixture.mock.on_load = [&](uint32_t index, const dsb_weight_source *, uint32_t, dsb_progress, void *) {
    if (index == 1) cancel.set();
    return DS_OK;
  };
  CHECK(fixture.load(filled(1), &cancel).status().code() == DS_E_CANCELLED);
  CHECK(fixture.mock.live == 3);
}

TEST_CASE("sources that are not what the graph says are refused before the plugin sees them") {
  Fixture fixture;
  fixture.mock.on_load = [](uint32_t, const dsb_weight_source *, uint32_t, dsb_progress, void *) -> ds_status {
    FAIL("the plugin was asked");
    return DS_OK;
  };
  static const std::vector<uint8_t> bytes(1000);
  static const std::vector<float> scales(10);
  const auto with = [&](WeightSource source) {
    return fixture.code_of([=](const graph::Tensor &, bool) -> Result<WeightSource> { return source; });
  };
  CHECK(with({}) == DS_E_INTERNAL);
  WeightSource source;
  source.parts = {{std::span(bytes).first(127), {}}};
  CHECK(with(source) == DS_E_INTERNAL);
  source.parts = {{std::span(bytes).first(64), {}}, {std::span(bytes).first(64), {}}};  // 2 parts of [8, 4]
  CHECK(with(source) == DS_E_INTERNAL);
  source.parts = {{std::span(bytes).first(128), scales}};
  CHECK(with(source) == DS_E_INTERNAL);
  source.parts = {{std::span(bytes).first(128), {}}};
  source.scale_block_rows = source.scale_block_cols = 128;
  CHECK(with(source) == DS_E_INTERNAL);
}

TEST_CASE("a tensor may come in as many parts as its first dimension") {
  Fixture fixture;
  uint32_t parts = 0;
  fixture.mock.on_load = [&](uint32_t index, const dsb_weight_source *sources, uint32_t, dsb_progress, void *) {
    if (index == 0) parts = sources[0].n_parts;
    return DS_OK;
  };
  static const std::vector<uint8_t> row(16, 3);
  const SourceCallback plain = filled(1);
  REQUIRE(fixture
              .load([&](const graph::Tensor &tensor, bool) -> Result<WeightSource> {
                if (tensor.name != "embed") return plain(tensor, false);
                WeightSource source;
                for (int i = 0; i < 8; ++i) source.parts.push_back({row, {}});
                return source;
              })
              .ok());
  CHECK(parts == 8);
}

// Loads the first weight of a layout whose weights are pulled, 128 bytes that the mock reads with `on_load`.
Status load_pulled(Fixture &fixture, WeightSource source,
                   const std::function<ds_status(const dsb_weight_source &source)> &on_load) {
  fixture.mock.on_weight = [](uint32_t, dsb_packed_weight &weight) { weight.flags = DSB_WEIGHT_PULLED; };
  fixture.mock.on_load = [&](uint32_t, const dsb_weight_source *sources, uint32_t, dsb_progress, void *) {
    const ds_status code = on_load(sources[0]);
    return code == DS_OK ? DS_E_CANCELLED : code;  // the mock's own copy knows data alone
  };
  fixture.layout = Layout::plan(fixture.device, test::sample_graph(), PlanOptions{}).value();
  return load_weight(fixture.layout, fixture.device, 0,
                     [&](const graph::Tensor &, bool pulled) -> Result<WeightSource> {
                       CHECK(pulled);
                       return source;
                     },
                     nullptr, {})
      .status();
}

TEST_CASE("a backend reads a source's bytes from any part, and no others") {
  Fixture fixture;
  WeightSource source;
  source.parts.resize(8);  // 16 bytes each
  source.read = [](uint32_t part, uint64_t offset, std::span<uint8_t> into) {
    for (size_t i = 0; i < into.size(); ++i) into[i] = static_cast<uint8_t>(part * 16 + offset + i);
    return Status();
  };
  const Status status = load_pulled(fixture, source, [](const dsb_weight_source &raw) {
    CHECK(raw.parts[7].data == nullptr);
    CHECK(raw.parts[7].bytes == 16);
    uint8_t bytes[16];
    CHECK(raw.read(raw.read_user, 7, 4, bytes, 12) == DS_OK);
    CHECK(bytes[0] == 7 * 16 + 4);
    CHECK(bytes[11] == 127);
    CHECK(raw.read(raw.read_user, 7, 5, bytes, 12) == DS_E_PLUGIN);
    CHECK(raw.read(raw.read_user, 8, 0, bytes, 1) == DS_E_PLUGIN);
    CHECK(raw.read(raw.read_user, 0, UINT64_MAX, bytes, 2) == DS_E_PLUGIN);
    return DS_OK;
  });
  CHECK(status.code() == DS_E_PLUGIN);
  CHECK(std::string(status.message()).find("12 bytes at 5 of part 7") != std::string::npos);
}

TEST_CASE("a source that fails while a backend reads it is the failure, in its own words") {
  Fixture fixture;
  WeightSource source;
  source.parts.resize(1);
  source.read = [](uint32_t, uint64_t, std::span<uint8_t>) { return fail(DS_E_IO, "test", "x.gguf ends early"); };
  const Status status = load_pulled(fixture, source, [](const dsb_weight_source &raw) {
    uint8_t byte;
    CHECK(raw.read(raw.read_user, 0, 0, &byte, 1) == DS_E_IO);
    return DS_E_MODEL;
  });
  CHECK(status.code() == DS_E_IO);
  CHECK(std::string(status.message()) == "x.gguf ends early");
}

TEST_CASE("a backend that reads nothing gets no source to read") {
  Fixture fixture;
  WeightSource source;
  source.parts.resize(1);
  source.read = [](uint32_t, uint64_t, std::span<uint8_t>) { return Status(); };
  CHECK(fixture.code_of([&](const graph::Tensor &, bool pulled) -> Result<WeightSource> {
    CHECK_FALSE(pulled);
    return source;
  }) == DS_E_INTERNAL);
}

TEST_CASE("the plugin's failure and the source's failure come through") {
  Fixture fixture;
  CHECK(fixture.code_of([](const graph::Tensor &, bool) -> Result<WeightSource> {
    return fail(DS_E_IO, "test", "unreadable");
  }) == DS_E_IO);
  fixture.mock.on_load = [](uint32_t, const dsb_weight_source *, uint32_t, dsb_progress, void *) -> ds_status {
    return DS_E_MEMORY;
  };
  const auto failed = fixture.load(filled(1));
  CHECK(failed.status().code() == DS_E_MEMORY);
  CHECK(std::string(failed.status().message()) == "plugin mock: told to fail");
}

TEST_CASE("success without a weight is a broken contract") {
  Fixture fixture;
  fixture.mock.forget_outputs = true;
  CHECK(fixture.code_of(filled(1)) == DS_E_PLUGIN);
}

TEST_CASE("packed bytes can be mapped again") {
  Fixture fixture;
  auto bytes = std::make_shared<std::vector<uint64_t>>(16, 0x0101010101010101);
  const std::span<const uint8_t> view(reinterpret_cast<const uint8_t *>(bytes->data()), 128);
  std::weak_ptr<const void> watched = bytes;
  auto weight = Weight::map(fixture.layout, fixture.device, 0, view, std::move(bytes));
  REQUIRE(weight.ok());
  CHECK(weight.value()->export_size().value() == 128);
  CHECK_FALSE(watched.expired());
  weight.value().reset();
  CHECK(watched.expired());
  CHECK(Weight::map(fixture.layout, fixture.device, 3, view, nullptr).status().code() == DS_E_ARGUMENT);
  alignas(16) static const uint8_t odd[32] = {};
  CHECK(Weight::map(fixture.layout, fixture.device, 0, {odd + 1, 16}, nullptr).status().code() == DS_E_ARGUMENT);
}

}  // namespace
}  // namespace deepseam::runtime
