#include "session/source.h"

#include "base/shared_library.h"
#include "session/plan.h"

namespace deepseam::session {

Result<ModelFiles> open_source(const ModelSource &source, MapMode map) {
  if (source.file) return open_model_files(source.file);
  if (source.folder) return open_model_files(source.folder);
  if (source.path != "embedded") return open_model_files(source.path, map);
  const std::string path = own_folder() + "/deepseam/embedded.dsm";
  auto files = open_model_files(path, map);
  if (files.ok() || files.status().code() != DS_E_NOT_FOUND) return files;
  return fail(DS_E_NOT_FOUND, "session", "no model is embedded: there is no %s", path.c_str()).at(path);
}

Result<text::Tokenizer::Pointer> load_tokenizer(const ModelFiles &files) {
  DS_TRY_VALUE(const TokenizerData data, read_tokenizer(files));
  if (data.empty()) return text::Tokenizer::Pointer();
  if (data.blob.empty()) return text::Tokenizer::from_hf(data.tokenizer_json, data.tokenizer_config_json, files.path);
  return text::Tokenizer::from_blob({reinterpret_cast<const uint8_t *>(data.blob.data()), data.blob.size()},
                                    files.path);
}

}  // namespace deepseam::session
