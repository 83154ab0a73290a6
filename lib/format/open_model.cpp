#include "format/open_model.h"

#include <algorithm>
#include <cstring>

#include "base/hash.h"
#include "format/gguf_config.h"
#include "format/ollama.h"
#include "format/safetensors.h"
#include "format/tensor_read.h"

namespace deepseam {
namespace {

constexpr uint64_t kMaxConfigBytes = uint64_t{16} << 20;
constexpr uint64_t kMaxTokenizerBytes = uint64_t{256} << 20;

// The content of a file of the folder; empty if there is no such file.
Result<std::string> read_optional(const Folder &folder, const char *name, uint64_t limit) {
  auto source = folder.open(name);
  if (source.ok()) return read_whole(**source, limit);
  if (source.status().code() == DS_E_NOT_FOUND) return std::string();
  return std::move(source).status();
}

// The configuration files of a folder, without its tensors. The answer is how those are quantised.
Result<QuantScheme> read_configs(const Folder &folder, ModelFiles *files) {
  auto source = folder.open("config.json");
  if (!source.ok()) {
    if (source.status().code() != DS_E_NOT_FOUND) return std::move(source).status();
    return fail(DS_E_NOT_FOUND, "format", "%s is no model: there is neither a config.json nor a GGUF file in it",
                folder.path().c_str())
        .at(folder.path());
  }
  DS_TRY_VALUE(files->config_text, read_whole(**source, kMaxConfigBytes));
  DS_TRY_VALUE(files->config, parse_hf_config((*source)->name(), files->config_text));
  DS_TRY_VALUE(QuantScheme scheme, parse_quant_config((*source)->name(), files->config_text));
  files->notes = scheme.notes;
  DS_TRY_VALUE(const std::string generation, read_optional(folder, "generation_config.json", kMaxConfigBytes));
  if (generation.empty()) return scheme;
  DS_TRY_VALUE(files->generation, parse_generation_config(folder.path() + "/generation_config.json", generation));
  return scheme;
}

Result<ModelFiles> open_gguf_files(GgufFile gguf, const std::string &path) {
  ModelFiles files;
  files.kind = ModelKind::kGguf;
  files.path = path;
  DS_TRY_VALUE(GgufConfig config, read_gguf_config(gguf, path));
  files.config = std::move(config.config);
  files.notes = std::move(config.notes);
  files.tensors = std::move(gguf.tensors);
  gguf.tensors = {};
  files.gguf = std::make_shared<const GgufFile>(std::move(gguf));
  return files;
}

Result<size_t> read_first(const Source &source, std::span<uint8_t> into) {
  const size_t count = source.size() < into.size() ? static_cast<size_t>(source.size()) : into.size();
  DS_TRY(source.read_at(0, into.first(count)));
  return count;
}

// A manifest's model by its digest, with the parameters that lie beside it. Its template is not used: ours are exact.
Result<ModelFiles> open_ollama(const OllamaManifest &manifest, const std::string &path, MapMode map) {
  DS_TRY_VALUE(const std::string blobs, find_ollama_blobs(path, manifest.model, map));
  DS_TRY_VALUE(std::shared_ptr<const Folder> folder, open_folder(blobs, map));
  DS_TRY_VALUE(std::shared_ptr<Source> source, folder->open(ollama_blob_name(manifest.model)));
  uint8_t first[4];
  DS_TRY_VALUE(const size_t count, read_first(*source, first));
  const std::string blob = source->name();
  if (!is_gguf({first, count}))
    return fail(DS_E_UNSUPPORTED, "ollama", "%s: its model %s is no GGUF file", path.c_str(), blob.c_str()).at(path);
  DS_TRY_VALUE(GgufFile gguf, open_gguf(std::move(source)));
  DS_TRY_VALUE(ModelFiles files, open_gguf_files(std::move(gguf), blob));
  if (manifest.parameters.empty()) return files;
  DS_TRY_VALUE(const std::string parameters,
               read_optional(*folder, ollama_blob_name(manifest.parameters).c_str(), kMaxConfigBytes));
  if (parameters.empty()) {
    files.notes.push_back(path + ": the blob of its parameters, " + ollama_blob_name(manifest.parameters) +
                          ", is missing or empty; none are used");
    return files;
  }
  DS_TRY_VALUE(files.generation, parse_ollama_parameters(path, parameters));
  return files;
}

Result<ModelFiles> open_manifest(const std::string &path, MapMode map) {
  DS_TRY_VALUE(const std::shared_ptr<Source> source, open_file(path, map));
  DS_TRY_VALUE(const auto manifest, read_ollama_manifest(*source));
  if (!manifest) return fail(DS_E_FORMAT, "ollama", "%s is no manifest of a model", path.c_str()).at(path);
  return open_ollama(*manifest, path, map);
}

// Length of a plausible JSON header, then its first byte: what every safetensors file begins with.
bool is_safetensors(std::span<const uint8_t> first) {
  if (first.size() < 9 || first[8] != '{') return false;
  uint64_t length;
  std::memcpy(&length, first.data(), 8);
  return length <= 100'000'000;
}

// What the first bytes look like, for the message about a file of no known kind.
std::string describe(std::span<const uint8_t> first) {
  if (first.empty()) return "an empty file";
  const auto begins = [&](std::string_view text) {
    return first.size() >= text.size() && std::memcmp(first.data(), text.data(), text.size()) == 0;
  };
  if (begins("PK\x03\x04")) return "a zip archive (a PyTorch checkpoint?); convert it to safetensors";
  if (begins("\x80\x02") || begins("\x80\x04")) return "a Python pickle; convert it to safetensors";
  if (begins("version https://git-lfs")) return "a Git LFS pointer: the real file was not downloaded";
  if (begins("{")) return "a JSON file; open the folder that it lies in";
  if (begins("\x89HDF")) return "an HDF5 file";
  std::string bytes = "bytes";
  constexpr char kDigits[] = "0123456789abcdef";
  for (size_t i = 0; i < first.size() && i < 8; ++i) {
    bytes += ' ';
    bytes += kDigits[first[i] >> 4];
    bytes += kDigits[first[i] & 15];
  }
  return "a file that begins with " + bytes;
}

Result<ModelFiles> open_dsm_files(std::shared_ptr<Source> source) {
  ModelFiles files;
  files.kind = ModelKind::kDsm;
  files.path = source->name();
  DS_TRY_VALUE(DsmFile dsm, open_dsm(std::move(source)));
  files.tensors = std::move(dsm.tensors);
  dsm.tensors = {};
  files.config = dsm.config;
  files.generation = dsm.generation;
  files.dsm = std::make_shared<const DsmFile>(std::move(dsm));
  return files;
}

// The kinds that a lone file can be, other than a safetensors file with a config.json beside it.
Result<ModelFiles> open_lone(std::shared_ptr<Source> source, std::span<const uint8_t> first,
                             const Folder *beside = nullptr) {
  if (is_dsm(first)) return open_dsm_files(std::move(source));
  const std::string name = source->name();
  if (is_gguf(first)) {
    DS_TRY_VALUE(GgufFile gguf, open_gguf(std::move(source), beside));
    return open_gguf_files(std::move(gguf), name);
  }
  if (is_safetensors(first))
    return fail(DS_E_NOT_FOUND, "format", "%s holds tensors without a config.json; open it with its folder",
                name.c_str())
        .at(name);
  return fail(DS_E_FORMAT, "format", "%s is neither a .dsm file nor GGUF nor safetensors, but %s", name.c_str(),
              describe(first).c_str())
      .at(name, 0);
}

// Whether a folder is a Hugging Face checkpoint. Folders of GGUF files may have the config.json of what they were made
// of; a place that cannot be listed is asked for it alone.
Result<bool> is_checkpoint(const Folder &folder) {
  if (folder.open("config.json").status().code() == DS_E_NOT_FOUND) return false;
  DS_TRY_VALUE(const std::vector<std::string> names, folder.list());
  const auto any = [&](std::string_view end) {
    return std::ranges::any_of(names, [&](const std::string &name) { return name.ends_with(end); });
  };
  return any(".safetensors") || any(".safetensors.index.json") || !any(".gguf");
}

}  // namespace

Result<ModelFiles> open_model_files(std::shared_ptr<const Folder> folder) {
  DS_TRY_VALUE(const bool checkpoint, is_checkpoint(*folder));
  if (!checkpoint) {
    DS_TRY_VALUE(const std::string name, find_gguf(*folder));
    if (!name.empty()) {
      DS_TRY_VALUE(GgufFile gguf, open_gguf(*folder, name));
      return open_gguf_files(std::move(gguf), folder->path() + "/" + name);
    }
  }
  ModelFiles files;
  files.path = folder->path();
  DS_TRY_VALUE(const QuantScheme scheme, read_configs(*folder, &files));
  DS_TRY_VALUE(files.tensors, open_hf_tensors(*folder, scheme));
  files.folder = std::move(folder);
  return files;
}

Result<ModelFiles> open_model_files(std::shared_ptr<Source> file, const Folder *beside) {
  uint8_t first[64];
  DS_TRY_VALUE(const size_t count, read_first(*file, first));
  return open_lone(std::move(file), {first, count}, beside);
}

Result<ModelFiles> open_model_files(const std::string &path, MapMode map) {
  if (auto folder = open_folder(path, map); folder.ok()) return open_model_files(std::move(folder).value());
  auto opened = open_file(path, map);
  if (!opened.ok()) {
    const auto manifest = opened.status().code() == DS_E_NOT_FOUND ? ollama_manifest_path(path) : std::nullopt;
    if (!manifest) return std::move(opened).status();
    return open_manifest(*manifest, map);
  }
  const std::shared_ptr<Source> source = std::move(opened).value();
  uint8_t first[64];
  DS_TRY_VALUE(const size_t count, read_first(*source, first));
  if (is_gguf({first, count})) {  // perhaps one part of several
    DS_TRY_VALUE(const auto beside, open_folder(parent_of(path), map));
    DS_TRY_VALUE(GgufFile gguf, open_gguf(*beside, name_of(path)));
    return open_gguf_files(std::move(gguf), path);
  }
  if (count > 0 && first[0] == '{') {
    DS_TRY_VALUE(const auto manifest, read_ollama_manifest(*source));
    if (manifest) return open_ollama(*manifest, path, map);
  }
  if (!is_safetensors({first, count})) return open_lone(source, {first, count});
  DS_TRY_VALUE(std::shared_ptr<const Folder> folder, open_folder(parent_of(path), map));
  ModelFiles files;
  files.path = path;
  DS_TRY_VALUE(const QuantScheme scheme, read_configs(*folder, &files));
  DS_TRY_VALUE(files.tensors, open_hf_tensors(source, scheme));
  files.folder = std::move(folder);
  return files;
}

Result<TokenizerData> read_tokenizer(const ModelFiles &files) {
  TokenizerData data;
  if (files.dsm) {
    const ByteRange &range = files.dsm->tokenizer.range;
    if (range.bytes > kMaxTokenizerBytes)
      return fail(DS_E_FORMAT, "dsm", "%s: a tokenizer of %llu bytes is not possible", files.path.c_str(),
                  static_cast<unsigned long long>(range.bytes))
          .at(files.path, range.offset);
    data.blob.resize(range.bytes);
    DS_TRY(read_range(files.tensors, range, 0, {reinterpret_cast<uint8_t *>(data.blob.data()), data.blob.size()}));
    const std::span<const uint8_t> blob(reinterpret_cast<const uint8_t *>(data.blob.data()), data.blob.size());
    if (range.bytes && hash128(blob) != files.dsm->tokenizer.hash)
      return fail(DS_E_CHECKSUM, "dsm", "%s: the tokenizer is damaged: it differs from its hash", files.path.c_str())
          .at(files.path, range.offset);
    return data;
  }
  if (files.gguf && !files.gguf->metadata.texts("tokenizer.ggml.tokens").empty()) data.gguf = files.gguf;
  if (!files.folder) return data;
  DS_TRY_VALUE(data.tokenizer_json, read_optional(*files.folder, "tokenizer.json", kMaxTokenizerBytes));
  DS_TRY_VALUE(data.tokenizer_config_json, read_optional(*files.folder, "tokenizer_config.json", kMaxConfigBytes));
  DS_TRY_VALUE(data.chat_template, read_optional(*files.folder, "chat_template.jinja", kMaxConfigBytes));
  return data;
}

}  // namespace deepseam
