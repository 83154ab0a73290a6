// Pre-tokenizer rules: see pretokenize.h.
#include "text/pretokenize.h"

#include "text/families.h"

namespace deepseam::text {

struct PreTokenizer::Call {
  Scratch *scratch;
  Poll *poll;
  void *user;
  Sink sink;
};

namespace {

// Turns the alternation of gaps and matches in one piece into the pieces that the behaviour asks for. `next` receives
// them in order. At most one piece waits, because it may still grow.
template <typename Next>
class Cutter {
 public:
  Cutter(SplitBehavior behavior, std::string_view text, const Next &next)
      : behavior_(behavior), text_(text), next_(next) {}

  Status add(size_t begin, size_t end, bool match) {
    bool was_match = match_;
    match_ = match;
    switch (behavior_) {
      case SplitBehavior::kRemoved:
        return match ? Status() : emit(begin, end);
      case SplitBehavior::kContiguous:
        if (waiting_ && was_match == match) return grow(end);
        break;
      case SplitBehavior::kMergedWithPrevious:
        if (waiting_ && match && !was_match) return grow(end);
        break;
      case SplitBehavior::kMergedWithNext:
        if (waiting_ && was_match && !match) return grow(end);
        break;
      case SplitBehavior::kIsolated:
        return emit(begin, end);
    }
    DS_TRY(flush());
    waiting_ = true;
    begin_ = begin;
    end_ = end;
    return {};
  }
  Status flush() {
    if (!waiting_) return {};
    waiting_ = false;
    return emit(begin_, end_);
  }

 private:
  Status grow(size_t end) {
    end_ = end;
    return {};
  }
  Status emit(size_t begin, size_t end) { return begin < end ? next_(text_.substr(begin, end - begin)) : Status(); }

  SplitBehavior behavior_;
  std::string_view text_;
  const Next &next_;
  size_t begin_ = 0, end_ = 0;
  bool waiting_ = false, match_ = false;
};

// Empty matches move the search on by one character.
size_t after_character(std::string_view text, size_t at) {
  ++at;
  while (at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) ++at;
  return at;
}

}  // namespace

Result<PreTokenizer> PreTokenizer::make(std::vector<SplitRule> rules, const std::string &name) {
  if (rules.size() > kMaxSplitRules)
    return fail(DS_E_FORMAT, "tokenizer", "%s: pre_tokenizer has %zu rules, at most %zu are possible", name.c_str(),
                rules.size(), kMaxSplitRules);
  PreTokenizer made;
  for (const SplitRule &rule : rules) {
    if (rule.pattern.empty())
      return fail(DS_E_FORMAT, "tokenizer", "%s: a pre_tokenizer pattern is empty", name.c_str());
    if (rule.literal) {
      made.matchers_.emplace_back();
    } else if (auto scanner = Scanner::make(rule.pattern)) {
      made.matchers_.emplace_back(std::move(*scanner));
    } else {
      DS_TRY_VALUE(Regex regex, Regex::compile(rule.pattern, name));
      made.matchers_.emplace_back(std::move(regex));
    }
  }
  made.rules_ = std::move(rules);
  return made;
}

Result<std::optional<Match>> PreTokenizer::find(const Call &call, size_t rule, std::string_view piece,
                                                size_t from) const {
  if (auto *scanner = std::get_if<Scanner>(&matchers_[rule])) return scanner->find(piece, from, call.poll);
  if (auto *regex = std::get_if<Regex>(&matchers_[rule])) return regex->find(piece, from, &call.scratch->regex);
  const std::string &literal = rules_[rule].pattern;
  size_t at = piece.find(literal, from);
  if (at == std::string_view::npos) return std::optional<Match>();
  return std::optional<Match>(Match{at, at + literal.size()});
}

Status PreTokenizer::stage(const Call &call, size_t rule, std::string_view piece) const {
  if (rule == rules_.size()) return call.sink(call.user, piece);
  auto next = [&](std::string_view part) { return stage(call, rule + 1, part); };
  Cutter cutter(rules_[rule].behavior, piece, next);
  bool inverted = rules_[rule].invert;
  size_t done = 0, from = 0;
  while (from <= piece.size()) {
    DS_TRY_VALUE(std::optional<Match> match, find(call, rule, piece, from));
    if (call.poll->check()) return Status(DS_E_CANCELLED);
    if (!match) break;
    if (done < match->begin) DS_TRY(cutter.add(done, match->begin, inverted));
    DS_TRY(cutter.add(match->begin, match->end, !inverted));
    done = match->end;
    from = match->end > match->begin ? match->end : after_character(piece, match->end);
  }
  if (done < piece.size()) DS_TRY(cutter.add(done, piece.size(), inverted));
  return cutter.flush();
}

Status PreTokenizer::split(std::string_view text, Scratch *scratch, Poll *poll, void *user, Sink sink) const {
  if (text.empty()) return {};
  return stage({scratch, poll, user, sink}, 0, text);
}

}  // namespace deepseam::text
