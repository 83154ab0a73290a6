// Added tokens: leftmost, longest, and the white space and word borders they may ask for.
#include "text/added_tokens.h"

#include "unit/text/text_fixture.h"

using namespace deepseam;
using namespace deepseam::text;

namespace {

// Tokens in [brackets with their id], gaps as they are, a bar between parts.
std::string cut(const AddedTokens &tokens, std::string_view text, bool parse_control = true) {
  std::string out;
  Poll poll;
  Status status =
      tokens.split(text, parse_control, &poll, &out, [](void *user, const AddedToken *token, std::string_view part) {
        auto *all = static_cast<std::string *>(user);
        if (token) *all += "[" + std::to_string(token->id) + ":";
        all->append(part);
        *all += token ? "]" : "|";
        return Status();
      });
  REQUIRE(status.ok());
  return out;
}

AddedToken token(uint32_t id, std::string_view text) {
  AddedToken made;
  made.id = id;
  made.text = text;
  return made;
}

}  // namespace

TEST_CASE("added tokens: leftmost first, of several the longest") {
  AddedTokens tokens;
  for (auto [id, text] : {std::pair(1u, "<a"), std::pair(2u, "<ab>"), std::pair(3u, "b><")})
    tokens.add(token(id, text));
  CHECK(cut(tokens, "x<ab><a<abc") == "x|[2:<ab>][1:<a][1:<a]bc|");
  CHECK(cut(tokens, "") == "");
  CHECK(cut(tokens, "<") == "<|");
}

TEST_CASE("added tokens: control tokens stay text where they are not parsed") {
  AddedTokens tokens;
  AddedToken control = token(1, "<x>");
  control.control = true;
  tokens.add(control);
  tokens.add(token(2, "<"));
  CHECK(cut(tokens, "a<x>") == "a|[1:<x>]");
  CHECK(cut(tokens, "a<x>", false) == "a|[2:<]x>|");
}

TEST_CASE("added tokens: strip and single_word") {
  AddedTokens tokens;
  AddedToken strip = token(1, "<s>");
  strip.left_strip = strip.right_strip = true;
  tokens.add(strip);
  AddedToken word = token(2, "cat");
  word.single_word = true;
  tokens.add(word);
  CHECK(cut(tokens, "a \xE3\x80\x80<s>\n b") == "a|[1: \xE3\x80\x80<s>\n ]b|");
  CHECK(cut(tokens, " <s> <s> ") == "[1: <s> ][1:<s> ]");
  CHECK(cut(tokens,
            "a cat, cats \xC3\xA9"
            "cat") ==
        "a |[2:cat], cats \xC3\xA9"
        "cat|");
}
