// Character classes: the pinned Unicode tables against PCRE2's, and the reading of class syntax.
#include "text/char_set.h"

#include <doctest/doctest.h>
#include <pcre2.h>

#include "text/regex.h"
#include "text/utf8.h"

using namespace deepseam::text;

namespace {

// Every code point that is not a surrogate, as one text; code_at[i]: the one whose bytes end before i + 1.
struct AllText {
  std::string text;
  std::vector<uint32_t> code_at;
  AllText() {
    for (uint32_t code = 0; code < 0x110000; ++code) {
      if (code >= 0xD800 && code < 0xE000) continue;
      append_utf8(code, &text);
      code_at.resize(text.size(), code);
    }
  }
};

// Which code points PCRE2 says to be in a category.
std::vector<bool> pcre2_says(const AllText &all, const std::string &category) {
  std::vector<bool> in(0x110000);
  auto regex = Regex::compile("\\p{" + category + "}+", "test");
  REQUIRE(regex.ok());
  RegexScratch scratch;
  for (size_t at = 0;;) {
    auto match = regex->find(all.text, at, &scratch);
    REQUIRE(match.ok());
    if (!*match) return in;
    for (at = (*match)->begin; at < (*match)->end; at += decode_utf8(all.text, at).size) in[all.code_at[at]] = true;
  }
}

}  // namespace

// PCRE2 may have an older Unicode: what it does not know is counted instead, by the figures of UnicodeData.txt 16.0.
TEST_CASE("char set: every code point is in the category that PCRE2 knows, and there are as many as Unicode 16 has") {
  const AllText all;
  const auto unassigned = pcre2_says(all, "Cn");
  const std::pair<char, size_t> sizes[] = {{'L', 141028}, {'M', 2501}, {'N', 1911}, {'P', 855}, {'S', 8514}};
  for (const auto &[category, size] : sizes) {
    CAPTURE(category);
    const auto known = pcre2_says(all, {category});
    size_t wrong = 0, count = 0;
    const auto ranges = general_category(category);
    const CharSet set({ranges.begin(), ranges.end()});
    for (uint32_t code = 0; code < 0x110000; ++code) {
      if (code >= 0xD800 && code < 0xE000) continue;
      count += set.contains(code) ? 1 : 0;
      wrong += !unassigned[code] && set.contains(code) != known[code] ? 1 : 0;
    }
    CHECK(wrong == 0);
    CHECK(count == size);
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
