// See quant_config.h. One function for each method; every refusal comes from Section.
#include "format/quant_config.h"

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <optional>

#include "base/json.h"

namespace deepseam {
namespace {

constexpr int64_t kMaxBlock = 1 << 20;
constexpr size_t kMaxGroups = 64;

// What a file says, shortened and without control characters.
std::string found_text(const Json &value) {
  switch (value.type()) {
    case JsonType::kNull:
      return "missing";
    case JsonType::kBool:
      return *value.boolean() ? "true" : "false";
    case JsonType::kInteger:
      return std::to_string(*value.integer());
    case JsonType::kNumber: {
      char text[64];
      return std::string(text, std::to_chars(text, text + sizeof text, *value.number()).ptr);
    }
    case JsonType::kArray:
      return "a list of " + std::to_string(value.size());
    case JsonType::kObject:
      return "an object";
    case JsonType::kString:
      break;
  }
  std::string shown = "'";
  for (const char c : value.text()->substr(0, 60)) shown += c >= 0x20 && c < 0x7f ? c : '?';
  return shown + "'";
}

std::string lower(std::string_view text) {
  std::string low(text);
  for (char &c : low)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return low;
}

// One object of the configuration, with its place in it.
class Section {
 public:
  Section(const std::string &file, std::string path, Json json) : file_(file), path_(std::move(path)), json_(json) {}

  const Json &json() const { return json_; }
  Json operator[](const char *key) const { return json_[key]; }
  std::string where() const { return file_ + ": " + path_; }

  Status wrong(ds_status code, const char *key, const std::string &found, const std::string &expected) const {
    return fail(code, "config", "%s: %s.%s is %s, expected %s", file_.c_str(), path_.c_str(), key, found.c_str(),
                expected.c_str())
        .at(file_);
  }
  Status refuse(const char *key, const std::string &expected) const {
    return wrong(DS_E_UNSUPPORTED, key, found_text(json_[key]), expected);
  }
  Status mistyped(const char *key, const std::string &expected) const {
    return wrong(DS_E_FORMAT, key, found_text(json_[key]), expected);
  }

  // A nested object; null and missing give an empty one.
  Result<Section> section(const char *key) const {
    const Json value = json_[key];
    if (!value.is_null() && !value.is_object()) return mistyped(key, "an object");
    return Section(file_, path_ + "." + key, value);
  }
  // One of the words, in any case; absent the first. The answer is its index.
  Result<size_t> word(const char *key, std::initializer_list<const char *> words) const {
    const Json value = json_[key];
    if (value.is_null()) return size_t{0};
    if (!value.is_string()) return mistyped(key, "a string");
    std::string expected;
    size_t i = 0;
    for (const char *each : words) {
      if (lower(*value.text()) == each) return i;
      expected += (i++ ? " or '" : "'") + std::string(each) + "'";
    }
    return refuse(key, expected);
  }
  Result<bool> flag(const char *key, bool absent) const {
    const Json value = json_[key];
    if (value.is_null()) return absent;
    if (!value.boolean()) return mistyped(key, "true or false");
    return *value.boolean();
  }
  Status check_bits(const char *key, int64_t bits) const {
    const Json value = json_[key];
    if (!value.is_null() && !value.integer()) return mistyped(key, "an integer");
    if (value.integer() != bits) return refuse(key, std::to_string(bits));
    return {};
  }
  // Inputs of a group; 0 for all of them (written -1).
  Result<uint32_t> group_size() const {
    const Json value = json_["group_size"];
    const auto size = value.integer();
    if (!value.is_null() && !size) return mistyped("group_size", "an integer");
    if (size == -1) return uint32_t{0};
    if (!size || *size < 1 || *size > kMaxBlock || *size % 32 != 0)
      return refuse("group_size", "-1 or a multiple of 32");
    return static_cast<uint32_t>(*size);
  }
  // A list of texts, which are not looked at.
  Status check_names(const char *key) const {
    const Json value = json_[key];
    if (value.is_null()) return {};
    if (!value.is_array()) return mistyped(key, "a list of strings");
    for (size_t i = 0; i < value.size(); ++i)
      if (!value.at(i).is_string())
        return wrong(DS_E_FORMAT, key, "a list with " + found_text(value.at(i)), "a list of strings");
    return {};
  }
  // Something that changes the numbers and is not done: absent, or an empty object.
  Status check_empty(const char *key) const {
    const Json value = json_[key];
    if (value.is_null() || (value.is_object() && value.size() == 0)) return {};
    return value.is_object() ? refuse(key, "nothing") : mistyped(key, "an object");
  }
  Result<ScaleBlocks> blocks(const char *key) const {
    const Json value = json_[key];
    const auto rows = value.at(0).integer(), cols = value.at(1).integer();
    if (!value.is_array() || value.size() != 2 || !rows || !cols) return mistyped(key, "a list of two integers");
    if (*rows < 1 || *rows > kMaxBlock || *cols < 1 || *cols > kMaxBlock)
      return wrong(DS_E_FORMAT, key, std::to_string(*rows) + " x " + std::to_string(*cols), "1 to 2^20 each");
    return ScaleBlocks{static_cast<uint32_t>(*rows), static_cast<uint32_t>(*cols)};
  }

 private:
  const std::string &file_;
  std::string path_;
  Json json_;
};

constexpr const char *kActivations =
    " asks for quantised activations; weights alone are quantised here, and input scales are not used";

Status parse_fp8(const Section &quant, QuantScheme *scheme) {
  DS_TRY(quant.word("fmt", {"e4m3", "e4m3fn"}).status());
  DS_TRY_VALUE(const size_t activations, quant.word("activation_scheme", {"dynamic", "static"}));
  if (activations == 1) scheme->notes.push_back(quant.where() + ".activation_scheme" + kActivations);
  for (const char *key : {"ignored_layers", "modules_to_not_convert"}) DS_TRY(quant.check_names(key));
  WeightScheme way;
  way.where = quant.where();
  if (!quant["weight_block_size"].is_null()) {
    DS_TRY_VALUE(way.blocks, quant.blocks("weight_block_size"));
    scheme->ways.push_back(way);
    return {};
  }
  if (!quant.json().contains("weight_block_size")) scheme->ways.push_back(way);  // DeepSeek's 128 x 128
  way.blocks = {0, 0};
  scheme->ways.push_back(way);
  return {};
}

Status parse_awq(const Section &quant, QuantScheme *scheme) {
  DS_TRY(quant.check_bits("bits", 4));
  DS_TRY(quant.word("version", {"gemm"}).status());
  DS_TRY(quant.word("backend", {"autoawq"}).status());
  DS_TRY_VALUE(const bool zeros, quant.flag("zero_point", true));
  if (!zeros) return quant.refuse("zero_point", "true");
  DS_TRY(quant.check_names("modules_to_not_convert"));
  WeightScheme way;
  way.where = quant.where();
  way.integers = true;
  way.blocks.rows = 1;
  DS_TRY_VALUE(way.blocks.cols, quant.group_size());
  scheme->ways.push_back(way);
  return {};
}

// Exceptions by module: those that leave one alone are no matter, those that store one otherwise are.
Status check_dynamic(const Section &quant) {
  const Json rules = quant["dynamic"];
  if (!rules.is_null() && !rules.is_object()) return quant.mistyped("dynamic", "an object");
  for (size_t i = 0; i < rules.size(); ++i) {
    if (rules.key(i).starts_with("-:") || (rules.at(i).is_object() && rules.at(i).size() == 0)) continue;
    return quant.wrong(DS_E_UNSUPPORTED, "dynamic", "a list with other settings for some modules", "one setting");
  }
  return {};
}

Status parse_gptq(const Section &quant, QuantScheme *scheme) {
  DS_TRY(quant.check_bits("bits", 4));
  DS_TRY_VALUE(const size_t second, quant.word("checkpoint_format", {"gptq", "gptq_v2"}));
  DS_TRY(quant.word("pack_dtype", {"int32"}).status());
  DS_TRY(check_dynamic(quant));
  WeightScheme way;
  way.where = quant.where();
  way.integers = true;
  way.blocks.rows = 1;
  DS_TRY_VALUE(way.blocks.cols, quant.group_size());
  DS_TRY_VALUE(way.symmetric, quant.flag("sym", false));
  DS_TRY_VALUE(way.scattered, quant.flag("desc_act", false));
  scheme->zero_added = second ? 0 : 1;
  scheme->ways.push_back(way);
  return {};
}

// One config group's "weights" of a compressed-tensors file.
Result<WeightScheme> parse_weights(const Section &weights, bool packed) {
  WeightScheme way;
  way.where = weights.where();
  DS_TRY_VALUE(const size_t integers, weights.word("type", {"int", "float"}));
  way.integers = integers == 0;
  if (way.integers != packed) return weights.refuse("type", packed ? "'int', as pack-quantized has" : "'float'");
  DS_TRY(weights.check_bits("num_bits", packed ? 4 : 8));
  DS_TRY_VALUE(way.symmetric, weights.flag("symmetric", true));
  if (!packed && !way.symmetric) return weights.refuse("symmetric", "true");
  DS_TRY_VALUE(const bool dynamic, weights.flag("dynamic", false));
  if (dynamic) return weights.refuse("dynamic", "false");
  const Json order = weights["actorder"];  // "weight", "static": groups stay in place; true: as "group"
  if (order.boolean()) {
    way.scattered = *order.boolean();
  } else {
    DS_TRY_VALUE(const size_t which, weights.word("actorder", {"weight", "static", "group", "dynamic"}));
    way.scattered = which >= 2;
  }
  if (weights["strategy"].is_null()) return weights.refuse("strategy", "'tensor', 'channel', 'group' or 'block'");
  DS_TRY_VALUE(const size_t strategy, weights.word("strategy", {"tensor", "channel", "group", "block"}));
  way.blocks = {0, 0};
  if (packed && (strategy == 0 || strategy == 3)) return weights.refuse("strategy", "'channel' or 'group'");
  if (strategy != 0) way.blocks.rows = 1;
  if (strategy == 2) {
    DS_TRY_VALUE(way.blocks.cols, weights.group_size());
  }
  if (strategy == 3) {
    DS_TRY_VALUE(way.blocks, weights.blocks("block_structure"));
  }
  if (way.scattered && (!packed || strategy != 2)) return weights.refuse("actorder", "null without 4-bit groups");
  return way;
}

Status parse_config_group(const Section &quant, const Section &group, QuantScheme *scheme) {
  const Section &stated = group["format"].is_null() ? quant : group;
  if (stated["format"].is_null()) return stated.refuse("format", "'float-quantized' or 'pack-quantized'");
  DS_TRY_VALUE(const size_t format, stated.word("format", {"float-quantized", "naive-quantized", "pack-quantized"}));
  DS_TRY(group.check_names("targets"));
  DS_TRY_VALUE(const Section weights, group.section("weights"));
  if (weights.json().is_null()) return {};  // activations only
  DS_TRY_VALUE(const Section inputs, group.section("input_activations"));
  if (!inputs.json().is_null()) scheme->notes.push_back(inputs.where() + kActivations);
  DS_TRY_VALUE(WeightScheme way, parse_weights(weights, format == 2));
  scheme->ways.push_back(std::move(way));
  return {};
}

Status parse_compressed(const Section &quant, QuantScheme *scheme) {
  DS_TRY(quant.check_names("ignore"));
  DS_TRY(quant.check_empty("transform_config"));
  DS_TRY_VALUE(const Section sparsity, quant.section("sparsity_config"));
  DS_TRY(sparsity.word("format", {"dense"}).status());
  DS_TRY_VALUE(const Section groups, quant.section("config_groups"));
  const Json list = groups.json();
  if (list.size() == 0 || list.size() > kMaxGroups)
    return quant.wrong(DS_E_UNSUPPORTED, "config_groups", std::to_string(list.size()) + " groups", "1 to 64");
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string key(list.key(i).substr(0, 60));
    DS_TRY_VALUE(const Section group, groups.section(key.c_str()));
    DS_TRY(parse_config_group(quant, group, scheme));
  }
  if (scheme->ways.empty()) return quant.wrong(DS_E_UNSUPPORTED, "config_groups", "without weights", "weights");
  return {};
}

}  // namespace

QuantScheme::QuantScheme() : ways(1) {}

QuantScheme::QuantScheme(ScaleBlocks blocks) : method(QuantMethod::kFp8), ways(1) { ways[0].blocks = blocks; }

Result<QuantScheme> parse_quant_config(const std::string &name, std::string_view text) {
  JsonLimits limits;
  limits.bytes = uint64_t{16} << 20;
  limits.depth = 32;
  limits.nodes = 1u << 20;
  DS_TRY_VALUE(const auto document, parse_json(name, text, limits));
  const Json root = json_root(*document);
  const char *key = root["quantization_config"].is_null() ? "compression_config" : "quantization_config";
  const Json given = root[key];
  QuantScheme scheme;
  if (given.is_null() || (given.is_object() && given.size() == 0)) return scheme;
  const Section quant(name, key, given);
  if (!given.is_object())
    return fail(DS_E_FORMAT, "config", "%s: %s is %s, expected an object", name.c_str(), key, found_text(given).c_str())
        .at(name);
  if (quant["quant_method"].is_null())
    return quant.refuse("quant_method", "'fp8', 'compressed-tensors', 'awq' or 'gptq'");
  DS_TRY_VALUE(const size_t method, quant.word("quant_method", {"fp8", "compressed-tensors", "awq", "gptq"}));
  scheme.method = static_cast<QuantMethod>(method + 1);
  scheme.ways.clear();
  Status (*const parsers[])(const Section &, QuantScheme *) = {parse_fp8, parse_compressed, parse_awq, parse_gptq};
  DS_TRY(parsers[method](quant, &scheme));
  return scheme;
}

}  // namespace deepseam
