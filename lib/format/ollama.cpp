// See ollama.h.
#include "format/ollama.h"

#include <algorithm>

#include "base/json.h"

namespace deepseam {
namespace {

constexpr uint64_t kMaxManifest = uint64_t{1} << 20;
constexpr std::string_view kMedia = "application/vnd.ollama.image.", kHash = "sha256:";

JsonLimits small_json() {
  JsonLimits limits;
  limits.bytes = kMaxManifest;
  limits.depth = 16;
  limits.nodes = 1u << 16;
  return limits;
}

bool is_digest(std::string_view text) {
  return text.size() == 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// The digest of one layer into a field that is still empty.
Status take_layer(const std::string &name, const Json &layer, const char *what, std::string *into) {
  const std::string_view digest = layer["digest"].text().value_or("");
  if (!digest.starts_with(kHash) || !is_digest(digest.substr(kHash.size())))
    return fail(DS_E_FORMAT, "ollama", "%s: the digest of its %s is no sha256:HEX of 64 digits", name.c_str(), what)
        .at(name);
  if (!into->empty())
    return fail(DS_E_UNSUPPORTED, "ollama", "%s: more than one layer is its %s", name.c_str(), what).at(name);
  *into = digest.substr(kHash.size());
  return {};
}

size_t last_slash(const std::string &path) {
#if defined(_WIN32)
  return path.find_last_of("/\\");
#else
  return path.rfind('/');
#endif
}

}  // namespace

std::string parent_of(const std::string &path) {
  const size_t slash = last_slash(path);
  if (slash == std::string::npos) return ".";
  return slash == 0 ? path.substr(0, 1) : path.substr(0, slash);
}

std::string name_of(const std::string &path) {
  const size_t slash = last_slash(path);
  return slash == std::string::npos ? path : path.substr(slash + 1);
}

std::optional<std::string> ollama_manifest_path(const std::string &path) {
  constexpr const char *kHost = "registry.ollama.ai/", *kNamespace = "library/";  // folders of names without either
  std::string models = parent_of(path), name = name_of(path);
  for (size_t parts = 1; parts <= 3; ++parts) {
    if (open_folder(models + "/manifests", MapMode::kNever).ok()) {
      size_t colon = name.rfind(':');
      if (colon != name.npos && name.find('/', colon) != name.npos) colon = name.npos;  // of a host's port
      const std::string tag = colon == name.npos ? "latest" : name.substr(colon + 1);
      std::string manifest = models + "/manifests/";
      if (parts < 3) manifest += kHost;
      if (parts < 2) manifest += kNamespace;
      return manifest + name.substr(0, colon) + "/" + tag;
    }
    name = name_of(models) + "/" + name;
    models = parent_of(models);
  }
  return std::nullopt;
}

Result<std::optional<OllamaManifest>> read_ollama_manifest(const Source &source) {
  if (source.size() > kMaxManifest) return std::optional<OllamaManifest>();
  const std::string &name = source.name();
  DS_TRY_VALUE(const std::string text, read_whole(source, kMaxManifest));
  const auto document = parse_json(name, text, small_json());
  if (!document.ok()) return std::optional<OllamaManifest>();
  const Json root = json_root(*document.value()), layers = root["layers"];
  if (!root.is_object() || root["schemaVersion"].integer() != 2 || !layers.is_array())
    return std::optional<OllamaManifest>();
  OllamaManifest manifest;
  for (size_t i = 0; i < layers.size(); ++i) {
    const std::string_view media = layers.at(i)["mediaType"].text().value_or("");
    if (!media.starts_with(kMedia)) continue;
    const std::string_view kind = media.substr(kMedia.size());
    if (kind == "model") DS_TRY(take_layer(name, layers.at(i), "model", &manifest.model));
    if (kind == "params") DS_TRY(take_layer(name, layers.at(i), "parameters", &manifest.parameters));
    if (kind == "adapter" || kind == "projector")
      return fail(DS_E_UNSUPPORTED, "ollama", "%s has a layer of kind %s, which this version does not apply",
                  name.c_str(), kind == "adapter" ? "adapter" : "projector")
          .at(name);
  }
  if (manifest.model.empty())
    return fail(DS_E_FORMAT, "ollama", "%s is a manifest without a model layer", name.c_str()).at(name);
  return std::optional<OllamaManifest>(std::move(manifest));
}

std::string ollama_blob_name(const std::string &digest) { return "sha256-" + digest; }

Result<std::string> find_ollama_blobs(const std::string &manifest_path, const std::string &digest, MapMode map) {
  constexpr int kMostLevels = 6;  // TAG, NAME, NAMESPACE, HOST, manifests, and one for a namespace of two parts
  std::string folder = parent_of(manifest_path);
  for (int level = 0; level < kMostLevels; ++level, folder = parent_of(folder)) {
    if (auto blobs = open_folder(folder + "/blobs", map); blobs.ok() && (*blobs)->open(ollama_blob_name(digest)).ok())
      return folder + "/blobs";
    if (parent_of(folder) == folder) break;
  }
  return fail(DS_E_NOT_FOUND, "ollama", "%s names the blob %s, which is in no folder `blobs` above it",
              manifest_path.c_str(), ollama_blob_name(digest).c_str())
      .at(manifest_path);
}

Result<GenerationDefaults> parse_ollama_parameters(const std::string &name, std::string_view text) {
  DS_TRY_VALUE(const auto document, parse_json(name, text, small_json()));
  const Json root = json_root(*document);
  const auto wrong = [&](const char *key) {
    return fail(DS_E_FORMAT, "ollama", "%s: the parameter '%s' has a value of the wrong type", name.c_str(), key)
        .at(name);
  };
  if (!root.is_object())
    return fail(DS_E_FORMAT, "ollama", "%s: its parameters are no JSON object", name.c_str()).at(name);
  GenerationDefaults defaults;
  const auto number = [&](const char *key, std::optional<double> *into) -> Status {
    if (!root.contains(key)) return {};
    *into = root[key].number();
    return *into ? Status() : wrong(key);
  };
  DS_TRY(number("temperature", &defaults.temperature));
  DS_TRY(number("top_p", &defaults.top_p));
  DS_TRY(number("min_p", &defaults.min_p));
  DS_TRY(number("repeat_penalty", &defaults.repetition_penalty));
  if (root.contains("top_k") && !(defaults.top_k = root["top_k"].integer())) return wrong("top_k");
  if (root.contains("num_predict")) {
    const auto most = root["num_predict"].integer();
    if (!most) return wrong("num_predict");
    if (*most > 0) defaults.max_new_tokens = most;  // -1 and -2: until the end
  }
  const Json stop = root["stop"];
  if (stop.text()) defaults.stop_strings.emplace_back(*stop.text());
  if (!stop.is_null() && !stop.text() && !stop.is_array()) return wrong("stop");
  for (size_t i = 0; stop.is_array() && i < stop.size(); ++i) {
    if (!stop.at(i).text()) return wrong("stop");
    defaults.stop_strings.emplace_back(*stop.at(i).text());
  }
  return defaults;
}

}  // namespace deepseam
