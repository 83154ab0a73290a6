// UTF-8 one character at a time: what the tokenizer, the pre-tokenizer rules and the streams agree on as well-formed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace deepseam::text {

// One decoding step. Well-formed: `size` bytes are the character `code`. Ill-formed: `size` bytes (1 … 3) are one
// maximal part that cannot begin a character, and valid is false; `cut` tells that only the end of the text made it so.
struct Utf8Char {
  uint32_t code = 0;
  uint8_t size = 0;
  bool valid = false;
  bool cut = false;
};

// Decodes at text[at]; at < text.size(). Overlong forms, surrogates and values above 10FFFF are ill-formed.
inline Utf8Char decode_utf8(std::string_view text, size_t at) {
  auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  uint8_t lead = byte(at);
  if (lead < 0x80) return {lead, 1, true, false};
  uint8_t need = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  if (lead < 0xC2 || lead > 0xF4) return {0, 1, false, false};
  uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;  // of the second byte
  uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  uint32_t code = lead & (0x3F >> need);
  for (uint8_t i = 1; i <= need; ++i) {
    if (at + i >= text.size()) return {0, i, false, true};
    uint8_t next = byte(at + i);
    if (next < low || next > high) return {0, i, false, false};
    code = (code << 6) | (next & 0x3F);
    low = 0x80;
    high = 0xBF;
  }
  return {code, static_cast<uint8_t>(need + 1), true, false};
}

inline void append_utf8(uint32_t code, std::string *out) {
  auto put = [&](uint32_t byte) { out->push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

}  // namespace deepseam::text
