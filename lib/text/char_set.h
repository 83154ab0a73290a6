// CharSet: a set of Unicode characters, and parsing the simple character classes that pre-tokenizer patterns use.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace deepseam::text {

struct CharRange {
  uint32_t first = 0;
  uint32_t last = 0;  // included
};

class CharSet {
 public:
  CharSet() = default;
  explicit CharSet(std::vector<CharRange> ranges);  // any order, overlaps allowed
  bool contains(uint32_t code) const {
    if (code < 128) return (ascii_[code >> 6] >> (code & 63)) & 1;
    return contains_wide(code);
  }
  std::span<const CharRange> ranges() const { return ranges_; }

 private:
  bool contains_wide(uint32_t code) const;
  uint64_t ascii_[2] = {};
  std::vector<CharRange> ranges_;  // sorted, disjoint
};

// White space as the tokenizers' regex engine knows it (Unicode White_Space).
std::span<const CharRange> white_space();
// Ranges of \p{L}, \p{M}, \p{N}, \p{P}, \p{S}, pinned to Unicode 16; empty for any other letter.
std::span<const CharRange> general_category(char letter);

// Reads one class at the front of *pattern: "[…]" of literals, ranges and simple escapes, "\p{L}" (L M N P S), "\s", or
// a single plain character; moves *pattern past it. Nothing if it is anything else (negated, nested, unknown escape).
std::optional<CharSet> parse_class(std::string_view *pattern);

}  // namespace deepseam::text
