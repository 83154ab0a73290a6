// Scanners: pre-tokenizer patterns of well-known shape, matched without a regex engine.
//
// A scanner gives exactly the matches that the regex engine gives for its pattern (a unit test compares them), but in
// time linear in the text whatever the text is, with little stack, and it can be cancelled inside a long match. Two
// shapes are known: a run of one character class with an optional leading white-space character, `\s?[class]+`,
// `\p{N}{1,3}`,
// `\s+$`, …, and the alternation that the V3 tokenizers use. All other patterns are regex.h's.
#pragma once

#include <optional>
#include <string_view>

#include "text/char_set.h"
#include "text/poll.h"

namespace deepseam::text {

struct Match {
  size_t begin = 0;
  size_t end = 0;
};

class Scanner {
 public:
  // Nothing if the pattern has no known shape.
  static std::optional<Scanner> make(std::string_view pattern);
  // The first match in text (valid UTF-8) that begins at or after `from`. With poll->hit the answer means nothing.
  std::optional<Match> find(std::string_view text, size_t from, Poll *poll) const;

 private:
  enum class Shape : uint8_t { kClassRun, kWordsV3 };
  std::optional<Match> find_run(std::string_view text, size_t from, Poll *poll) const;
  std::optional<size_t> run_at(std::string_view text, size_t at, Poll *poll) const;
  std::optional<size_t> words_at(std::string_view text, size_t at, Poll *poll) const;

  Shape shape_ = Shape::kClassRun;
  CharSet main_;   // kClassRun: the class. kWordsV3: letters and marks
  CharSet other_;  // kClassRun: what may stand once before it. kWordsV3: punctuation and symbols
  CharSet block_;  // kWordsV3: what may not stand before a word
  CharSet space_;  // kWordsV3: white space
  bool has_lead_ = false;
  bool to_line_end_ = false;
  uint32_t most_ = UINT32_MAX;  // characters of the class in one match
};

// The pattern of the V3 tokenizers' third rule, as their tokenizer.json has it.
std::string_view words_v3_pattern();

}  // namespace deepseam::text
