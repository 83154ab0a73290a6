// The byte alphabet: see byte_map.h.
#include "text/byte_map.h"

#include "text/utf8.h"

namespace deepseam::text {
namespace {

constexpr bool stands_for_itself(uint32_t code) {
  return (code >= 0x21 && code <= 0x7E) || (code >= 0xA1 && code <= 0xAC) || (code >= 0xAE && code <= 0xFF);
}

// kOther.bytes[i] is the byte that U+0100 + i stands for.
struct OtherBytes {
  uint8_t bytes[68] = {};
  constexpr OtherBytes() {
    uint32_t n = 0;
    for (uint32_t byte = 0; byte < 256; ++byte)
      if (!stands_for_itself(byte)) bytes[n++] = static_cast<uint8_t>(byte);
  }
};
constexpr OtherBytes kOther;

}  // namespace

bool append_mapped(std::string_view mapped, std::string *out) {
  size_t before = out->size();
  for (size_t at = 0; at < mapped.size();) {
    Utf8Char c = decode_utf8(mapped, at);
    if (c.valid && c.code < 256 && stands_for_itself(c.code)) {
      out->push_back(static_cast<char>(c.code));
    } else if (c.valid && c.code >= 0x100 && c.code < 0x100 + sizeof kOther.bytes) {
      out->push_back(static_cast<char>(kOther.bytes[c.code - 0x100]));
    } else {
      out->resize(before);
      return false;
    }
    at += c.size;
  }
  return true;
}

std::optional<std::string> mapped_to_bytes(std::string_view mapped) {
  std::string bytes;
  if (!append_mapped(mapped, &bytes)) return std::nullopt;
  return bytes;
}

}  // namespace deepseam::text
