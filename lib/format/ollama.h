// Models as Ollama keeps them: a manifest for each NAME/TAG that names blobs by digest.
//
//   MODELS/manifests/HOST/NAMESPACE/NAME/TAG   JSON: layers, each with mediaType, digest, size
//   MODELS/blobs/sha256-HEX                    the layers: a GGUF file, parameters as JSON, template, licence
//
// A digest becomes a file name only after it was checked to be 64 hexadecimal digits. A model is asked for by the path
// of its manifest, or as MODELS/NAME:TAG; where MODELS is, the caller knows. Templates are not read: prompts are
// written as the models were trained.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/status.h"
#include "format/hf_config.h"

namespace deepseam {

// Path and last name of a file's path.
std::string parent_of(const std::string &path);
std::string name_of(const std::string &path);

struct OllamaManifest {
  std::string model;       // 64 hexadecimal digits
  std::string parameters;  // likewise; empty if there are none
};

// The manifest that MODELS/NAME:TAG stands for: also without a tag (latest), and with a namespace and a host in front
// of the name. Nothing if there is no MODELS/manifests; the manifest itself may be missing.
std::optional<std::string> ollama_manifest_path(const std::string &path);

// Nothing if the file is something else. DS_E_FORMAT: a manifest with a digest that is none, or without a model;
// DS_E_UNSUPPORTED: one of several model layers or with an adapter or projector, which would change what it computes.
Result<std::optional<OllamaManifest>> read_ollama_manifest(const Source &source);

std::string ollama_blob_name(const std::string &digest);  // "sha256-" and the digits

// The folder `blobs` of the MODELS that a manifest lies in. DS_E_NOT_FOUND names the blob that is in none.
Result<std::string> find_ollama_blobs(const std::string &manifest_path, const std::string &digest, MapMode map);

// temperature, top_k, top_p, min_p, repeat_penalty, num_predict, stop; others are ignored. DS_E_FORMAT: a wrong type.
Result<GenerationDefaults> parse_ollama_parameters(const std::string &name, std::string_view text);

}  // namespace deepseam
