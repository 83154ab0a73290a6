// Tokenizers from GGUF arrays.
#include "text/utf8.h"
#include "unit/text/text_fixture.h"

using namespace deepseam;
using namespace deepseam::text;
using test::ids_of;

namespace {

struct Arrays {
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<std::string> merges;

  Arrays() {
    uint32_t other = 0x100;
    for (uint32_t byte = 0; byte < 256; ++byte) {
      bool plain = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      std::string text;
      append_utf8(plain ? byte : other++, &text);
      add(text, 1);
    }
  }
  void add(const std::string &text, int32_t type) {
    tokens.push_back(text);
    types.push_back(type);
  }
  Result<Tokenizer::Pointer> load(std::string_view pre = "deepseek-llm", std::string_view chat = "") const {
    std::vector<std::string_view> token_views(tokens.begin(), tokens.end()), merge_views(merges.begin(), merges.end());
    VocabParts parts;
    parts.tokens = token_views;
    parts.types = types;
    parts.merges = merge_views;
    parts.pre_type = pre;
    parts.chat_template = chat;
    return Tokenizer::from_vocab(parts, "test.gguf");
  }
};

}  // namespace

TEST_CASE("vocabulary arrays: merges, control tokens, words, fillers") {
  Arrays arrays;
  arrays.add("Ġa", 1);                       // 256
  arrays.add("<｜begin▁of▁sentence｜>", 3);  // 257
  arrays.add("<｜fim▁hole｜>", 1);           // 258, wrongly typed as normal
  arrays.add("\xC3\xBC", 4);                 // 259, a letter as a user-defined token
  arrays.add("[PAD260]", 4);
  arrays.add("[PAD261]", 5);
  arrays.merges = {"Ġ a"};
  auto made = arrays.load();
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  const Tokenizer &tokenizer = **made;
  CHECK(ids_of(tokenizer, " a") == std::vector<uint32_t>{256});
  CHECK(ids_of(tokenizer, "F\xC3\xBC") == std::vector<uint32_t>{'F', 259});
  CHECK(tokenizer.token_bytes(259) == "\xC3\xBC");
  CHECK(tokenizer.role(Role::kBos) == 257);
  CHECK(tokenizer.role(Role::kFimHole) == 258);
  CHECK(tokenizer.is_special(258));
  CHECK_FALSE(tokenizer.has_token(260));
  CHECK_FALSE(tokenizer.has_token(261));
  CHECK(tokenizer.chat_family() == ChatFamily::kV2);
}

TEST_CASE("vocabulary arrays: a byte without a token becomes U+FFFD") {
  Arrays arrays;
  arrays.tokens[0xC0] = "unreachable";
  auto made = arrays.load();
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  CHECK(ids_of(**made, "a\xC0") == std::vector<uint32_t>{'a', 0xEF, 0xBF, 0xBD});
}

TEST_CASE("vocabulary arrays: inconsistent ones are refused") {
  Arrays arrays;
  const Status other = arrays.load("llama-bpe").status();
  CHECK(other.code() == DS_E_UNSUPPORTED);
  CHECK(std::string(other.message()) ==
        "test.gguf: tokenizer.ggml.pre is \"llama-bpe\", expected deepseek-llm, "
        "deepseek-coder or deepseek-v3");
  arrays.merges = {"a b"};
  CHECK(arrays.load().status().code() == DS_E_FORMAT);
  for (const char *bad : {"ab", "", " ", "a ", " a", "a  b"}) {
    arrays.merges = {bad};
    CAPTURE(bad);
    CHECK(arrays.load().status().code() == DS_E_FORMAT);
  }
  arrays.merges = {};
  arrays.types.pop_back();
  CHECK(arrays.load().status().code() == DS_E_FORMAT);
  arrays.types.clear();
  CHECK(arrays.load().ok());
  CHECK(Tokenizer::from_vocab({}, "empty").status().code() == DS_E_FORMAT);
}
