// A tokenizer that nobody trained, for models with random weights: bytes, the special tokens, fillers.
//
// Fillers exist so that every row of such a model has a token: its text shows the id, and no text encodes to it.
#include "text/tokenizer_tables.h"

namespace deepseam::text {
namespace {

constexpr Role kRoles[] = {Role::kBos,    Role::kEos,  Role::kFimHole,   Role::kFimBegin,
                           Role::kFimEnd, Role::kUser, Role::kAssistant, Role::kEot};

}  // namespace

Result<Tokenizer::Pointer> Tokenizer::make_byte_tokenizer(uint32_t vocab_size, uint32_t bos_id, uint32_t eos_id) {
  constexpr uint32_t kLeast = 256 + std::size(kRoles);
  if (vocab_size < kLeast || vocab_size > kMaxVocab)
    return fail(DS_E_ARGUMENT, "tokenizer", "a byte tokenizer of %u tokens is not possible, expected %u to %u",
                vocab_size, kLeast, kMaxVocab);
  if (bos_id >= vocab_size || eos_id >= vocab_size || bos_id == eos_id)
    return fail(DS_E_ARGUMENT, "tokenizer", "bos %u and eos %u must be two different ids below %u", bos_id, eos_id,
                vocab_size);
  // What each id is: a role (index + 1), a byte (0x100 + byte), or a filler (0).
  std::vector<uint32_t> plan(vocab_size, 0);
  plan[bos_id] = 1;
  plan[eos_id] = 2;
  uint32_t free = std::max(bos_id, eos_id) + 1;  // the other marks follow bos and eos, as in the published vocabularies
  if (vocab_size - free < std::size(kRoles) - 2) free = 0;
  for (uint32_t i = 2; i < std::size(kRoles); ++i) {
    while (plan[free] != 0) ++free;
    plan[free] = i + 1;
  }
  free = 0;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    while (plan[free] != 0) ++free;
    plan[free] = 0x100 + byte;
  }
  TokenizerParts parts;
  parts.name = "byte tokenizer";
  for (uint32_t id = 0; id < vocab_size; ++id) {
    if (plan[id] >= 0x100) {
      parts.texts.push(std::string(1, static_cast<char>(plan[id] - 0x100)), 0);
    } else if (plan[id] > 0) {
      parts.texts.push(role_text(kRoles[plan[id] - 1]), kTokenAdded | kTokenSpecial | kTokenControl);
    } else {
      parts.texts.push("⟨" + std::to_string(id) + "⟩", kTokenFiller);
    }
  }
  parts.bos = bos_id;
  parts.eos = eos_id;
  parts.add_bos = true;
  parts.family = ChatFamily::kV3;
  return build_tokenizer(std::move(parts));
}

}  // namespace deepseam::text
