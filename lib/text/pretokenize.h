// Pre-tokenizer: cuts a run of text into the pieces that BPE merges within, by the rules of the model's tokenizer file.
//
// Rules apply in order, each one cutting again every piece that the one before made. Empty pieces vanish. Pieces are
// handed on as they are found, left to right, so memory does not grow with the text and a call can be cancelled.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/status.h"
#include "text/poll.h"
#include "text/regex.h"
#include "text/scanners.h"

namespace deepseam::text {

enum class SplitBehavior : uint8_t {  // what becomes of a match; the numbers are stored in blobs
  kIsolated = 0,
  kRemoved = 1,
  kMergedWithPrevious = 2,
  kMergedWithNext = 3,
  kContiguous = 4
};

struct SplitRule {
  std::string pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool literal = false;  // the pattern is plain text, not a regular expression
  bool invert = false;   // the gaps count as matches
};

inline constexpr size_t kMaxSplitRules = 16;

class PreTokenizer {
 public:
  // Takes one piece; a failed Status ends the cutting.
  using Sink = Status (*)(void *user, std::string_view piece);
  struct Scratch {
    RegexScratch regex;
  };

  static Result<PreTokenizer> make(std::vector<SplitRule> rules, const std::string &name);
  // `text` is valid UTF-8. DS_E_CANCELLED once poll is hit.
  Status split(std::string_view text, Scratch *scratch, Poll *poll, void *user, Sink sink) const;
  const std::vector<SplitRule> &rules() const { return rules_; }

 private:
  struct Call;
  Status stage(const Call &call, size_t rule, std::string_view piece) const;
  Result<std::optional<Match>> find(const Call &call, size_t rule, std::string_view piece, size_t from) const;

  std::vector<SplitRule> rules_;
  std::vector<std::variant<std::monostate, Scanner, Regex>> matchers_;  // one for each rule; monostate: literal
};

// The rules of the families that a GGUF file only names: "deepseek-llm", "deepseek-coder", "deepseek-v3".
Result<std::vector<SplitRule>> family_rules(std::string_view pre_type);
// The pattern ByteLevel applies when its use_regex is on.
std::string_view byte_level_pattern();

}  // namespace deepseam::text
