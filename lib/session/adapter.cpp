#include "session/adapter.h"

#include "model/adapter.h"
#include "session/adapter_slots.h"
#include "session/model.h"

namespace deepseam::session {

Result<LoraFiles> open_adapter_source(const ModelSource &source) {
  if (source.file)
    return fail(DS_E_UNSUPPORTED, "session",
                "an adapter in one file, expected a folder with adapter_config.json and adapter_model.safetensors");
  if (source.folder) return open_lora(*source.folder);
  DS_TRY_VALUE(const auto folder, open_folder(source.path, MapMode::kNever));
  return open_lora(*folder);
}

Result<std::shared_ptr<Adapter>> Adapter::load(const std::shared_ptr<Model> &model, const ModelSource &source) {
  DS_TRY(model->runtime()->check_open());
  if (!model->adapters())
    return fail(DS_E_UNSUPPORTED, "session", "the model was opened without its weights; open it without NO_WEIGHTS");
  DS_TRY_VALUE(const LoraFiles files, open_adapter_source(source));
  DS_TRY_VALUE(const model::Adapter deltas, model::read_adapter(model->config(), files));
  DS_TRY_VALUE(const uint32_t slot, model->adapters()->load(deltas));
  std::shared_ptr<Adapter> adapter;
  try {
    adapter.reset(new Adapter(model, deltas.identity));
  } catch (...) {
    model->adapters()->unload(slot);
    throw;
  }
  adapter->slot_ = slot;
  return adapter;
}

Adapter::~Adapter() {
  if (slot_) model_->adapters()->unload(slot_);
}

}  // namespace deepseam::session
