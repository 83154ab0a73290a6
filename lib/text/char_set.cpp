// Character sets: see char_set.h.
#include "text/char_set.h"

#include <algorithm>

#include "text/unicode16.h"
#include "text/utf8.h"

namespace deepseam::text {
namespace {

constexpr CharRange kWhiteSpace[] = {{0x09, 0x0D},     {0x20, 0x20},     {0x85, 0x85},     {0xA0, 0xA0},
                                     {0x1680, 0x1680}, {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F},
                                     {0x205F, 0x205F}, {0x3000, 0x3000}};

// What stands at the front of a pattern: one character, or a whole set (\s, \p{L}).
struct ClassItem {
  uint32_t code = 0;
  std::span<const CharRange> set;
};

std::optional<ClassItem> parse_escape(std::string_view *pattern) {
  std::string_view p = *pattern;  // behind the backslash
  if (p.empty()) return std::nullopt;
  ClassItem item;
  size_t size = 1;
  if (p[0] == 's') {
    item.set = white_space();
  } else if (p[0] == 'p') {
    if (p.size() < 4 || p[1] != '{' || p[3] != '}') return std::nullopt;
    item.set = general_category(p[2]);
    if (item.set.empty()) return std::nullopt;
    size = 4;
  } else if (p[0] == 'r' || p[0] == 'n' || p[0] == 't') {
    item.code = p[0] == 'r' ? '\r' : p[0] == 'n' ? '\n' : '\t';
  } else if (static_cast<uint8_t>(p[0]) < 0x80 && p[0] > ' ' && !((p[0] | 32) >= 'a' && (p[0] | 32) <= 'z') &&
             !(p[0] >= '0' && p[0] <= '9')) {
    item.code = static_cast<uint8_t>(p[0]);  // an escaped punctuation character is itself
  } else {
    return std::nullopt;
  }
  *pattern = p.substr(size);
  return item;
}

std::optional<ClassItem> parse_item(std::string_view *pattern) {
  if (pattern->empty()) return std::nullopt;
  if (pattern->front() == '\\') {
    pattern->remove_prefix(1);
    return parse_escape(pattern);
  }
  Utf8Char c = decode_utf8(*pattern, 0);
  if (!c.valid) return std::nullopt;
  pattern->remove_prefix(c.size);
  return ClassItem{c.code, {}};
}

std::optional<CharSet> parse_bracket(std::string_view *pattern) {
  std::vector<CharRange> ranges;
  if (pattern->starts_with('^') || pattern->starts_with(']')) return std::nullopt;
  while (!pattern->starts_with(']')) {
    // Nested classes and set operations are another engine's business.
    if (pattern->starts_with('[') || pattern->starts_with("&&")) return std::nullopt;
    auto item = parse_item(pattern);
    if (!item) return std::nullopt;
    if (!item->set.empty()) {
      ranges.insert(ranges.end(), item->set.begin(), item->set.end());
      continue;
    }
    CharRange range{item->code, item->code};
    if (pattern->starts_with('-') && !pattern->starts_with("-]")) {
      pattern->remove_prefix(1);
      auto last = parse_item(pattern);
      if (!last || !last->set.empty() || last->code < range.first) return std::nullopt;
      range.last = last->code;
    }
    ranges.push_back(range);
  }
  pattern->remove_prefix(1);
  return CharSet(std::move(ranges));
}

}  // namespace

CharSet::CharSet(std::vector<CharRange> ranges) : ranges_(std::move(ranges)) {
  std::sort(ranges_.begin(), ranges_.end(), [](const CharRange &a, const CharRange &b) { return a.first < b.first; });
  size_t kept = 0;
  for (const CharRange &range : ranges_) {
    if (kept > 0 && range.first <= ranges_[kept - 1].last + 1)
      ranges_[kept - 1].last = std::max(ranges_[kept - 1].last, range.last);
    else
      ranges_[kept++] = range;
  }
  ranges_.resize(kept);
  for (const CharRange &range : ranges_)
    for (uint32_t code = range.first; code <= range.last && code < 128; ++code)
      ascii_[code >> 6] |= uint64_t{1} << (code & 63);
}

bool CharSet::contains_wide(uint32_t code) const {
  auto after = std::upper_bound(ranges_.begin(), ranges_.end(), code,
                                [](uint32_t value, const CharRange &range) { return value < range.first; });
  return after != ranges_.begin() && code <= after[-1].last;
}

std::span<const CharRange> white_space() { return kWhiteSpace; }

std::span<const CharRange> general_category(char letter) {
  switch (letter) {
    case 'L':
      return kLetters;
    case 'M':
      return kMarks;
    case 'N':
      return kNumbers;
    case 'P':
      return kPunctuation;
    case 'S':
      return kSymbols;
    default:
      return {};
  }
}

std::optional<CharSet> parse_class(std::string_view *pattern) {
  std::string_view rest = *pattern;
  std::optional<CharSet> set;
  if (rest.starts_with('[')) {
    rest.remove_prefix(1);
    set = parse_bracket(&rest);
  } else if (!rest.empty() && std::string_view("^$.|?*+(){}").find(rest.front()) == std::string_view::npos) {
    auto item = parse_item(&rest);
    if (item && !item->set.empty()) set = CharSet({item->set.begin(), item->set.end()});
    if (item && item->set.empty()) set = CharSet({{item->code, item->code}});
  }
  if (set) *pattern = rest;
  return set;
}

}  // namespace deepseam::text
