// Character classes: the pinned Unicode tables against PCRE2's, and the reading of class syntax.
#include "text/char_set.h"

#include <doctest/doctest.h>
#include <pcre2.h>

#include "text/regex.h"
#include "text/utf8.h"

using namespace deepseam::text;

TEST_CASE("char set: every code point is in the same category as in PCRE2 of Unicode 14") {
  char version[64] = {};
  pcre2_config(PCRE2_CONFIG_UNICODE_VERSION, version);
  if (std::string(version) != "14.0.0") {
    MESSAGE("PCRE2 here has Unicode " << std::string(version) << ": nothing to compare with");
    return;
  }
  std::string all;
  std::vector<uint32_t> code_at;
  for (uint32_t code = 0; code < 0x110000; ++code) {
    if (code >= 0xD800 && code < 0xE000) continue;
    append_utf8(code, &all);
    code_at.resize(all.size(), code);
  }
  for (char category : {'L', 'M', 'N', 'P', 'S'}) {
    auto ranges = general_category(category);
    CharSet set({ranges.begin(), ranges.end()});
    auto regex = Regex::compile(std::string("\\p{") + category + "}+", "test");
    REQUIRE(regex.ok());
    RegexScratch scratch;
    size_t at = 0, wrong = 0;
    for (;;) {
      auto match = regex->find(all, at, &scratch);
      REQUIRE(match.ok());
      size_t begin = *match ? (*match)->begin : all.size();
      for (; at < begin; at += decode_utf8(all, at).size) wrong += set.contains(code_at[at]) ? 1 : 0;
      if (!*match) break;
      for (; at < (*match)->end; at += decode_utf8(all, at).size) wrong += set.contains(code_at[at]) ? 0 : 1;
    }
    CAPTURE(category);
    CHECK(wrong == 0);
  }
}

TEST_CASE("char set: overlapping ranges in any order") {
  CharSet set({{20, 30}, {5, 5}, {25, 200}, {201, 210}, {0x4E00, 0x4E00}});
  CHECK(set.ranges().size() == 3);
  for (uint32_t code : {5u, 20u, 127u, 128u, 210u, 0x4E00u}) CHECK(set.contains(code));
  for (uint32_t code : {4u, 6u, 19u, 211u, 0x4DFFu, 0x4E01u}) CHECK_FALSE(set.contains(code));
}

TEST_CASE("char set: class syntax") {
  auto parse = [](std::string_view text, std::string_view rest) {
    auto set = parse_class(&text);
    CHECK(text == rest);
    return set;
  };
  auto set = parse("[a-c\\-_\\]\xE4\xBD\xA0-\xE4\xBD\xBF-]+", "+");
  REQUIRE(set);
  for (uint32_t code : {'a' + 0u, 'c' + 0u, '-' + 0u, ']' + 0u, 0x4F60u, 0x4F7Fu}) CHECK(set->contains(code));
  CHECK_FALSE(set->contains('d'));
  CHECK(parse("\\p{N}{1,3}", "{1,3}"));
  CHECK(parse("\\s?x", "?x")->contains(0x3000));
  for (std::string_view other : {"[^a]", "[a[b]]", "[a", "\\d", "(a)", ".", "", "\\p{Lu}", "[b-a]", "[a&&b]"}) {
    CAPTURE(std::string(other));
    CHECK_FALSE(parse(other, other));
  }
}
