// Regex: the meaning the tokenizer files rely on, and bounds on patterns that explode.
#include "text/regex.h"

#include "unit/text/text_fixture.h"

using namespace deepseam;
using namespace deepseam::text;

namespace {

std::optional<Match> first(std::string_view pattern, std::string_view text) {
  auto regex = Regex::compile(pattern, "test");
  REQUIRE_MESSAGE(regex.ok(), regex.status().message());
  RegexScratch scratch;
  auto match = regex->find(text, 0, &scratch);
  REQUIRE_MESSAGE(match.ok(), match.status().message());
  return *match;
}

}  // namespace

TEST_CASE("regex: white space is the Unicode property, inside classes and out") {
  CHECK(first("\\s", "\xC2\x85"));
  CHECK_FALSE(first("\\s", "\xE1\xA0\x8E"));
  CHECK_FALSE(first("[\\s]", "\xE1\xA0\x8E"));
  CHECK(first("\\S", "\xE1\xA0\x8E"));
  CHECK(first("[^\\s]", "a"));
}

TEST_CASE("regex: dollar is the end of a line") {
  auto match = first("\\s+$", "a  \nb");
  REQUIRE(match);
  CHECK(match->begin == 1);
  CHECK(match->end == 3);
}

TEST_CASE("regex: a pattern that does not compile names the reason") {
  auto made = Regex::compile("(a", "file.json");
  REQUIRE_FALSE(made.ok());
  CHECK(made.status().code() == DS_E_FORMAT);
  CHECK(std::string(made.status().message()).find("file.json") != std::string::npos);
}

TEST_CASE("regex: an exploding pattern ends in a status") {
  auto regex = Regex::compile("(a|a|aa)+$", "test");
  REQUIRE(regex.ok());
  RegexScratch scratch;
  auto match = regex->find(std::string(200, 'a') + "b", 0, &scratch);
  REQUIRE_FALSE(match.ok());
  CHECK(match.status().code() == DS_E_UNSUPPORTED);
}
