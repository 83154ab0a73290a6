// See adapter.h.
#include "model/adapter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "format/blocks.h"
#include "format/tensor_read.h"
#include "model/weights.h"

namespace deepseam::model {
namespace {

constexpr std::string_view kPrefix = "base_model.model.", kWeight = ".weight";

// A matrix that takes deltas, by the name of its module.
struct Target {
  const WeightSpec *spec = nullptr;
  uint32_t expert = kNoExpert;
  uint64_t out() const { return spec->shape[spec->shape.size() - 2]; }
  uint64_t in() const { return spec->shape.back(); }
};
using Targets = std::unordered_map<std::string, Target>;

// All projections; not what is looked up, normed or routed with.
Targets targets_of(const Config &config, const std::vector<WeightSpec> &specs) {
  Targets targets;
  for (const WeightSpec &spec : specs) {
    if (spec.keep_float || spec.role == "embed") continue;
    const std::vector<std::string> names = hf_names(config, spec);
    for (size_t i = 0; i < names.size(); ++i)
      targets.emplace(names[i].substr(0, names[i].size() - kWeight.size()),
                      Target{&spec, spec.stacked ? static_cast<uint32_t>(i) : kNoExpert});
  }
  return targets;
}

// The two halves of one delta.
struct Pair {
  const TensorInfo *a = nullptr, *b = nullptr;
};

std::string shape_text(const std::vector<uint64_t> &shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

class Reader {
 public:
  Reader(const Config &config, const LoraFiles &files)
      : config_(config),
        files_(files),
        file_(files.tensors.sources.empty() ? files.path : files.tensors.sources[0]->name()),
        specs_(weight_specs(config, false)),
        targets_(targets_of(config, specs_)) {}

  Result<Adapter> read() {
    for (const TensorInfo &tensor : files_.tensors.tensors) DS_TRY(take(tensor));
    if (pairs_.empty())
      return fail(DS_E_FORMAT, "lora", "%s: holds no tensor of an adapter, expected pairs lora_A, lora_B",
                  file_.c_str())
          .at(file_);
    Adapter adapter;
    for (const auto &[module, pair] : pairs_) {
      DS_TRY_VALUE(AdapterDelta delta, delta_of(module, pair));
      adapter.deltas.push_back(std::move(delta));
    }
    std::sort(adapter.deltas.begin(), adapter.deltas.end(), [](const AdapterDelta &x, const AdapterDelta &y) {
      return std::tie(x.role, x.expert) < std::tie(y.role, y.expert);
    });
    adapter.identity = identity_of(adapter);
    return adapter;
  }

 private:
  // Sorts a tensor to its module, or says what it is instead.
  Status take(const TensorInfo &tensor) {
    std::string_view name = tensor.name;
    if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
    for (const bool is_a : {true, false}) {
      const std::string_view mark = is_a ? ".lora_A." : ".lora_B.";
      const size_t at = name.rfind(mark);
      if (at == name.npos) continue;
      const std::string_view rest = name.substr(at + mark.size());
      if (rest != "weight" && rest != "default.weight") break;
      Pair &pair = pairs_[std::string(name.substr(0, at))];
      const TensorInfo *&half = is_a ? pair.a : pair.b;
      if (half) return bad(DS_E_FORMAT, tensor, "is there twice, as '" + half->name + "' too");
      half = &tensor;
      return {};
    }
    if (name.find("lora_magnitude_vector") != name.npos)
      return bad(DS_E_UNSUPPORTED, tensor, "is a magnitude of DoRA, which is not computed");
    if (name.find("lora_embedding_") != name.npos)
      return bad(DS_E_UNSUPPORTED, tensor, "changes the embedding, which is looked up and takes no low-rank delta");
    return bad(DS_E_UNSUPPORTED, tensor,
               "is no half of a low-rank pair, expected MODULE.lora_A.weight or .lora_B.weight");
  }

  Status bad(ds_status code, const TensorInfo &tensor, const std::string &what) const {
    return fail(code, "lora", "%s: tensor '%s' %s", file_.c_str(), tensor.name.c_str(), what.c_str()).at(file_);
  }

  Status unknown_module(const std::string &module, const TensorInfo &tensor) const {
    if (module == "lm_head" && config_.tie_word_embeddings)
      return bad(DS_E_UNSUPPORTED, tensor,
                 "changes lm_head, which in this model is the embedding and is looked up too");
    return bad(DS_E_MODEL, tensor,
               "is for module '" + module + "', and the model has no projection of that name in its " +
                   std::to_string(config_.num_hidden_layers) + " layers: an adapter for another model");
  }

  Result<AdapterDelta> delta_of(const std::string &module, const Pair &pair) const {
    const TensorInfo &one = pair.a ? *pair.a : *pair.b;
    if (!pair.a || !pair.b)
      return bad(DS_E_FORMAT, one, std::string("has no ") + (pair.a ? "lora_B" : "lora_A") + " beside it");
    const auto found = targets_.find(module);
    if (found == targets_.end()) return unknown_module(module, one);
    const Target &target = found->second;
    const uint64_t rank = files_.config.rank_of(module);
    DS_TRY(check_shape(*pair.a, {rank, target.in()}));
    DS_TRY(check_shape(*pair.b, {target.out(), rank}));
    AdapterDelta delta;
    delta.role = target.spec->role;
    delta.expert = target.expert;
    delta.rank = static_cast<uint32_t>(rank);
    delta.in = target.in();
    delta.out = target.out();
    delta.scale = static_cast<float>(files_.config.scale_of(module));
    DS_TRY_VALUE(delta.a, values_of(*pair.a));
    DS_TRY_VALUE(delta.b, values_of(*pair.b));
    return delta;
  }

  Status check_shape(const TensorInfo &tensor, const std::vector<uint64_t> &expected) const {
    if (tensor.shape == expected) return {};
    return bad(DS_E_MODEL, tensor,
               "has shape " + shape_text(tensor.shape) + ", expected " + shape_text(expected) +
                   " by adapter_config.json and the model: an adapter for another model, or another rank");
  }

  Result<std::vector<float>> values_of(const TensorInfo &tensor) const {
    if (tensor.dtype != DType::kF32 && tensor.dtype != DType::kF16 && tensor.dtype != DType::kBF16)
      return bad(DS_E_UNSUPPORTED, tensor, "has type " + tensor.stored_type + ", expected F32, F16 or BF16");
    DS_TRY_VALUE(RowReader reader, RowReader::open(files_.tensors, tensor));
    std::vector<float> values(tensor.elements());
    DS_TRY(reader.read(0, tensor.rows(), values.data()));
    const uint64_t wrong = first_not_finite(values.data(), values.size());
    if (wrong == values.size()) return values;
    return bad(DS_E_FORMAT, tensor,
               "row " + std::to_string(wrong / tensor.cols()) + ", column " + std::to_string(wrong % tensor.cols()) +
                   ": the number is NaN or infinite");
  }

  static Hash128 identity_of(const Adapter &adapter) {
    Hasher hasher;
    const auto add = [&](const void *data, size_t size) { hasher.add({static_cast<const uint8_t *>(data), size}); };
    for (const AdapterDelta &delta : adapter.deltas) {
      add(delta.role.c_str(), delta.role.size() + 1);
      add(&delta.expert, sizeof delta.expert);
      add(&delta.rank, sizeof delta.rank);
      add(&delta.scale, sizeof delta.scale);
      add(delta.a.data(), delta.a.size() * sizeof(float));
      add(delta.b.data(), delta.b.size() * sizeof(float));
    }
    return hasher.value128();
  }

  const Config &config_;
  const LoraFiles &files_;
  const std::string file_;
  const std::vector<WeightSpec> specs_;
  const Targets targets_;              // into specs_
  std::map<std::string, Pair> pairs_;  // by module
};

// rows[n, in] += scale * b[n, rank] a[rank, in]; summed in float64 for each number.
void add_rows(const AdapterDelta &delta, uint64_t first, uint64_t n, float *rows) {
  std::vector<double> sum(delta.in);
  for (uint64_t row = 0; row < n; ++row, rows += delta.in) {
    std::fill(sum.begin(), sum.end(), 0.0);
    for (uint32_t k = 0; k < delta.rank; ++k) {
      const double factor = double{delta.scale} * double{delta.b[(first + row) * delta.rank + k]};
      const float *a = delta.a.data() + k * delta.in;
      for (uint64_t i = 0; i < delta.in; ++i) sum[i] += factor * double{a[i]};
    }
    for (uint64_t i = 0; i < delta.in; ++i) rows[i] = static_cast<float>(double{rows[i]} + sum[i]);
  }
}

// The deltas of a role are neighbours.
std::span<const AdapterDelta> deltas_of(const Adapter &adapter, const std::string &role) {
  const auto [first, last] = std::ranges::equal_range(adapter.deltas, role, {}, &AdapterDelta::role);
  return {first, last};
}

}  // namespace

bool Adapter::changes(const std::string &role) const { return !deltas_of(*this, role).empty(); }

void Adapter::add_to(const std::string &role, uint64_t first_row, uint64_t n_rows, float *rows) const {
  for (const AdapterDelta &delta : deltas_of(*this, role)) {
    const uint64_t begin = delta.expert == kNoExpert ? 0 : delta.expert * delta.out, end = begin + delta.out;
    const uint64_t from = std::max(begin, first_row), to = std::min(end, first_row + n_rows);
    if (from < to) add_rows(delta, from - begin, to - from, rows + (from - first_row) * delta.in);
  }
}

Result<Adapter> read_adapter(const Config &config, const LoraFiles &files) { return Reader(config, files).read(); }

}  // namespace deepseam::model
