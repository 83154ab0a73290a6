// Text that had to be cut to fit a fixed buffer must still be UTF-8.
#pragma once

#include <cstddef>
#include <cstring>

namespace deepseam {

// Drops the half of a character that cutting left at the end of `text`.
inline void drop_cut_character(char *text) noexcept {
  const size_t size = std::strlen(text);
  size_t begin = size;  // of the last character
  while (begin > 0 && size - begin < 3 && (text[begin - 1] & 0xc0) == 0x80) --begin;
  if (begin == 0) return;
  const unsigned char lead = static_cast<unsigned char>(text[begin - 1]);
  const size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  if (size - (begin - 1) < length) text[begin - 1] = 0;
}

}  // namespace deepseam
