// A directory that holds exactly the tensors of a configuration, under the names of a Hugging Face folder or of roles,
// without any numbers behind them.
#pragma once

#include "model/weights.h"

namespace deepseam::model {

inline void add_tensor(TensorDirectory *directory, const std::string &name, DType dtype, std::vector<uint64_t> shape) {
  TensorInfo info;
  info.name = name;
  info.dtype = dtype;
  info.shape = std::move(shape);
  directory->by_name[name] = static_cast<uint32_t>(directory->tensors.size());
  directory->tensors.push_back(std::move(info));
}

inline TensorInfo *find_tensor(TensorDirectory *directory, const std::string &name) {
  auto found = directory->by_name.find(name);
  return found == directory->by_name.end() ? nullptr : &directory->tensors[found->second];
}

inline TensorDirectory hf_directory(const Config &config, DType dtype = DType::kBF16) {
  TensorDirectory directory;
  for (const WeightSpec &spec : weight_specs(config, true))
    for (const std::string &name : hf_names(config, spec))
      add_tensor(&directory, name, spec.keep_float ? DType::kBF16 : dtype,
                 {spec.shape.begin() + (spec.stacked ? 1 : 0), spec.shape.end()});
  return directory;
}

inline TensorDirectory role_directory(const Config &config, DType dtype) {
  TensorDirectory directory;
  for (const WeightSpec &spec : weight_specs(config, true))
    add_tensor(&directory, spec.role, spec.keep_float ? DType::kF32 : dtype, spec.shape);
  return directory;
}

}  // namespace deepseam::model
