// Opening a model by what its bytes are, not by its name: a Hugging Face folder, a .dsm file, a GGUF file or the parts
// of a split one, a lone safetensors file beside its config.json, a manifest of Ollama's. Headers only; numbers and
// tokenizer are read when asked for.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/file.h"
#include "base/status.h"
#include "format/dsm.h"
#include "format/gguf.h"
#include "format/hf_config.h"
#include "format/tensors.h"

namespace deepseam {

enum class ModelKind : uint32_t { kHfFolder = 1, kDsm = 2, kGguf = 3 };

struct ModelFiles {
  ModelKind kind = ModelKind::kHfFolder;
  std::string path;  // for messages
  TensorDirectory tensors;
  HfConfig config;
  GenerationDefaults generation;
  std::string config_text;               // config.json as read; empty for .dsm
  std::shared_ptr<const Folder> folder;  // kHfFolder
  std::shared_ptr<const DsmFile> dsm;    // kDsm; its tensor directory is moved to `tensors`
  std::shared_ptr<const GgufFile> gguf;  // kGguf; likewise
  std::vector<std::string> notes;        // what the files leave out or say and is not followed; what was taken
  bool host_reads = false;               // by the host's own functions, where each read may cost a lot
};

// Tokenizer files of an HF folder (texts; empty where there is none), the blob of a .dsm, or the keys of a GGUF file.
struct TokenizerData {
  std::string tokenizer_json;
  std::string tokenizer_config_json;
  std::string chat_template;  // chat_template.jinja, where the template has a file of its own
  std::string blob;
  std::shared_ptr<const GgufFile> gguf;  // its metadata holds a vocabulary
  bool empty() const { return tokenizer_json.empty() && blob.empty() && !gguf; }
};

// A folder or a file. DS_E_NOT_FOUND: nothing there, or a folder with neither config.json nor a GGUF model in it.
// DS_E_MODEL: a GGUF file of another architecture. DS_E_FORMAT: anything else, saying what was found.
Result<ModelFiles> open_model_files(const std::string &path, MapMode map);
Result<ModelFiles> open_model_files(std::shared_ptr<const Folder> folder);
// .dsm or GGUF: a lone file has no config.json. `beside`: where the other parts of a split GGUF file are (gguf.h).
Result<ModelFiles> open_model_files(std::shared_ptr<Source> file, const Folder *beside = nullptr);

Result<TokenizerData> read_tokenizer(const ModelFiles &files);

// What the model is, by content: names, types, shapes, hyper-parameters, tokenizer and numbers; never path or time.
// A .dsm states hashes of all its content and costs nothing here. For HF folders and GGUF files the numbers are
// sampled: the first and last 4 KiB of every tensor (10,600 reads for V2-Lite), because hashing 30 GB at every open
// would take longer than loading it; two checkpoints that differ only inside tensors are told apart unless someone
// means them not to be.
Result<Fingerprint> model_fingerprint(const ModelFiles &files, const CancelWord *cancel);

}  // namespace deepseam
