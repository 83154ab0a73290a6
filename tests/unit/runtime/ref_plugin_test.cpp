// The whole way with the real reference plugin, as built: search, choose, plan, load, compile, run, let go.
#include <doctest/doctest.h>

#include <cmath>

#include "unit/runtime/mock_model.h"

namespace deepseam::runtime {
namespace {

// Values of a weight, by what it is for: small and all different.
float value_of(const std::string &role, size_t i) {
  if (role == "final_norm") return 1 + 0.25f * static_cast<float>(i);
  return static_cast<float>((i * 7 + role.size()) % 13) - 6;
}

Result<WeightSource> source_of(const graph::Tensor &tensor, bool) {
  size_t count = 1;
  for (const int64_t dim : tensor.shape) count *= static_cast<size_t>(dim);
  auto values = std::make_shared<std::vector<float>>(count);
  for (size_t i = 0; i < count; ++i) (*values)[i] = value_of(tensor.name, i);
  WeightSource source;
  source.parts.push_back({{reinterpret_cast<const uint8_t *>(values->data()), count * sizeof(float)}, {}});
  source.keep = std::move(values);
  return source;
}

graph::Graph float_graph() {
  graph::GraphBuilder build("sample");
  graph::Value x = build.embed(build.weight("embed", DType::kF32, {test::kVocabulary, test::kHidden}));
  x = build.rms_norm(x, build.weight("final_norm", DType::kF32, {test::kHidden}), 1e-6);
  x = build.gather_rows(x);
  build.output_hidden(x);
  const graph::Value head = build.weight("lm_head", DType::kF32, {test::kVocabulary, test::kHidden});
  build.output_logits(build.lm_head(x, head, test::kVocabulary));
  return build.finish().value();
}

double expected_logit(uint32_t token, size_t id) {
  double square = 0, sum = 0;
  for (size_t i = 0; i < test::kHidden; ++i) square += std::pow(value_of("embed", token * test::kHidden + i), 2);
  const double norm = 1 / std::sqrt(square / test::kHidden + 1e-6);
  for (size_t i = 0; i < test::kHidden; ++i)
    sum += value_of("embed", token * test::kHidden + i) * norm * value_of("final_norm", i) *
           value_of("lm_head", id * test::kHidden + i);
  return sum;
}

TEST_CASE("the reference plugin is found, taken and runs a step") {
  Registry registry{HostOptions{}};
  LoaderOptions where;
  where.folders = {DS_PLUGIN_DIR};
  where.own_folder = false;
  registry.search(where);
  Result<Choice> choice = registry.choose("ref");
  REQUIRE_MESSAGE(choice.ok(), choice.status().message());
  auto device = Device::open(choice->backend, choice->device.index, {});
  REQUIRE_MESSAGE(device.ok(), device.status().message());

  PlanOptions options;
  options.max_rows = options.max_logit_rows = 4;
  options.max_seqs = 1;
  auto layout = Layout::plan(*device, float_graph(), options);
  REQUIRE_MESSAGE(layout.ok(), layout.status().message());
  REQUIRE(layout.value()->check_nodes().ok());
  uint64_t done = 0;
  auto weights = test::load_weights(*layout, *device, source_of, nullptr, [&](uint64_t now, uint64_t) { done = now; });
  REQUIRE_MESSAGE(weights.ok(), weights.status().message());
  CHECK(done == layout.value()->source_bytes());
  auto program = Program::compile(*layout, *device, *weights);
  REQUIRE_MESSAGE(program.ok(), program.status().message());
  auto executor = Executor::create({*program}, 4);
  REQUIRE_MESSAGE(executor.ok(), executor.status().message());

  const std::vector<uint32_t> tokens = {3, 0, 7};
  test::Step step(tokens);
  dsb_seq seq{};
  step.step.seqs = &seq;
  step.step.n_seqs = 1;
  step.step.seq_stride = sizeof seq;
  std::vector<float> logits(tokens.size() * test::kVocabulary);
  step.outputs.logits = logits.data();
  auto run = executor.value()->submit(0, step.step, {nullptr});
  REQUIRE_MESSAGE(run.ok(), run.status().message());
  auto state = run.value()->wait();
  REQUIRE_MESSAGE(state.ok(), state.status().message());
  CHECK(state.value() == TicketState::kDone);
  for (size_t row = 0; row < tokens.size(); ++row)
    for (size_t id = 0; id < test::kVocabulary; ++id)
      CHECK(logits[row * test::kVocabulary + id] == doctest::Approx(expected_logit(tokens[row], id)).epsilon(1e-5));

  run.value().reset();
  CHECK(registry.quiesce(UINT64_MAX).ok());
  CHECK(registry.backends().empty());
}

}  // namespace
}  // namespace deepseam::runtime
