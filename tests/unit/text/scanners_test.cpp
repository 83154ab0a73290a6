// Scanners give the matches of the regex engine for their patterns, on text made to be awkward.
#include "text/scanners.h"

#include "text/families.h"
#include "text/regex.h"
#include "unit/text/text_fixture.h"

using namespace deepseam;
using namespace deepseam::text;

TEST_CASE("scanners: equal to the regex engine for the patterns of all families") {
  const std::vector<std::string> items = {" ",
                                          " ",
                                          "  ",
                                          "\n",
                                          "\r\n",
                                          "\t",
                                          "\xC2\xA0",
                                          "\xE3\x80\x80",
                                          "\xC2\x85",
                                          "\xE1\xA0\x8E",
                                          "a",
                                          "Zz",
                                          "\xC3\xA9",
                                          "e\xCC\x81",
                                          "\xCC\x81",
                                          "\xE4\xBD\xA0",
                                          "\xE3\x81\x82",
                                          "\xEA\xB0\x80",
                                          "1",
                                          "12345",
                                          "\xC2\xBD",
                                          ".",
                                          "'",
                                          "$",
                                          "~",
                                          "\xE2\x80\x9C",
                                          "\xE3\x80\x82",
                                          "\xEF\xBC\x81",
                                          "\xE2\x88\x91",
                                          "\xF0\x9F\x99\x82",
                                          "\xE2\x80\x8B",
                                          "\x01",
                                          "\x7F",
                                          "_",
                                          "\xD7\x90",
                                          "\xF0\x90\x90\x80"};
  std::vector<std::string> patterns;
  for (const char *family : {"deepseek-llm", "deepseek-coder", "deepseek-v3"}) {
    auto rules = family_rules(family);
    REQUIRE(rules.ok());
    for (const SplitRule &rule : *rules) patterns.push_back(rule.pattern);
  }
  std::mt19937_64 rng(9);
  for (const std::string &pattern : patterns) {
    CAPTURE(pattern);
    auto scanner = Scanner::make(pattern);
    REQUIRE(scanner);
    auto regex = Regex::compile(pattern, "test");
    REQUIRE_MESSAGE(regex.ok(), regex.status().message());
    RegexScratch scratch;
    Poll poll;
    for (int round = 0; round < 1500; ++round) {
      std::string text = test::random_text(rng, items, rng() % 20);
      for (size_t from = 0;;) {
        auto expected = regex->find(text, from, &scratch);
        REQUIRE(expected.ok());
        auto found = scanner->find(text, from, &poll);
        CAPTURE(text);
        REQUIRE(found.has_value() == expected->has_value());
        if (!found) break;
        REQUIRE(found->begin == (*expected)->begin);
        REQUIRE(found->end == (*expected)->end);
        from = found->end;
      }
    }
  }
}

TEST_CASE("scanners: other patterns are left to the regex engine") {
  for (const char *pattern : {"", "a|b", "(?i:x)", "[^a]+", "a*", "\\s+(?!\\S)", "\\d+", "[a]+[b]+", "a?", "\\p{Lu}+"})
    CHECK_FALSE(Scanner::make(pattern));
}
