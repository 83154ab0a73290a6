// JsonWriter: text out, valid UTF-8 whatever bytes come in, numbers without a locale.
#include <charconv>
#include <cmath>

#include "base/json.h"

namespace deepseam {
namespace {

// Length of the well-formed UTF-8 sequence that `text` (not empty) begins with; 0 if it begins with none.
// Overlong forms, surrogates and values above U+10FFFF are not well-formed (Unicode 15, table 3-7).
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) -> unsigned { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0; };
  const auto continues = [&](size_t i) { return (byte(i) & 0xc0) == 0x80; };
  const unsigned lead = byte(0), second = byte(1);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return continues(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (!continues(1) || !continues(2) || (lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f)) return 0;
    return 3;
  }
  if (lead < 0xf0 || lead > 0xf4 || !continues(1) || !continues(2) || !continues(3)) return 0;
  return (lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f) ? 0 : 4;
}

void append_escaped(std::string &out, unsigned char control) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (control) {
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      out += "\\u00";
      out += kHex[control >> 4];
      out += kHex[control & 15];
  }
}

void append_string(std::string &out, std::string_view text) {
  out += '"';
  for (size_t i = 0; i < text.size();) {
    const unsigned char byte = static_cast<unsigned char>(text[i]);
    const size_t length = utf8_length(text.substr(i, 4));
    if (length == 0) {
      out += "\xef\xbf\xbd";
    } else if (byte == '"' || byte == '\\') {
      out += '\\';
      out += text[i];
    } else if (byte < 0x20 || byte == 0x7f) {
      append_escaped(out, byte);
    } else {
      out += text.substr(i, length);
    }
    i += length ? length : 1;
  }
  out += '"';
}

template <typename Number>
void append_number(std::string &out, Number number) {
  char text[32];
  out.append(text, std::to_chars(text, text + sizeof text, number).ptr);
}

}  // namespace

void JsonWriter::separate() {
  if (!fresh_) text_ += ',';
  fresh_ = false;
}

JsonWriter &JsonWriter::begin_object() {
  separate();
  text_ += '{';
  fresh_ = true;
  return *this;
}

JsonWriter &JsonWriter::end_object() {
  text_ += '}';
  fresh_ = false;
  return *this;
}

JsonWriter &JsonWriter::begin_array() {
  separate();
  text_ += '[';
  fresh_ = true;
  return *this;
}

JsonWriter &JsonWriter::end_array() {
  text_ += ']';
  fresh_ = false;
  return *this;
}

JsonWriter &JsonWriter::key(std::string_view name) {
  separate();
  append_string(text_, name);
  text_ += ':';
  fresh_ = true;
  return *this;
}

JsonWriter &JsonWriter::value(std::string_view text) {
  separate();
  append_string(text_, text);
  return *this;
}

JsonWriter &JsonWriter::value(bool flag) {
  separate();
  text_ += flag ? "true" : "false";
  return *this;
}

JsonWriter &JsonWriter::value(int64_t number) {
  separate();
  append_number(text_, number);
  return *this;
}

JsonWriter &JsonWriter::value(uint64_t number) {
  separate();
  append_number(text_, number);
  return *this;
}

JsonWriter &JsonWriter::value(double number) {
  if (!std::isfinite(number)) return null();
  separate();
  append_number(text_, number);
  return *this;
}

JsonWriter &JsonWriter::decimal(double number) {
  const size_t before = text_.size();
  value(number);
  if (std::isfinite(number) && text_.find_first_of(".eE", before) == std::string::npos) text_ += ".0";
  return *this;
}

JsonWriter &JsonWriter::null() {
  separate();
  text_ += "null";
  return *this;
}

}  // namespace deepseam
