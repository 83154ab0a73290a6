// What the tests of pack, synth and verify share.
#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/task_runner.h"
#include "format/open_model.h"
#include "format/tensor_read.h"
#include "model/config.h"
#include "model/synth.h"
#include "model/weights.h"

namespace deepseam::model::test {

inline void require_ok(const Status &status) {
  INFO(status.message());
  REQUIRE(status.ok());
}

inline ModelFiles opened(const std::string &path) {
  ModelFiles files;
  Status status = [&]() -> Status {
    DS_TRY_VALUE(files, open_model_files(path, MapMode::kAuto));
    return {};
  }();
  require_ok(status);
  return files;
}

inline WeightMap bound(const ModelFiles &files) {
  auto config = make_config(files.config, files.path);
  require_ok(config.status());
  auto weights = bind_weights(config.value(), files.tensors, files.path);
  require_ok(weights.status());
  return std::move(weights).value();
}

// All numbers of one weight, experts one after the other.
inline std::vector<float> numbers(const ModelFiles &files, const WeightBinding &weight) {
  std::vector<float> all;
  for (const TensorInfo *part : weight.parts) {
    const auto values = read_tensor_f32(files.tensors, *part);
    require_ok(values.status());
    all.insert(all.end(), values->begin(), values->end());
  }
  return all;
}

inline void synth(const std::string &shape, PackType type, const std::string &path, uint64_t seed = 1,
                  const WorkOptions &work = {}) {
  SynthOptions options;
  options.shape = shape;
  options.type = type;
  options.seed = seed;
  options.tokenizer_blob = "tokenizer";
  options.work = work;
  require_ok(synth_model(options, path));
}

}  // namespace deepseam::model::test
