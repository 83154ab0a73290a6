// Regex: the patterns of tokenizer files, compiled by PCRE2 with the meaning that the tokenizers' own engine gives
// them.
//
// Differences between the two engines that matter here are taken out before compiling: `\s` is Unicode White_Space, `^`
// and
// `$` are line borders, a line ends at LF. Subjects are valid UTF-8, which the caller has made sure. Matching is
// bounded in steps and memory: a pattern that explodes gives DS_E_UNSUPPORTED, never a hang. JIT is used where the
// system allows it. A Regex is immutable and shared by threads; a RegexScratch belongs to one call.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "text/scanners.h"

namespace deepseam::text {

class RegexScratch {
 public:
  RegexScratch();
  ~RegexScratch();
  RegexScratch(const RegexScratch &) = delete;
  RegexScratch &operator=(const RegexScratch &) = delete;

 private:
  friend class Regex;
  struct State;
  std::unique_ptr<State> state_;  // made by the first match
};

class Regex {
 public:
  // `name` is the file, for messages. DS_E_FORMAT says why and where the pattern does not compile.
  static Result<Regex> compile(std::string_view pattern, const std::string &name);
  Regex(Regex &&) noexcept;
  Regex &operator=(Regex &&) noexcept;
  ~Regex();

  // The first match in text that begins at or after `from`; nothing if there is none. from <= text.size().
  Result<std::optional<Match>> find(std::string_view text, size_t from, RegexScratch *scratch) const;

 private:
  Regex();
  struct Code;
  std::unique_ptr<Code> code_;
};

}  // namespace deepseam::text
