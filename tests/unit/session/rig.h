// What session tests share: a runtime with linked-in backends, models from the tiny checkpoints, and short ways to
// generate and to evaluate. Every step that must work is a doctest REQUIRE.
#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "format/open_model.h"
#include "ref/ref.h"
#include "session/engine.h"
#include "session/model.h"
#include "session/request.h"
#include "session/runtime_state.h"
#include "session/session.h"
#include "session/tools.h"

namespace deepseam::session {

#define DS_REQUIRE_OK(result)                                                          \
  do {                                                                                 \
    const ::deepseam::Status ds_require_status = (result);                             \
    REQUIRE_MESSAGE(ds_require_status.ok(), std::string(ds_require_status.message())); \
  } while (0)

template <typename T>
T must(Result<T> result) {
  const Status status = static_cast<const Result<T> &>(result).status();
  REQUIRE_MESSAGE(status.ok(), std::string(status.message()));
  return std::move(result).value();
}

// A model file of which no byte of a tensor is to be read: such a read fails, and the model's opening with it.
class HeadersOnly : public Source {
 public:
  HeadersOnly(std::shared_ptr<Source> file, const TensorDirectory &tensors) : file_(std::move(file)) {
    name_ = file_->name();
    size_ = file_->size();
    for (const TensorInfo &tensor : tensors.tensors) ranges_.push_back(tensor.range);
  }
  Status read_at(uint64_t offset, std::span<uint8_t> into) const override {
    for (const ByteRange &range : ranges_)
      if (offset < range.offset + range.bytes && range.offset < offset + into.size())
        return fail(DS_E_IO, "test", "%zu bytes at %llu are of a tensor", into.size(),
                    static_cast<unsigned long long>(offset));
    return file_->read_at(offset, into);
  }

 private:
  std::shared_ptr<Source> file_;
  std::vector<ByteRange> ranges_;
};

struct Rig {
  std::shared_ptr<RuntimeState> runtime;
  explicit Rig(RuntimeOptions options = {}, const dsb_root *root = ref::root()) {
    options.default_plugins = false;
    if (!options.n_threads) options.n_threads = 2;
    runtime = must(RuntimeState::create(std::move(options)));
    DS_REQUIRE_OK(runtime->register_backend(root));
  }
  ~Rig() { CHECK(runtime->shutdown(20'000'000'000).ok()); }

  static OpenOptions tiny(const std::string &variant) {
    OpenOptions options;
    options.source.path = std::string(DS_TINY_DIR) + "/" + variant;
    options.deterministic = true;
    options.context_length = 512;
    return options;
  }
  std::shared_ptr<Model> open(const OpenOptions &options) { return must(Model::open(runtime, options)); }
  std::shared_ptr<Model> open(const std::string &variant) { return open(tiny(variant)); }
};

inline std::shared_ptr<Session> session(const std::shared_ptr<Model> &model, SessionSettings settings = {}) {
  return must(Session::create(model, settings));
}

inline std::vector<uint32_t> some_ids(uint32_t n, uint32_t seed = 1) {
  std::vector<uint32_t> ids;
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (uint32_t i = 0; i < n; ++i) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    ids.push_back(2 + static_cast<uint32_t>(state >> 33) % 250);
  }
  return ids;
}

inline Prompt prompt_of(std::vector<uint32_t> ids) {
  Prompt prompt;
  prompt.ids = std::move(ids);
  return prompt;
}

inline GenerateOptions greedy(uint32_t n) {
  GenerateOptions options;
  options.max_tokens = n;
  options.ignore_end = true;
  return options;
}

inline std::unique_ptr<ResultData> finish(const std::shared_ptr<Job> &job) {
  DS_REQUIRE_OK(job->wait(UINT64_MAX));
  std::unique_ptr<ResultData> result;
  DS_REQUIRE_OK(job->take_result(&result));
  REQUIRE(result);
  return result;
}

inline std::unique_ptr<ResultData> generate(const std::shared_ptr<Session> &session, const std::vector<uint32_t> &ids,
                                            GenerateOptions options) {
  return finish(must(session->start(prompt_of(ids), std::move(options))));
}

inline uint64_t fact(const Facts &facts, const std::string &key) {
  const Facts::Value *value = facts.find(key);
  REQUIRE(value);
  return std::get<uint64_t>(*value);
}

// Logits of all `ids` in a fresh session: [ids, V].
inline std::vector<float> eval_all(const std::shared_ptr<Model> &model, const std::vector<uint32_t> &ids,
                                   uint32_t chunk, bool no_reuse = true) {
  std::vector<float> logits(ids.size() * model->vocab());
  EvalRequest request;
  request.ids = ids;
  request.want = Want::kAll;
  request.chunk = chunk;
  request.no_reuse = no_reuse;
  request.logits = logits.data();
  request.capacity = logits.size();
  const EvalResult result = must(session(model)->eval(request));
  REQUIRE(result.rows == ids.size());
  return logits;
}

// A model file with a byte tokenizer, made once per program run; the shape of the oracle's `lite`.
inline std::string synth_file(const Rig &rig) {
  static const std::string path = (std::filesystem::temp_directory_path() /
                                   ("deepseam_session_" + std::to_string(reinterpret_cast<uintptr_t>(&path)) + "_" +
                                    std::to_string(now_ns()) + ".dsm"))
                                      .string();
  static const struct Remove {
    ~Remove() { std::filesystem::remove(path); }
  } remove;
  if (!std::filesystem::exists(path)) DS_REQUIRE_OK(synth(*rig.runtime, "tiny", 1, path, {}));
  return path;
}

// Planned, and opened without its weights, as `ds plan` and `ds info` do, a file is read up to its tensors.
inline void check_headers_only(Rig &rig, OpenOptions options) {
  const std::shared_ptr<Source> file = options.source.file;
  const TensorDirectory tensors = must(open_model_files(file)).tensors;
  options.source.file = std::make_shared<HeadersOnly>(file, tensors);
  CHECK(must(plan_model(*rig.runtime, options)).plan.stored_bytes > 0);
  CHECK_FALSE(Model::open(rig.runtime, options).ok());
  options.no_weights = true;
  CHECK(fact(rig.open(options)->facts(), "weights.stored_bytes") > 0);
}

inline std::shared_ptr<Model> open_synth(Rig &rig) {
  OpenOptions options;
  options.source.path = synth_file(rig);
  options.deterministic = true;
  options.context_length = 1024;
  return rig.open(options);
}

}  // namespace deepseam::session
