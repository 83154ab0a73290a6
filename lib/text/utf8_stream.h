// Utf8Stream: bytes in, whole characters out.
//
// What comes out is always valid UTF-8. Bytes of an unfinished character are kept for the next call; bytes that can
// never become a character are replaced by U+FFFD, one for each maximal ill-formed part (the practice of Unicode
// chapter 3.9).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace deepseam::text {

class Utf8Stream {
 public:
  // Appends every character that `bytes` completes.
  void feed(std::string_view bytes, std::string *out);
  // End of the text: an unfinished character becomes one U+FFFD. The stream is then as new.
  void flush(std::string *out);
  size_t pending() const { return count_; }  // bytes held back, 0 … 3

 private:
  unsigned char held_[4] = {};
  uint8_t count_ = 0;
};

// All of it at once.
std::string to_valid_utf8(std::string_view bytes);
// Bytes of the longest prefix that does not end inside a character: what may be cut without breaking one.
size_t whole_characters(std::string_view bytes);

}  // namespace deepseam::text
