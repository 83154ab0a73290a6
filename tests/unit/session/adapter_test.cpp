// Adapters beside a model: per request, several in one batch, part of what prefixes are found by, released in any
// order.
#include "session/adapter.h"

#include <atomic>
#include <fstream>
#include <thread>

#include "format/safetensors.h"
#include "model/weights.h"
#include "session/adapter_slots.h"
#include "unit/session/rig.h"

using namespace deepseam;
using namespace deepseam::session;

namespace {

// A PEFT folder with random deltas of all projections of the model, gone with the object.
class PeftFolder {
 public:
  PeftFolder(const model::Config &config, uint64_t seed, uint64_t rank = 3) : state_(seed) {
    static int count = 0;
    path_ = std::filesystem::temp_directory_path() /
            ("deepseam_adapter_" + std::to_string(now_ns()) + "_" + std::to_string(++count));
    std::filesystem::create_directory(path_);
    std::vector<TensorInfo> infos;
    std::vector<float> values;
    for (const model::WeightSpec &spec : model::weight_specs(config, false)) {
      if (spec.keep_float || spec.role == "embed") continue;
      for (const std::string &name : model::hf_names(config, spec)) {
        const uint64_t out = spec.shape[spec.shape.size() - 2], in = spec.shape.back();
        for (const bool is_a : {true, false}) {
          TensorInfo info;
          info.name =
              "base_model.model." + name.substr(0, name.size() - 7) + (is_a ? ".lora_A" : ".lora_B") + ".weight";
          info.dtype = DType::kF32;
          info.shape = is_a ? std::vector<uint64_t>{rank, in} : std::vector<uint64_t>{out, rank};
          for (uint64_t i = 0; i < info.elements(); ++i) values.push_back(next() * (is_a ? 0.1f : 0.2f));
          infos.push_back(std::move(info));
        }
      }
    }
    write("adapter_config.json", R"({"peft_type":"LORA","lora_alpha":6,"r":)" + std::to_string(rank) + "}");
    write("adapter_model.safetensors",
          must(safetensors_header(infos)) +
              std::string(reinterpret_cast<const char *>(values.data()), values.size() * sizeof(float)));
  }
  ~PeftFolder() { std::filesystem::remove_all(path_); }
  PeftFolder(const PeftFolder &) = delete;
  ModelSource source() const {
    ModelSource source;
    source.path = path_.string();
    return source;
  }
  std::shared_ptr<Adapter> load(const std::shared_ptr<Model> &model) const {
    return must(Adapter::load(model, source()));
  }

 private:
  float next() {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(static_cast<int64_t>(state_) >> 40) * 0x1p-23f;
  }
  void write(const std::string &name, const std::string &content) {
    std::ofstream(path_ / name, std::ios::binary).write(content.data(), static_cast<std::streamsize>(content.size()));
  }
  std::filesystem::path path_;
  uint64_t state_;
};

GenerateOptions with(const std::shared_ptr<Adapter> &adapter, uint32_t n = 24) {
  GenerateOptions options = greedy(n);
  options.adapter = adapter;
  return options;
}

std::vector<float> logits_with(const std::shared_ptr<Model> &model, const std::shared_ptr<Adapter> &adapter,
                               const std::vector<uint32_t> &ids, uint32_t chunk) {
  std::vector<float> logits(ids.size() * model->vocab());
  EvalRequest request;
  request.ids = ids;
  request.want = Want::kAll;
  request.chunk = chunk;
  request.adapter = adapter;
  request.no_reuse = true;
  request.logits = logits.data();
  request.capacity = logits.size();
  must(session::session(model)->eval(request));
  return logits;
}

uint64_t n_loaded(const std::shared_ptr<Model> &model) {
  for (int i = 0; i < 200 && model->adapters()->n_loaded() != 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  return model->adapters()->n_loaded();
}

}  // namespace

TEST_CASE("several adapters and none in one batch: each row is what it is alone, bit for bit") {
  Rig rig;
  const auto model = rig.open("lite");
  const PeftFolder one(model->config(), 1), two(model->config(), 2, 5);
  const std::shared_ptr<Adapter> adapters[] = {one.load(model), nullptr, two.load(model), one.load(model)};
  const auto logprobs = [](const std::unique_ptr<ResultData> &result) {
    std::vector<float> values;
    for (const TokenLogprob &entry : result->choices[0].logprobs) values.push_back(entry.logprob);
    return values;
  };
  std::vector<std::vector<float>> alone;
  for (uint32_t i = 0; i < 4; ++i) {
    GenerateOptions options = with(adapters[i], 80);
    options.no_reuse = options.no_store = true;
    options.n_logprobs = 2;
    alone.push_back(logprobs(generate(session::session(model), some_ids(20 + i), options)));
  }
  CHECK(alone[0] != alone[1]);
  std::vector<std::shared_ptr<Session>> sessions;
  std::vector<std::shared_ptr<Job>> jobs;
  for (uint32_t i = 0; i < 4; ++i) {
    GenerateOptions options = with(adapters[i], 80);  // the first has a head start
    options.no_reuse = options.no_store = true;
    options.n_logprobs = 2;
    sessions.push_back(session::session(model));
    jobs.push_back(must(sessions.back()->start(prompt_of(some_ids(20 + i)), options)));
  }
  wait_all(jobs);
  CHECK(model->engine()->facts().shared_steps > 10);
  for (uint32_t i = 0; i < 4; ++i) CHECK(logprobs(finish(jobs[i])) == alone[i]);
}

TEST_CASE("logits with an adapter do not depend on the chunks") {
  Rig rig;
  const auto model = rig.open("v3-bf16");
  const PeftFolder folder(model->config(), 3);
  const auto adapter = folder.load(model);
  const auto ids = some_ids(90);
  const auto whole = logits_with(model, adapter, ids, 0);
  CHECK(whole == logits_with(model, adapter, ids, 7));
  CHECK(whole != logits_with(model, nullptr, ids, 0));
  CHECK(logits_with(model, nullptr, ids, 0) == eval_all(model, ids, 0));
}

TEST_CASE("prefixes are shared between adapters of equal values only") {
  Rig rig;
  const auto model = rig.open("lite");
  const PeftFolder one(model->config(), 1), two(model->config(), 2);
  const auto ids = some_ids(100);
  const auto cached = [&](const std::shared_ptr<Adapter> &adapter) {
    return fact(generate(session::session(model), ids, with(adapter, 1))->facts, "usage.cached_tokens");
  };
  const auto first = one.load(model);
  CHECK(cached(nullptr) == 0);
  CHECK(cached(first) == 0);
  CHECK(cached(two.load(model)) == 0);
  CHECK(cached(first) == 99);
  CHECK(cached(one.load(model)) == 99);  // loaded again: the same values
  CHECK(cached(nullptr) == 99);
}

TEST_CASE("a cancelled request with an adapter commits nothing, and the next one is right") {
  Rig rig;
  const auto model = rig.open("lite");
  const PeftFolder folder(model->config(), 4);
  const auto adapter = folder.load(model);
  const auto expected = generate(session::session(model), some_ids(300), with(adapter))->choices[0].ids;
  for (int i = 0; i < 5; ++i) {
    GenerateOptions options = with(adapter, 2000);
    options.no_reuse = true;
    const auto job = must(session::session(model)->start(prompt_of(some_ids(300)), options));
    std::this_thread::sleep_for(std::chrono::milliseconds(4 * i));
    job->cancel();
    DS_REQUIRE_OK(job->wait(UINT64_MAX));
    CHECK(model->store()->check().ok());
  }
  CHECK(generate(session::session(model), some_ids(300), with(adapter))->choices[0].ids == expected);
}

TEST_CASE("a handle that goes while a request runs takes nothing with it; then the slot is free") {
  Rig rig;
  const auto model = rig.open("lite");
  const PeftFolder folder(model->config(), 5);
  auto adapter = folder.load(model);
  const auto expected = generate(session::session(model), some_ids(30), with(adapter, 60))->choices[0].ids;
  const auto job = must(session::session(model)->start(prompt_of(some_ids(30)), with(adapter, 60)));
  adapter.reset();
  CHECK(finish(job)->choices[0].ids == expected);
  CHECK(n_loaded(model) == 0);
}

TEST_CASE("adapters come and go on several threads while others generate") {
  Rig rig;
  const auto model = rig.open("lite");
  const PeftFolder folder(model->config(), 9);
  const auto plain = generate(session::session(model), some_ids(20), greedy(30))->choices[0].ids;
  const auto adapted = generate(session::session(model), some_ids(20), with(folder.load(model), 30))->choices[0].ids;
  std::atomic<uint32_t> wrong{0};
  const auto run = [&](bool adapts) {
    for (int i = 0; i < 8; ++i) {
      auto loaded = adapts ? Adapter::load(model, folder.source()) : Result<std::shared_ptr<Adapter>>(nullptr);
      auto job = loaded.ok() ? session::session(model)->start(prompt_of(some_ids(20)), with(*loaded, 30))
                             : Result<std::shared_ptr<Job>>(loaded.status());
      loaded = std::shared_ptr<Adapter>();  // the request keeps it
      std::unique_ptr<ResultData> result;
      if (!job.ok() || !(*job)->wait(UINT64_MAX).ok() || !(*job)->take_result(&result).ok() ||
          result->choices[0].ids != (adapts ? adapted : plain))
        ++wrong;
    }
  };
  std::vector<std::thread> threads;
  for (const bool adapts : {true, true, false}) threads.emplace_back(run, adapts);
  for (std::thread &thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(n_loaded(model) == 0);
}

TEST_CASE("more adapters than slots are refused, and a released one makes room") {
  Rig rig;
  const auto model = rig.open("lite");
  const PeftFolder folder(model->config(), 6, 1);
  std::vector<std::shared_ptr<Adapter>> adapters;
  for (uint32_t i = 0; i < kMostAdapters; ++i) adapters.push_back(folder.load(model));
  CHECK(Adapter::load(model, folder.source()).status().code() == DS_E_MEMORY);
  adapters.pop_back();
  CHECK(Adapter::load(model, folder.source()).ok());
}

TEST_CASE("an adapter outlives its runtime's shutdown and then says so") {
  std::shared_ptr<Adapter> kept;
  std::shared_ptr<Model> model;
  {
    Rig rig;
    model = rig.open("lite");
    const PeftFolder folder(model->config(), 7);
    kept = folder.load(model);
    DS_REQUIRE_OK(rig.runtime->shutdown(20'000'000'000));
    CHECK(Adapter::load(model, folder.source()).status().code() == DS_E_SHUT_DOWN);
  }
  model.reset();
  kept.reset();
}

TEST_CASE("another model's adapter, a model without weights, a single file: refused with a sentence") {
  Rig rig;
  const auto model = rig.open("lite"), other = rig.open("lite");
  const PeftFolder folder(model->config(), 8);
  const auto adapter = folder.load(other);
  CHECK(session::session(model)->start(prompt_of(some_ids(3)), with(adapter)).status().code() == DS_E_ARGUMENT);
  EvalRequest request;
  const auto ids = some_ids(3);
  request.ids = ids;
  request.adapter = adapter;
  CHECK(session::session(model)->eval(request).status().code() == DS_E_ARGUMENT);
  OpenOptions facts_only = Rig::tiny("lite");
  facts_only.no_weights = true;
  CHECK(Adapter::load(rig.open(facts_only), folder.source()).status().code() == DS_E_UNSUPPORTED);
  CHECK(Adapter::load(rig.open("v3-bf16"), folder.source()).status().code() == DS_E_MODEL);
  ModelSource file;
  file.file = must(open_memory("adapter", {}));
  CHECK(Adapter::load(model, file).status().code() == DS_E_UNSUPPORTED);
}
