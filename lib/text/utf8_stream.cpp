// Utf8Stream: see utf8_stream.h.
#include "text/utf8_stream.h"

#include "text/utf8.h"

namespace deepseam::text {

void Utf8Stream::feed(std::string_view bytes, std::string *out) {
  size_t at = 0;
  // While bytes are held, extend them one by one: they become a character, or are shown to be none.
  while (count_ > 0 && at < bytes.size()) {
    held_[count_++] = static_cast<unsigned char>(bytes[at]);
    std::string_view held(reinterpret_cast<const char *>(held_), count_);
    Utf8Char c = decode_utf8(held, 0);
    if (c.cut) {
      ++at;
    } else if (c.valid) {
      out->append(held);
      count_ = 0;
      ++at;
    } else {
      // The newest byte does not fit: what came before it was a maximal part, the byte itself is read again.
      out->append(kReplacement);
      count_ = 0;
    }
  }
  while (at < bytes.size()) {
    Utf8Char c = decode_utf8(bytes, at);
    if (c.cut) {
      for (; at < bytes.size(); ++at) held_[count_++] = static_cast<unsigned char>(bytes[at]);
      return;
    }
    out->append(c.valid ? bytes.substr(at, c.size) : kReplacement);
    at += c.size;
  }
}

void Utf8Stream::flush(std::string *out) {
  if (count_ > 0) out->append(kReplacement);
  count_ = 0;
}

std::string to_valid_utf8(std::string_view bytes) {
  Utf8Stream stream;
  std::string text;
  stream.feed(bytes, &text);
  stream.flush(&text);
  return text;
}

size_t whole_characters(std::string_view bytes) {
  size_t first = bytes.size() > 3 ? bytes.size() - 3 : 0;
  for (size_t at = bytes.size(); at-- > first;) {
    auto byte = static_cast<uint8_t>(bytes[at]);
    if (byte < 0x80) break;
    if (byte >= 0xC0) return decode_utf8(bytes, at).cut ? at : bytes.size();
  }
  return bytes.size();
}

}  // namespace deepseam::text
