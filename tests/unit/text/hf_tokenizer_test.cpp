// tokenizer.json: the kinds that are read, and a sentence for each that is not.
#include "base/json.h"
#include "unit/text/text_fixture.h"

using namespace deepseam;
using namespace deepseam::text;
using test::ids_of;

namespace {

// A byte alphabet of 256 tokens as JSON members, then "extra" ones from id 256 on.
std::string vocab(const std::string &extra) {
  std::string text;
  uint32_t other = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    bool plain = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
    uint32_t code = plain ? byte : other++;
    char escaped[16];
    std::snprintf(escaped, sizeof escaped, "\"\\u%04x\":", code);
    text += escaped + std::to_string(byte) + ",";
  }
  return "{" + text + extra + "}";
}

std::string file(const std::string &pre, const std::string &extra = "\"ab\":256,\"abc\":257",
                 const std::string &merges = "\"a b\",\"ab c\"", const std::string &more = "",
                 const std::string &added = "") {
  return "{\"added_tokens\":[" + added + "],\"normalizer\":null,\"pre_tokenizer\":" + pre +
         ",\"post_processor\":null,\"decoder\":{\"type\":\"ByteLevel\"}," +
         "\"model\":{\"type\":\"BPE\",\"vocab\":" + vocab(extra) + ",\"merges\":[" + merges + "]" + more + "}}";
}

const char *const kByteLevel = "{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}";

std::vector<uint32_t> encode(const std::string &json, std::string_view text) {
  auto made = Tokenizer::from_hf(json, "", "test.json");
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  return ids_of(**made, text, ParseSpecial::kAll);
}

void refused(const std::string &json, ds_status code, const std::string &word, const std::string &config = "") {
  auto made = Tokenizer::from_hf(json, config, "test.json");
  REQUIRE_FALSE(made.ok());
  Status status = made.status();
  CAPTURE(std::string(status.message()));
  CHECK(status.code() == code);
  CHECK(std::string(status.message()).find(word) != std::string::npos);
}

std::string replaced(std::string text, const std::string &from, const std::string &to) {
  size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

using Ids = std::vector<uint32_t>;

}  // namespace

TEST_CASE("tokenizer.json: merges as strings and as pairs") {
  CHECK(encode(file(kByteLevel), "abcab") == Ids{257, 256});
  CHECK(encode(file(kByteLevel, "\"ab\":256,\"abc\":257", "[\"a\",\"b\"],[\"ab\",\"c\"]"), "abcab") == Ids{257, 256});
}

TEST_CASE("tokenizer.json: ignore_merges takes whole pieces from the vocabulary") {
  std::string extra = "\"ab\":256,\"abc\":257,\"xyz\":258";
  CHECK(encode(file(kByteLevel, extra), "xyz") == Ids{'x', 'y', 'z'});
  CHECK(encode(file(kByteLevel, extra, "\"a b\",\"ab c\"", ",\"ignore_merges\":true"), "xyz") == Ids{258});
}

TEST_CASE("tokenizer.json: rules before ByteLevel, Digits and prefix space") {
  auto sequence = [](const std::string &steps) {
    return "{\"type\":\"Sequence\",\"pretokenizers\":[" + steps + "," + kByteLevel + "]}";
  };
  std::string split = "{\"type\":\"Split\",\"pattern\":{\"String\":\"b\"},\"behavior\":\"Isolated\",\"invert\":false}";
  CHECK(encode(file(sequence(split)), "abc") == Ids{'a', 'b', 'c'});
  std::string extra = "\"12\":256,\"1a\":257", merges = "\"1 2\",\"1 a\"";
  CHECK(encode(file(sequence("{\"type\":\"Digits\",\"individual_digits\":true}"), extra, merges), "121a") ==
        Ids{'1', '2', '1', 'a'});
  CHECK(encode(file(sequence("{\"type\":\"Digits\",\"individual_digits\":false}"), extra, merges), "121a") ==
        Ids{256, '1', 'a'});
  std::string spaced = replaced(kByteLevel, "\"add_prefix_space\":false", "\"add_prefix_space\":true");
  CHECK(encode(file(spaced), "a") == Ids{' ', 'a'});
  CHECK(encode(file(spaced), " a") == Ids{' ', 'a'});
  std::string regex = replaced(kByteLevel, "\"use_regex\":false", "\"use_regex\":true");
  CHECK(encode(file(regex, "\"'s\":256,\"ab\":257", "\"' s\",\"a b\""), "ab's a'") == Ids{257, 256, ' ', 'a', '\''});
}

TEST_CASE("tokenizer.json: added tokens win over the vocabulary, bos comes from the config") {
  std::string added =
      "{\"id\":300,\"content\":\"<b>\",\"special\":true,\"normalized\":false},{\"id\":301,\"content\":\"zz\","
      "\"special\":false,\"normalized\":true}";
  std::string json = file(kByteLevel, "\"ab\":256,\"abc\":257", "\"a b\",\"ab c\"", "", added);
  CHECK(encode(json, "a<b>zz") == Ids{'a', 300, 301});
  auto made = Tokenizer::from_hf(json, "{\"bos_token\":\"<b>\",\"add_bos_token\":true}", "test.json");
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  CHECK((*made)->role(Role::kBos) == 300);
  CHECK((*made)->add_bos_token());
  CHECK((*made)->is_special(300));
  CHECK_FALSE((*made)->is_special(301));
  // A word that is an added token is matched in plain text too: the model saw it so.
  CHECK(ids_of(**made, "a<b>zz") == Ids{'a', '<', 'b', '>', 301});
  CHECK_FALSE((*made)->has_token(299));
}

TEST_CASE("tokenizer.json: the chat template may be a file of its own, or one of several") {
  std::string json = test::read_data("tokenizer.json");
  auto family = [&](std::string_view config, std::string_view own) {
    auto made = Tokenizer::from_hf(json, config, "test.json", own);
    REQUIRE_MESSAGE(made.ok(), made.status().message());
    return (*made)->chat_family();
  };
  const std::string v2 = "User: x Assistant:", named =
                                                   "{\"chat_template\":[{\"name\":\"rag\",\"template\":\"x\"},"
                                                   "{\"name\":\"default\",\"template\":\"" +
                                                   v2 + "\"}]}";
  CHECK(family("", "") == ChatFamily::kV3);
  CHECK(family("", v2) == ChatFamily::kV2);
  CHECK(family(named, "") == ChatFamily::kV2);
  CHECK(family(named, "<｜User｜> is_first_sp") == ChatFamily::kV3);
  CHECK(family("{\"chat_template\":\"<|im_start|>\"}", "") == ChatFamily::kNone);
}

TEST_CASE("tokenizer.json: a post-processor that puts a token first") {
  std::string added = "{\"id\":300,\"content\":\"<b>\",\"special\":true}";
  std::string json = file(kByteLevel, "\"ab\":256,\"abc\":257", "\"a b\",\"ab c\"", "", added);
  json = replaced(json, "\"post_processor\":null",
                  "\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<b>\","
                  "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],"
                  "\"special_tokens\":{\"<b>\":{\"id\":\"<b>\",\"ids\":[300],\"tokens\":[\"<b>\"]}}}");
  auto made = Tokenizer::from_hf(json, "", "test.json");
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  CHECK((*made)->role(Role::kBos) == 300);
  CHECK((*made)->add_bos_token());
}

TEST_CASE("tokenizer.json: what is not understood is refused by name") {
  std::string good = file(kByteLevel);
  refused("[]", DS_E_FORMAT, "test.json");
  refused("{", DS_E_FORMAT, "test.json");
  refused(replaced(good, "\"normalizer\":null", "\"normalizer\":{\"type\":\"NFC\"}"), DS_E_UNSUPPORTED, "NFC");
  refused(replaced(good, "\"normalizer\":null",
                   "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"NFKC\"}]}"),
          DS_E_UNSUPPORTED, "NFKC");
  refused(replaced(good, "\"decoder\":{\"type\":\"ByteLevel\"}", "\"decoder\":{\"type\":\"Metaspace\"}"),
          DS_E_UNSUPPORTED, "Metaspace");
  refused(file("{\"type\":\"Metaspace\"}"), DS_E_UNSUPPORTED, "Metaspace");
  refused(file("null"), DS_E_FORMAT, "ByteLevel");
  refused(replaced(good, "\"type\":\"BPE\"", "\"type\":\"Unigram\""), DS_E_UNSUPPORTED, "Unigram");
  refused(file(kByteLevel, "\"ab\":256", "\"a b\"", ",\"byte_fallback\":true"), DS_E_FORMAT, "byte_fallback");
  refused(file(kByteLevel, "\"ab\":256", "\"a b\"", ",\"unk_token\":\"x\""), DS_E_FORMAT, "unk_token");
  refused(file(kByteLevel, "\"ab\":256", "\"a b\"", ",\"dropout\":0.1"), DS_E_FORMAT, "dropout");
  refused(file(kByteLevel, "\"ab\":256", "\"a c\""), DS_E_FORMAT, "merges[0]");
  refused(file(kByteLevel, "\"ab\":256", "\"ab\""), DS_E_FORMAT, "merges[0]");
  refused(file(kByteLevel, "\"ab\":256", "7"), DS_E_FORMAT, "merges[0]");
  refused(file(kByteLevel, "\"ab\":-1", ""), DS_E_FORMAT, "-1");
  refused(file(kByteLevel, "\"ab\":4000000000", ""), DS_E_FORMAT, "4000000000");
  refused(file(kByteLevel, "\"ab\":\"x\"", ""), DS_E_FORMAT, "model.vocab");
  refused(replaced(good, "\"post_processor\":null", "\"post_processor\":{\"type\":\"Roberta\"}"), DS_E_UNSUPPORTED,
          "Roberta");
  refused(good, DS_E_FORMAT, "bos_token", "{\"bos_token\":\"<none>\"}");
  refused("{\"pre_tokenizer\":" + std::string(kByteLevel) +
              ",\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"vocab\":{\"a\":0},\"merges\":[]}}",
          DS_E_FORMAT, "EF");
}

TEST_CASE("tokenizer.json: the trained fixture cut short anywhere is refused") {
  std::string json = test::read_data("tokenizer.json");
  for (size_t size = 0; size < json.size(); size += 499) {
    auto made = Tokenizer::from_hf(std::string_view(json).substr(0, size), "", "cut");
    REQUIRE_FALSE(made.ok());
  }
}
