// A model's weights as they are multiplied with, as an f32 Hugging Face folder.
#include <algorithm>

#include "base/file.h"
#include "format/safetensors.h"
#include "model/config.h"
#include "model/pack.h"
#include "model/row_work.h"
#include "model/weight_rows.h"

namespace deepseam::model {
namespace {

// One tensor of the new file: rows of a weight, all or one matrix of a stack.
struct Exported {
  TensorInfo info;
  const WeightBinding *from = nullptr;
  uint64_t first_row = 0;
};

// A stack is either E tensors or one tensor of E matrices; Hugging Face names each expert.
void add_weight(const Config &config, const WeightSpec &spec, const WeightBinding &weight,
                std::vector<Exported> *list) {
  const std::vector<std::string> names = hf_names(config, spec);
  for (size_t i = 0; i < names.size(); ++i) {
    Exported tensor;
    tensor.info.name = names[i];
    tensor.info.dtype = DType::kF32;
    tensor.info.shape.assign(spec.shape.begin() + (spec.stacked ? 1 : 0), spec.shape.end());
    tensor.from = &weight;
    tensor.first_row = i * tensor.info.rows();
    list->push_back(std::move(tensor));
  }
}

// In file order; an MTP module without embedding or head of its own gets the main model's, as checkpoints have it.
std::vector<Exported> exported_tensors(const Config &config, const WeightMap &weights) {
  std::vector<Exported> list;
  for (const WeightSpec &spec : weight_specs(config, weights.has_mtp)) {
    const WeightBinding *weight = weights.find(spec.role);
    if (!weight && spec.optional) {
      const bool head = spec.role.size() > 5 && spec.role.compare(spec.role.size() - 5, 5, ".head") == 0;
      weight = weights.find(head && !config.tie_word_embeddings ? "lm_head" : "embed");
    }
    if (weight) add_weight(config, spec, *weight, &list);
  }
  return list;
}

Status write_text(const std::string &path, const std::string &text) {
  DS_TRY_VALUE(AtomicFile file, AtomicFile::create(path));
  DS_TRY(file.append({reinterpret_cast<const uint8_t *>(text.data()), text.size()}));
  return file.commit();
}

Status write_tensors(const ModelFiles &source, const std::vector<Exported> &tensors, const Adapter *adapter,
                     const std::string &path, const WorkOptions &work) {
  std::vector<TensorInfo> infos;
  std::vector<RowRange> pieces;
  uint64_t total = 0, done = 0, largest = 0;
  for (uint32_t i = 0; i < tensors.size(); ++i) {
    infos.push_back(tensors[i].info);
    total += tensors[i].info.elements() * sizeof(float);
    cut_rows(tensors[i].info.shape, i, 1, &pieces);
  }
  for (const RowRange &piece : pieces) largest = std::max(largest, piece.n_rows * tensors[piece.part].info.cols());
  DS_TRY_VALUE(const std::string header, safetensors_header(infos));
  DS_TRY_VALUE(AtomicFile file, AtomicFile::create(path));
  DS_TRY(file.append({reinterpret_cast<const uint8_t *>(header.data()), header.size()}));
  const auto make = [&](uint64_t i, WorkSlot *slot) -> Status {
    const Exported &tensor = tensors[pieces[i].part];
    slot->rows.resize(pieces[i].n_rows * tensor.info.cols());
    DS_TRY_VALUE(WeightRows reader, WeightRows::open(source.tensors, *tensor.from));
    const uint64_t first = tensor.first_row + pieces[i].first_row;
    DS_TRY(reader.read_multiplied(first, pieces[i].n_rows, slot->rows.data()));
    if (adapter) adapter->add_to(tensor.from->spec.role, first, pieces[i].n_rows, slot->rows.data());
    return {};
  };
  const auto use = [&](uint64_t, const WorkSlot &slot) -> Status {
    const uint64_t bytes = slot.rows.size() * sizeof(float);
    DS_TRY(file.append({reinterpret_cast<const uint8_t *>(slot.rows.data()), bytes}));
    done += bytes;
    return work.progress && !work.progress(done, total) ? Status(DS_E_STOPPED) : Status();
  };
  DS_TRY(run_ordered(work, pieces.size(), largest, make, use));
  return file.commit();
}

}  // namespace

Status export_hf(const ModelFiles &source, const std::string &folder, const WorkOptions &work, const Adapter *adapter) {
  DS_TRY_VALUE(const Config config, make_config(source.config, source.path));
  DS_TRY_VALUE(const WeightMap weights, bind_weights(config, source.tensors, source.path));
  DS_TRY(write_tensors(source, exported_tensors(config, weights), adapter, folder + "/model.safetensors", work));
  HfConfig stated = source.config;
  stated.torch_dtype = "float32";
  stated.quant_method.reset();
  if (!weights.has_mtp) stated.num_nextn_predict_layers = 0;
  return write_text(folder + "/config.json", write_hf_config(stated));
}

}  // namespace deepseam::model
