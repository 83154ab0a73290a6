// Pre-tokenizer rules: what becomes of matches, and rules one after another.
#include "text/pretokenize.h"

#include "unit/text/text_fixture.h"

using namespace deepseam;
using namespace deepseam::text;

namespace {

std::vector<std::string> pieces(std::vector<SplitRule> rules, std::string_view text) {
  auto made = PreTokenizer::make(std::move(rules), "test");
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  std::vector<std::string> out;
  PreTokenizer::Scratch scratch;
  Poll poll;
  Status status = made->split(text, &scratch, &poll, &out, [](void *user, std::string_view piece) {
    static_cast<std::vector<std::string> *>(user)->emplace_back(piece);
    return Status();
  });
  REQUIRE(status.ok());
  return out;
}

using Pieces = std::vector<std::string>;

}  // namespace

TEST_CASE("pretokenize: the five behaviours") {
  const std::string text = "the-final--countdown";
  auto rule = [](SplitBehavior behavior) { return std::vector<SplitRule>{{"-", behavior, true, false}}; };
  CHECK(pieces(rule(SplitBehavior::kRemoved), text) == Pieces{"the", "final", "countdown"});
  CHECK(pieces(rule(SplitBehavior::kIsolated), text) == Pieces{"the", "-", "final", "-", "-", "countdown"});
  CHECK(pieces(rule(SplitBehavior::kMergedWithPrevious), text) == Pieces{"the-", "final-", "-", "countdown"});
  CHECK(pieces(rule(SplitBehavior::kMergedWithNext), text) == Pieces{"the", "-final", "-", "-countdown"});
  CHECK(pieces(rule(SplitBehavior::kContiguous), text) == Pieces{"the", "-", "final", "--", "countdown"});
}

TEST_CASE("pretokenize: inverted rules keep the gaps") {
  CHECK(pieces({{"[a-z]+", SplitBehavior::kRemoved, false, true}}, "12ab,cd") == Pieces{"ab", "cd"});
}

TEST_CASE("pretokenize: a literal pattern is no regular expression") {
  CHECK(pieces({{".", SplitBehavior::kRemoved, true, false}}, "a.b") == Pieces{"a", "b"});
}

TEST_CASE("pretokenize: empty matches neither loop nor make pieces") {
  CHECK(pieces({{"x*", SplitBehavior::kIsolated, false, false}}, "a\xC3\xA9xb") == Pieces{"a", "\xC3\xA9", "x", "b"});
}

TEST_CASE("pretokenize: the families cut as their tokenizers do") {
  auto rules = [](const char *family) {
    auto made = family_rules(family);
    REQUIRE(made.ok());
    return *made;
  };
  CHECK(pieces(rules("deepseek-llm"), "if (x1 >= 42)\n    y  ") ==
        Pieces{"if", " (", "x", "1", " >=", " ", "4", "2", ")", "\n", "   ", " y", "  "});
  CHECK(pieces(rules("deepseek-v3"), "if (x1 >= 1234)\n    y  ") ==
        Pieces{"if", " (", "x", "1", " >=", " ", "123", "4", ")\n", "   ", " y", "  "});
  CHECK(pieces(rules("deepseek-coder"), "a.b 12") == Pieces{"a", ".", "b", " ", "1", "2"});
  CHECK(family_rules("gpt-2").status().code() == DS_E_UNSUPPORTED);
}

TEST_CASE("pretokenize: too many rules, or an empty one, are refused") {
  SplitRule rule{"a", SplitBehavior::kIsolated, false, false};
  CHECK(PreTokenizer::make(std::vector<SplitRule>(kMaxSplitRules + 1, rule), "test").status().code() == DS_E_FORMAT);
  CHECK(PreTokenizer::make({{"", SplitBehavior::kIsolated, false, false}}, "test").status().code() == DS_E_FORMAT);
}
