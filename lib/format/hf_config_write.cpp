// The way back: configuration values as config.json and generation_config.json.
#include "base/json.h"
#include "format/hf_config.h"

namespace deepseam {
namespace {

enum class Section { TOP, ROPE, QUANT };

template <typename T>
void put(JsonWriter *json, const char *key, const std::optional<T> &value) {
  if (value) json->key(key).value(*value);
}

// transformers checks that what it holds as a float is written as one.
void put(JsonWriter *json, const char *key, const std::optional<double> &value) {
  if (value) json->key(key).decimal(*value);
}

void put_ids(JsonWriter *json, const std::vector<int64_t> &ids) {
  if (ids.empty()) return;
  json->key("eos_token_id");
  if (ids.size() == 1) {
    json->value(ids[0]);
    return;
  }
  json->begin_array();
  for (int64_t id : ids) json->value(id);
  json->end_array();
}

void put_section(JsonWriter *json, const HfConfig &config, Section wanted) {
#define DS_CONFIG_FIELD(kind, member, section, name) \
  if (wanted == Section::section) put(json, name, config.member);
#include "format/config_fields.def"
#undef DS_CONFIG_FIELD
}

}  // namespace

std::string write_hf_config(const HfConfig &config) {
  JsonWriter json;
  json.begin_object();
  if (!config.architectures.empty()) {
    json.key("architectures").begin_array();
    for (const std::string &name : config.architectures) json.value(name);
    json.end_array();
  }
  put_section(&json, config, Section::TOP);
  if (!config.q_lora_rank) json.key("q_lora_rank").null();  // left out, it is 1536 to transformers
  put_ids(&json, config.eos_token_ids);
  if (config.rope_type && *config.rope_type != "default") {
    json.key("rope_scaling").begin_object();
    put(&json, "type", config.rope_type);
    put_section(&json, config, Section::ROPE);
    json.end_object();
  }
  if (config.quant_method) {
    json.key("quantization_config").begin_object();
    put_section(&json, config, Section::QUANT);
    json.key("weight_block_size");
    if (config.quant_block_rows) {
      json.begin_array().value(config.quant_block_rows).value(config.quant_block_cols).end_array();
    } else {
      json.null();
    }
    json.end_object();
  }
  json.end_object();
  return json.take();
}

std::string write_generation_config(const GenerationDefaults &defaults) {
  JsonWriter json;
  json.begin_object();
#define DS_GENERATION_FIELD(kind, member) put(&json, #member, defaults.member);
#include "format/generation_fields.def"
#undef DS_GENERATION_FIELD
  put_ids(&json, defaults.eos_token_ids);
  if (!defaults.stop_strings.empty()) {
    json.key("stop_strings").begin_array();
    for (const std::string &text : defaults.stop_strings) json.value(text);
    json.end_array();
  }
  json.end_object();
  return json.take();
}

}  // namespace deepseam
