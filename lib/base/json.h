// JSON reading and writing for small and middle-sized documents: configs, tokenizer.json, safetensors headers, dumps.
//
// Reading goes through RapidJSON's SAX parser (iterative, validating UTF-8) into a flat, read-only tree. Depth, size
// and duplicate keys are checked here, once: a document that parsed can be walked without further care. Numbers keep
// whether they were integers. No locale, no exceptions across this border.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace deepseam {

enum class JsonType : uint8_t { kNull, kBool, kInteger, kNumber, kString, kArray, kObject };

class JsonDocument;

// A view of one value; valid as long as its document. A default-made view is null, and looking up a missing key gives
// one, so that optional fields read as `doc["a"]["b"].integer().value_or(3)`.
class Json {
 public:
  Json() = default;
  JsonType type() const;
  bool is_null() const { return type() == JsonType::kNull; }
  bool is_object() const { return type() == JsonType::kObject; }
  bool is_array() const { return type() == JsonType::kArray; }
  bool is_string() const { return type() == JsonType::kString; }
  bool is_number() const { return type() == JsonType::kInteger || type() == JsonType::kNumber; }

  std::optional<bool> boolean() const;
  std::optional<int64_t> integer() const;  // kInteger only
  std::optional<double> number() const;    // kInteger or kNumber
  std::optional<std::string_view> text() const;

  size_t size() const;                       // members of an array or object
  Json at(size_t index) const;               // array element or object value
  std::string_view key(size_t index) const;  // object only
  Json operator[](std::string_view key) const;
  bool contains(std::string_view key) const;

 private:
  friend class JsonDocument;
  Json(const JsonDocument *document, uint32_t node) : document_(document), node_(node) {}
  const JsonDocument *document_ = nullptr;
  uint32_t node_ = 0;
};

struct JsonLimits {
  uint64_t bytes = uint64_t{1} << 28;
  uint32_t depth = 64;
  uint32_t nodes = 64u << 20;
};

// Parses the whole text. `name` is the file it came from, for the message: DS_E_FORMAT names byte offset and reason.
Result<std::shared_ptr<const JsonDocument>> parse_json(const std::string &name, std::string_view text,
                                                       const JsonLimits &limits = {});
Json json_root(const JsonDocument &document);

// Builds one document as text. Commas and escapes are its business, nesting is the caller's.
class JsonWriter {
 public:
  JsonWriter &begin_object();
  JsonWriter &end_object();
  JsonWriter &begin_array();
  JsonWriter &end_array();
  JsonWriter &key(std::string_view name);
  JsonWriter &value(std::string_view text);  // bytes that are not UTF-8 become U+FFFD
  JsonWriter &value(const char *text) { return value(std::string_view(text)); }
  JsonWriter &value(bool flag);
  JsonWriter &value(int64_t number);
  JsonWriter &value(uint64_t number);
  JsonWriter &value(int32_t number) { return value(static_cast<int64_t>(number)); }
  JsonWriter &value(uint32_t number) { return value(static_cast<uint64_t>(number)); }
  JsonWriter &value(double number);    // shortest form that reads back equal; NaN and Inf become null
  JsonWriter &decimal(double number);  // the same, and never without a point: for readers to whom 2 is not 2.0
  JsonWriter &null();
  std::string take() { return std::move(text_); }

 private:
  void separate();
  std::string text_;
  bool fresh_ = true;  // no comma before the next value
};

}  // namespace deepseam
