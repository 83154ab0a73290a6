// Scanners: see scanners.h. Every loop that may run long polls.
#include "text/scanners.h"

#include "text/utf8.h"

namespace deepseam::text {
namespace {

constexpr size_t kPollBytes = 32768;

// The character at text[at]; size 0 at the end. Text is valid UTF-8.
Utf8Char char_at(std::string_view text, size_t at) {
  if (at >= text.size()) return {};
  auto byte = static_cast<uint8_t>(text[at]);
  return byte < 0x80 ? Utf8Char{byte, 1, true, false} : decode_utf8(text, at);
}

// End of the longest run of characters of `set` from `at`, at most `most` characters.
size_t run_end(const CharSet &set, std::string_view text, size_t at, uint32_t most, Poll *poll) {
  size_t next_poll = at + kPollBytes;
  for (uint32_t n = 0; n < most && at < text.size(); ++n) {
    Utf8Char c = char_at(text, at);
    if (!set.contains(c.code)) break;
    at += c.size;
    if (at >= next_poll) {
      if (poll->check()) break;
      next_poll = at + kPollBytes;
    }
  }
  return at;
}

bool is_line_end(char c) { return c == '\r' || c == '\n'; }
bool is_ascii_letter(uint32_t code) { return (code | 32) >= 'a' && (code | 32) <= 'z'; }
bool is_ascii_punctuation(uint32_t code) {
  return code > 32 && code < 127 && !is_ascii_letter(code) && (code < '0' || code > '9');
}

// Start of the character that ends at `end` (> begin).
size_t character_before(std::string_view text, size_t end) {
  do --end;
  while ((static_cast<uint8_t>(text[end]) & 0xC0) == 0x80);
  return end;
}

CharSet joined(std::initializer_list<std::span<const CharRange>> parts) {
  std::vector<CharRange> all;
  for (auto part : parts) all.insert(all.end(), part.begin(), part.end());
  return CharSet(std::move(all));
}

}  // namespace

std::string_view words_v3_pattern() {
  return "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|"
         " ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";
}

std::optional<Scanner> Scanner::make(std::string_view pattern) {
  Scanner scanner;
  if (pattern == words_v3_pattern()) {
    scanner.shape_ = Shape::kWordsV3;
    scanner.main_ = joined({general_category('L'), general_category('M')});
    scanner.other_ = joined({general_category('P'), general_category('S')});
    CharRange ends[] = {{'\n', '\n'}, {'\r', '\r'}};
    scanner.block_ = joined({general_category('L'), general_category('P'), general_category('S'), ends});
    scanner.space_ = joined({white_space()});
    return scanner;
  }
  auto first = parse_class(&pattern);
  if (!first) return std::nullopt;
  if (pattern.starts_with('?')) {
    pattern.remove_prefix(1);
    scanner.has_lead_ = true;
    scanner.other_ = std::move(*first);
    first = parse_class(&pattern);
    if (!first) return std::nullopt;
  }
  scanner.main_ = std::move(*first);
  if (pattern == "{1,3}") {
    scanner.most_ = 3;
  } else if (pattern == "+$" && !scanner.has_lead_) {
    scanner.to_line_end_ = true;
  } else if (pattern.empty()) {
    scanner.most_ = 1;
  } else if (pattern != "+") {
    return std::nullopt;
  }
  return scanner;
}

std::optional<Match> Scanner::find(std::string_view text, size_t from, Poll *poll) const {
  if (shape_ == Shape::kClassRun) return find_run(text, from, poll);
  size_t next_poll = from + kPollBytes;
  for (size_t at = from; at < text.size(); at += char_at(text, at).size) {
    if (auto end = words_at(text, at, poll)) return Match{at, *end};
    if (at >= next_poll) {
      if (poll->check()) break;
      next_poll = at + kPollBytes;
    }
  }
  return std::nullopt;
}

std::optional<Match> Scanner::find_run(std::string_view text, size_t from, Poll *poll) const {
  size_t next_poll = from + kPollBytes;
  size_t at = from;
  while (at < text.size()) {
    Utf8Char c = char_at(text, at);
    if (to_line_end_ && main_.contains(c.code)) {
      // A run that does not reach a line end has no part that does: the whole run is passed over.
      size_t run = run_end(main_, text, at, UINT32_MAX, poll);
      if (poll->hit) break;
      size_t end = run;
      if (run < text.size() && text[run] != '\n') {
        size_t line = text.substr(at, run - at).rfind('\n');
        end = line == std::string_view::npos || line == 0 ? 0 : at + line;
      }
      if (end != 0) return Match{at, end};
      at = run;
      continue;
    }
    if (auto end = run_at(text, at, poll)) return Match{at, *end};
    at += c.size;
    if (at >= next_poll) {
      if (poll->check()) break;
      next_poll = at + kPollBytes;
    }
  }
  return std::nullopt;
}

// End of a match that begins at `at`, if there is one.
std::optional<size_t> Scanner::run_at(std::string_view text, size_t at, Poll *poll) const {
  Utf8Char c = char_at(text, at);
  size_t first = at;
  if (has_lead_ && other_.contains(c.code)) {
    Utf8Char next = char_at(text, at + c.size);
    if (next.size > 0 && main_.contains(next.code)) first = at + c.size;
  }
  size_t end = run_end(main_, text, first, most_, poll);
  if (end == first) return std::nullopt;
  return end;
}

// The six alternatives in the order of the pattern.
std::optional<size_t> Scanner::words_at(std::string_view text, size_t at, Poll *poll) const {
  Utf8Char c = char_at(text, at);
  Utf8Char next = char_at(text, at + c.size);
  bool has_next = next.size > 0;
  if (has_next && is_ascii_punctuation(c.code) && is_ascii_letter(next.code)) {
    size_t end = at + 1;
    for (; end < text.size() && is_ascii_letter(static_cast<uint8_t>(text[end])); ++end)
      if (end % kPollBytes == 0 && poll->check()) break;
    return end;
  }
  if (has_next && main_.contains(next.code) && !block_.contains(c.code))
    return run_end(main_, text, at + c.size, UINT32_MAX, poll);
  if (main_.contains(c.code)) return run_end(main_, text, at, UINT32_MAX, poll);

  bool led = c.code == ' ' && has_next && other_.contains(next.code);
  if (led || other_.contains(c.code)) {
    size_t end = run_end(other_, text, led ? at + 1 : at, UINT32_MAX, poll);
    for (; end < text.size() && is_line_end(text[end]); ++end)
      if (end % kPollBytes == 0 && poll->check()) break;
    return end;
  }
  if (!space_.contains(c.code)) return std::nullopt;
  size_t run = run_end(space_, text, at, UINT32_MAX, poll);
  size_t line = text.substr(at, run - at).find_last_of("\r\n");
  if (line != std::string_view::npos) return at + line + 1;
  if (run == text.size()) return run;
  size_t last = character_before(text, run);
  return last > at ? last : run;
}

}  // namespace deepseam::text
