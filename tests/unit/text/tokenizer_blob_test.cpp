// The stored form: the same tokenizer comes back, and no damage gets through or crashes.
#include "base/hash.h"
#include "unit/text/text_fixture.h"

using namespace deepseam;
using namespace deepseam::text;
using test::ids_of;

namespace {

std::span<const uint8_t> bytes_of(const std::string &blob) {
  return {reinterpret_cast<const uint8_t *>(blob.data()), blob.size()};
}

// With a checksum that fits again, so that the fields themselves are what is tested.
void sign(std::string *blob) {
  uint64_t sum = hash64(bytes_of(*blob).first(blob->size() - 8));
  for (size_t i = 0; i < 8; ++i) (*blob)[blob->size() - 8 + i] = static_cast<char>(sum >> (8 * i));
}

}  // namespace

TEST_CASE("tokenizer blob: comes back the same") {
  auto tokenizer = test::small_tokenizer();
  std::string blob = tokenizer->serialize();
  auto again = Tokenizer::from_blob(bytes_of(blob), "blob");
  REQUIRE_MESSAGE(again.ok(), again.status().message());
  CHECK((*again)->serialize() == blob);
  CHECK((*again)->vocab_size() == tokenizer->vocab_size());
  CHECK((*again)->chat_family() == tokenizer->chat_family());
  CHECK((*again)->add_bos_token() == tokenizer->add_bos_token());
  for (uint32_t i = 0; i < static_cast<uint32_t>(Role::kCount); ++i)
    CHECK((*again)->role(static_cast<Role>(i)) == tokenizer->role(static_cast<Role>(i)));
  std::mt19937_64 rng(23);
  for (int round = 0; round < 200; ++round) {
    std::string text =
        test::random_text(rng, {"foo", " ", "\n", "42", "<｜User｜>", "\xE4\xBD\xA0", "\xFF"}, rng() % 40);
    REQUIRE(ids_of(**again, text, ParseSpecial::kAll) == ids_of(*tokenizer, text, ParseSpecial::kAll));
  }
}

TEST_CASE("tokenizer blob: cut short anywhere") {
  std::string blob = test::small_tokenizer()->serialize();
  for (size_t size = 0; size < blob.size(); size += size < 300 ? 1 : 97) {
    std::string cut = blob.substr(0, size);
    REQUIRE_FALSE(Tokenizer::from_blob(bytes_of(cut), "cut").ok());
    if (size < 8) continue;
    sign(&cut);
    REQUIRE_FALSE(Tokenizer::from_blob(bytes_of(cut), "cut").ok());
  }
  CHECK_FALSE(Tokenizer::from_blob(bytes_of(blob + "x"), "long").ok());
}

TEST_CASE("tokenizer blob: a changed byte is noticed by the checksum") {
  std::string blob = test::small_tokenizer()->serialize();
  for (size_t at = 64; at < blob.size(); at += 1009) {
    std::string damaged = blob;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x20);
    REQUIRE_FALSE(Tokenizer::from_blob(bytes_of(damaged), "damaged").ok());
  }
}

TEST_CASE("tokenizer blob: lying fields with a right checksum never crash") {
  std::string blob = test::small_tokenizer()->serialize();
  std::mt19937_64 rng(29);
  for (int round = 0; round < 1500; ++round) {
    std::string damaged = blob;
    size_t at = round % 3 == 0 ? (rng() % 12) * 4 : rng() % (blob.size() - 12);
    for (size_t i = 0; i < 4; ++i) damaged[at + i] = static_cast<char>(round % 2 ? rng() : (round % 4 ? 0xFF : 0));
    sign(&damaged);
    auto made = Tokenizer::from_blob(bytes_of(damaged), "damaged");
    if (!made.ok()) continue;
    std::vector<uint32_t> ids;
    REQUIRE((*made)->encode("int main() { return 42; }\n <｜User｜>\xFF", {}, &ids).ok());
    (void)(*made)->decode(ids, true);
  }
}
