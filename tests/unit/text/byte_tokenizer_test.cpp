// The byte tokenizer of synthetic models.
#include "unit/text/text_fixture.h"

using namespace deepseam;
using namespace deepseam::text;
using test::ids_of;

TEST_CASE("byte tokenizer: one id for each byte, any bytes round-trip") {
  for (auto [vocab, bos, eos] : {std::tuple(264u, 0u, 1u), std::tuple(512u, 0u, 1u),
                                 std::tuple(102400u, 100000u, 100001u), std::tuple(264u, 263u, 0u)}) {
    auto tokenizer = test::byte_tokenizer(vocab, bos, eos);
    std::string all;
    for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
    std::vector<uint32_t> ids = ids_of(*tokenizer, all);
    CHECK(ids.size() == 256);
    CHECK(tokenizer->decode(ids, false) == all);
    CHECK(tokenizer->role(Role::kBos) == bos);
    CHECK(tokenizer->role(Role::kEos) == eos);
    for (Role role : {Role::kFimBegin, Role::kFimHole, Role::kFimEnd, Role::kUser, Role::kAssistant, Role::kEot})
      CHECK(tokenizer->role(role) < vocab);
    CHECK(tokenizer->vocab_size() == vocab);
    uint32_t without = 0;
    for (uint32_t id = 0; id < tokenizer->vocab_size(); ++id) without += tokenizer->has_token(id) ? 0 : 1;
    CHECK(without == 0);
  }
}

TEST_CASE("byte tokenizer: fillers show their id and cannot be written") {
  auto tokenizer = test::byte_tokenizer();
  CHECK(tokenizer->token_bytes(400) == "⟨400⟩");
  CHECK(tokenizer->find("⟨400⟩") == kNoToken);
  for (uint32_t id : ids_of(*tokenizer, "⟨400⟩", ParseSpecial::kAll)) CHECK(id < 264);
}

TEST_CASE("byte tokenizer: sizes and ids that do not fit") {
  CHECK(Tokenizer::make_byte_tokenizer(263).status().code() == DS_E_ARGUMENT);
  CHECK(Tokenizer::make_byte_tokenizer(512, 1, 1).status().code() == DS_E_ARGUMENT);
  CHECK(Tokenizer::make_byte_tokenizer(512, 512, 1).status().code() == DS_E_ARGUMENT);
  CHECK(Tokenizer::make_byte_tokenizer(UINT32_MAX).status().code() == DS_E_ARGUMENT);
}
