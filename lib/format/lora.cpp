#include "format/lora.h"

#include <algorithm>
#include <cmath>

#include "base/json.h"
#include "format/safetensors.h"

namespace deepseam {
namespace {

constexpr const char *kConfigName = "adapter_config.json";
constexpr const char *kWeightsName = "adapter_model.safetensors";
constexpr const char *kPickleName = "adapter_model.bin";
constexpr double kMostAlpha = 1e6;

// Fields that must be null, false or empty, and what they would mean otherwise.
struct Refused {
  const char *field, *why;
};
constexpr Refused kRefused[] = {
    {"use_dora", "DoRA's magnitudes are not computed"},
    {"lora_bias", "biases in adapters are not computed"},
    {"fan_in_fan_out", "no module of the family stores its weights transposed"},
    {"modules_to_save", "whole modules are not replaced, only low-rank deltas are added"},
    {"target_parameters", "deltas of bare parameters are not computed, only those of modules"},
    {"layer_replication", "layers are not repeated"},
    {"trainable_token_indices", "rows of the embedding are not replaced"},
    {"use_qalora", "QALoRA's pooled inputs are not computed"},
    {"alora_invocation_tokens", "an adapter is on for a whole request, not from some token on"},
    {"arrow_config", "adapters are chosen by the request, not by a router"},
};

// Ways of initialising that leave the model's own weights alone.
constexpr std::string_view kPlainInits[] = {"gaussian", "eva", "orthogonal"};

Status wrong(const std::string &file, const char *field, const char *expected) {
  return fail(DS_E_FORMAT, "lora", "%s: '%s' is missing or not %s", file.c_str(), field, expected).at(file);
}

std::string cut(std::string_view text) { return std::string(text.substr(0, 64)); }

bool is_set(const Json &value) {
  if (value.is_null()) return false;
  if (const auto flag = value.boolean()) return *flag;
  if (const auto text = value.text()) return !text->empty();
  return !(value.is_array() || value.is_object()) || value.size() > 0;
}

Status check_refused(const std::string &file, const Json &root) {
  const auto type = root["peft_type"].text();
  if (!type) return wrong(file, "peft_type", "a string");
  if (*type != "LORA")
    return fail(DS_E_UNSUPPORTED, "lora", "%s: 'peft_type' is \"%s\", expected \"LORA\"", file.c_str(),
                cut(*type).c_str())
        .at(file);
  for (const Refused &refused : kRefused)
    if (is_set(root[refused.field]))
      return fail(DS_E_UNSUPPORTED, "lora", "%s: '%s' is set, expected null, false or empty: %s", file.c_str(),
                  refused.field, refused.why)
          .at(file);
  const Json bias = root["bias"], init = root["init_lora_weights"];
  if (is_set(bias) && bias.text() != "none")
    return fail(DS_E_UNSUPPORTED, "lora", "%s: 'bias' is \"%s\", expected \"none\": biases are not trained with",
                file.c_str(), bias.text() ? cut(*bias.text()).c_str() : "no string")
        .at(file);
  if (const auto name = init.text(); name && std::ranges::find(kPlainInits, *name) == std::end(kPlainInits))
    return fail(DS_E_UNSUPPORTED, "lora",
                "%s: 'init_lora_weights' is \"%s\", expected true, false, gaussian, eva or orthogonal: others change "
                "the model's own weights; convert the adapter to plain LoRA when saving it",
                file.c_str(), cut(*name).c_str())
        .at(file);
  return {};
}

bool is_module_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
  });
}

Status read_pattern(const std::string &file, const Json &root, const char *field, double least, double most,
                    std::vector<LoraPattern> *into) {
  const Json value = root[field];
  if (value.is_null()) return {};
  if (!value.is_object()) return wrong(file, field, "an object");
  for (size_t i = 0; i < value.size(); ++i) {
    std::string_view key = value.key(i);
    LoraPattern pattern;
    pattern.exact = !key.empty() && key[0] == '^';
    if (pattern.exact) key.remove_prefix(1);
    if (!is_module_name(key))
      return fail(DS_E_UNSUPPORTED, "lora",
                  "%s: '%s' has the key \"%s\", expected names of modules such as \"q_proj\" or "
                  "\"model.layers.0.self_attn.q_proj\"; other patterns are not matched",
                  file.c_str(), field, cut(value.key(i)).c_str())
          .at(file);
    pattern.module = key;
    const auto number = value.at(i).number();
    if (!number || !(*number >= least && *number <= most))
      return fail(DS_E_FORMAT, "lora", "%s: '%s' of \"%s\" must be a number from %g to %g", file.c_str(), field,
                  cut(key).c_str(), least, most)
          .at(file);
    pattern.value = *number;
    into->push_back(std::move(pattern));
  }
  return {};
}

const LoraPattern *find_pattern(const std::vector<LoraPattern> &patterns, std::string_view module) {
  for (const LoraPattern &pattern : patterns) {
    const std::string_view name = pattern.module;
    if (module == name) return &pattern;
    if (!pattern.exact && module.size() > name.size() && module.ends_with(name) &&
        module[module.size() - name.size() - 1] == '.')
      return &pattern;
  }
  return nullptr;
}

Status missing(const Folder &folder, const char *name) {
  return fail(DS_E_NOT_FOUND, "lora", "%s: there is no %s in it, which every adapter's folder has",
              folder.path().c_str(), name)
      .at(folder.path());
}

}  // namespace

uint32_t LoraConfig::rank_of(std::string_view module) const {
  const LoraPattern *pattern = find_pattern(rank_pattern, module);
  return pattern ? static_cast<uint32_t>(pattern->value) : rank;
}

double LoraConfig::scale_of(std::string_view module) const {
  const LoraPattern *pattern = find_pattern(alpha_pattern, module);
  const double r = rank_of(module);
  return (pattern ? pattern->value : alpha) / (rslora ? std::sqrt(r) : r);
}

Result<LoraConfig> parse_lora_config(const std::string &name, std::string_view text) {
  JsonLimits limits;
  limits.depth = 16;
  limits.nodes = 1u << 20;
  DS_TRY_VALUE(const auto document, parse_json(name, text, limits));
  const Json root = json_root(*document);
  if (!root.is_object()) return fail(DS_E_FORMAT, "lora", "%s: not a JSON object", name.c_str()).at(name);
  DS_TRY(check_refused(name, root));
  LoraConfig config;
  const auto rank = root["r"].integer();
  if (!rank || *rank < 1 || *rank > kMostLoraRank) return wrong(name, "r", "an integer from 1 to 512");
  config.rank = static_cast<uint32_t>(*rank);
  const auto alpha = root["lora_alpha"].number();
  if (!alpha || !(*alpha > 0 && *alpha <= kMostAlpha)) return wrong(name, "lora_alpha", "a number above 0, up to 1e6");
  config.alpha = *alpha;
  const Json rslora = root["use_rslora"];
  if (!rslora.is_null() && !rslora.boolean()) return wrong(name, "use_rslora", "true or false");
  config.rslora = rslora.boolean().value_or(false);
  DS_TRY(read_pattern(name, root, "rank_pattern", 1, kMostLoraRank, &config.rank_pattern));
  for (const LoraPattern &pattern : config.rank_pattern)
    if (pattern.value != std::floor(pattern.value))
      return fail(DS_E_FORMAT, "lora", "%s: 'rank_pattern' of \"%s\" must be an integer, found %g", name.c_str(),
                  cut(pattern.module).c_str(), pattern.value)
          .at(name);
  DS_TRY(read_pattern(name, root, "alpha_pattern", 1e-6, kMostAlpha, &config.alpha_pattern));
  return config;
}

Result<LoraFiles> open_lora(const Folder &folder) {
  LoraFiles files;
  files.path = folder.path();
  auto config = folder.open(kConfigName);
  if (!config.ok())
    return config.status().code() == DS_E_NOT_FOUND ? missing(folder, kConfigName) : std::move(config).status();
  DS_TRY_VALUE(const std::string text, read_whole(**config, uint64_t{16} << 20));
  DS_TRY_VALUE(files.config, parse_lora_config((*config)->name(), text));
  auto weights = folder.open(kWeightsName);
  if (!weights.ok()) {
    if (weights.status().code() != DS_E_NOT_FOUND) return std::move(weights).status();
    if (!folder.open(kPickleName).ok()) return missing(folder, kWeightsName);
    return fail(DS_E_UNSUPPORTED, "lora", "%s: holds %s, expected %s: pickles are not read; save the adapter again",
                folder.path().c_str(), kPickleName, kWeightsName)
        .at(folder.path());
  }
  DS_TRY_VALUE(files.tensors, read_safetensors(std::move(weights).value()));
  return files;
}

}  // namespace deepseam
