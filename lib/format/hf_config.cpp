#include "format/hf_config.h"

#include "base/json.h"

namespace deepseam {
namespace {

const char *type_name(const Json &value) {
  switch (value.type()) {
    case JsonType::kNull:
      return "null";
    case JsonType::kBool:
      return "a bool";
    case JsonType::kInteger:
      return "an integer";
    case JsonType::kNumber:
      return "a number with a fraction";
    case JsonType::kString:
      return "a string";
    case JsonType::kArray:
      return "a list";
    case JsonType::kObject:
      return "an object";
  }
  return "something else";
}

// Reads fields of one file and knows how to say what is wrong with them.
class Fields {
 public:
  explicit Fields(const std::string &file) : file_(file) {}

  // Null and missing count as absent; anything else must be of the field's type.
  Status read(const Json &section, const char *key, std::optional<int64_t> *into) const {
    return take(section[key], key, "an integer", section[key].integer(), into);
  }
  Status read(const Json &section, const char *key, std::optional<double> *into) const {
    return take(section[key], key, "a number", section[key].number(), into);
  }
  Status read(const Json &section, const char *key, std::optional<bool> *into) const {
    return take(section[key], key, "true or false", section[key].boolean(), into);
  }
  Status read(const Json &section, const char *key, std::optional<std::string> *into) const {
    std::optional<std::string> text;
    if (auto view = section[key].text()) text.emplace(*view);
    return take(section[key], key, "a string", std::move(text), into);
  }

  // One id or a list of ids.
  Status read_ids(const Json &section, const char *key, std::vector<int64_t> *into) const {
    const Json value = section[key];
    if (value.is_null()) return {};
    into->clear();
    if (auto id = value.integer()) return into->push_back(*id), Status();
    if (!value.is_array()) return wrong(key, "an integer or a list of integers", value);
    for (size_t i = 0; i < value.size(); ++i) {
      auto id = value.at(i).integer();
      if (!id) return wrong(key, "a list of integers", value.at(i));
      into->push_back(*id);
    }
    return {};
  }

  // One text or a list of texts.
  Status read_texts(const Json &section, const char *key, std::vector<std::string> *into) const {
    const Json value = section[key];
    if (value.is_null()) return {};
    into->clear();
    if (auto text = value.text()) return into->emplace_back(*text), Status();
    if (!value.is_array()) return wrong(key, "a string or a list of strings", value);
    for (size_t i = 0; i < value.size(); ++i) {
      auto text = value.at(i).text();
      if (!text) return wrong(key, "a list of strings", value.at(i));
      into->emplace_back(*text);
    }
    return {};
  }

  // A nested section; null and missing give an empty view.
  Status section(const Json &root, const char *key, Json *into) const {
    const Json value = root[key];
    if (value.is_null()) return {};
    if (!value.is_object()) return wrong(key, "an object", value);
    *into = value;
    return {};
  }

  Status wrong(const char *key, const char *expected, const Json &found) const {
    return fail(DS_E_FORMAT, "config", "%s: '%s' must be %s, found %s", file_.c_str(), key, expected, type_name(found))
        .at(file_);
  }

  const std::string &file() const { return file_; }

 private:
  template <typename T>
  Status take(const Json &value, const char *key, const char *expected, std::optional<T> found,
              std::optional<T> *into) const {
    if (value.is_null()) return {};
    if (!found) return wrong(key, expected, value);
    *into = std::move(found);
    return {};
  }
  const std::string &file_;
};

Status read_architectures(const Fields &fields, const Json &root, std::vector<std::string> *into) {
  const Json value = root["architectures"];
  if (value.is_null()) return {};
  if (!value.is_array()) return fields.wrong("architectures", "a list of strings", value);
  for (size_t i = 0; i < value.size(); ++i) {
    auto text = value.at(i).text();
    if (!text) return fields.wrong("architectures", "a list of strings", value.at(i));
    into->emplace_back(*text);
  }
  return {};
}

// quantization_config: weight_block_size null or absent with fp8 means one scale a tensor.
Status read_block_size(const Fields &fields, const Json &quant, HfConfig *config) {
  const Json value = quant["weight_block_size"];
  if (value.is_null()) {
    if (quant.is_object() && quant.contains("weight_block_size"))
      config->quant_block_rows = config->quant_block_cols = 0;
    return {};
  }
  constexpr int64_t kMaxBlock = 1 << 20;
  auto rows = value.at(0).integer(), cols = value.at(1).integer();
  if (!value.is_array() || value.size() != 2 || !rows || !cols)
    return fields.wrong("weight_block_size", "a list of two integers", value);
  if (*rows < 1 || *rows > kMaxBlock || *cols < 1 || *cols > kMaxBlock)
    return fail(DS_E_FORMAT, "config", "%s: weight_block_size must lie between 1 and %lld, found %lld x %lld",
                fields.file().c_str(), static_cast<long long>(kMaxBlock), static_cast<long long>(*rows),
                static_cast<long long>(*cols))
        .at(fields.file());
  config->quant_block_rows = static_cast<uint32_t>(*rows);
  config->quant_block_cols = static_cast<uint32_t>(*cols);
  return {};
}

// Spellings that newer or older files use beside those of config_fields.def.
Status read_other_spellings(const Fields &fields, const Json &root, const Json &rope, HfConfig *config) {
  DS_TRY(fields.read(root, "dtype", &config->torch_dtype));
  DS_TRY(fields.read(rope, "rope_theta", &config->rope_theta));
  if (!config->rope_type) DS_TRY(fields.read(rope, "type", &config->rope_type));
  return {};
}

Result<std::shared_ptr<const JsonDocument>> parse_object(const std::string &name, std::string_view text) {
  JsonLimits limits;
  limits.bytes = uint64_t{16} << 20;
  limits.depth = 32;
  limits.nodes = 1u << 20;
  DS_TRY_VALUE(auto document, parse_json(name, text, limits));
  const Json root = json_root(*document);
  if (!root.is_object())
    return fail(DS_E_FORMAT, "config", "%s: expected a JSON object, found %s", name.c_str(), type_name(root)).at(name);
  return document;
}

}  // namespace

Result<HfConfig> parse_hf_config(const std::string &name, std::string_view text) {
  DS_TRY_VALUE(const auto document, parse_object(name, text));
  const Fields fields(name);
  const Json TOP = json_root(*document);
  Json ROPE, QUANT;
  DS_TRY(fields.section(TOP, "rope_scaling", &ROPE));
  DS_TRY(fields.section(TOP, "rope_parameters", &ROPE));  // the newer spelling wins
  DS_TRY(fields.section(TOP, "quantization_config", &QUANT));
  HfConfig config;
#define DS_CONFIG_FIELD(kind, member, section, key) DS_TRY(fields.read(section, key, &config.member));
#include "format/config_fields.def"
#undef DS_CONFIG_FIELD
  DS_TRY(read_other_spellings(fields, TOP, ROPE, &config));
  DS_TRY(read_architectures(fields, TOP, &config.architectures));
  DS_TRY(fields.read_ids(TOP, "eos_token_id", &config.eos_token_ids));
  DS_TRY(read_block_size(fields, QUANT, &config));
  apply_config_defaults(&config);
  return config;
}

Result<GenerationDefaults> parse_generation_config(const std::string &name, std::string_view text) {
  DS_TRY_VALUE(const auto document, parse_object(name, text));
  const Fields fields(name);
  const Json root = json_root(*document);
  GenerationDefaults defaults;
#define DS_GENERATION_FIELD(kind, member) DS_TRY(fields.read(root, #member, &defaults.member));
#include "format/generation_fields.def"
#undef DS_GENERATION_FIELD
  DS_TRY(fields.read_ids(root, "eos_token_id", &defaults.eos_token_ids));
  DS_TRY(fields.read_texts(root, "stop_strings", &defaults.stop_strings));
  return defaults;
}

void apply_config_defaults(HfConfig *config) {
  const auto fill = [](auto *field, auto value) {
    if (!field->has_value()) *field = value;
  };
  const bool v3 = config->model_type == "deepseek_v3";
  fill(&config->n_routed_experts, 0);
  fill(&config->n_shared_experts, 0);
  fill(&config->first_k_dense_replace, 0);
  fill(&config->num_nextn_predict_layers, 0);
  fill(&config->moe_layer_freq, 1);
  fill(&config->n_group, 1);
  fill(&config->topk_group, 1);
  fill(&config->topk_method, v3 ? "noaux_tc" : "greedy");
  fill(&config->scoring_func, v3 ? "sigmoid" : "softmax");
  fill(&config->norm_topk_prob, v3);
  fill(&config->routed_scaling_factor, 1.0);
  fill(&config->rms_norm_eps, 1e-6);
  fill(&config->rope_theta, 10000.0);
  fill(&config->rope_type, "default");
  fill(&config->rope_interleave, true);
  fill(&config->hidden_act, "silu");
  fill(&config->tie_word_embeddings, false);
  fill(&config->attention_bias, false);
}

}  // namespace deepseam
