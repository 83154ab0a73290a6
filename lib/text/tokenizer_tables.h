// What a Tokenizer is made of, and the one place where it is put together and checked.
//
// Loaders (hf_tokenizer, vocab_tokenizer, tokenizer_blob, byte_tokenizer) fill TokenizerParts from their source;
// nothing in them is trusted. build_tokenizer checks every id and makes the lookup tables.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/pretokenize.h"
#include "text/tokenizer.h"

namespace deepseam::text {

enum TokenFlag : uint8_t {  // stored in blobs
  kTokenAdded = 1,          // matched literally in text
  kTokenSpecial = 2,        // the file's own "special"
  kTokenControl = 4,        // ours: special, or written like a mark, "<…>"
  kTokenLeftStrip = 8,
  kTokenRightStrip = 16,
  kTokenSingleWord = 32,
  kTokenNormalized = 64,
  kTokenFiller = 128,  // has a text for decoding, but no text encodes to it
};

inline constexpr size_t kMaxTokenBytes = 65535;

// The texts of all ids, one after another; an id without a token has an empty one.
struct TokenTexts {
  std::string bytes;
  std::vector<uint32_t> ends;  // [V] where each text ends; it begins where the one before ends
  std::vector<uint8_t> flags;  // [V] TokenFlag

  uint32_t count() const { return static_cast<uint32_t>(ends.size()); }
  std::string_view operator[](uint32_t id) const {
    uint32_t begin = id == 0 ? 0 : ends[id - 1];
    return std::string_view(bytes).substr(begin, ends[id] - begin);
  }
  void push(std::string_view text, uint8_t flag) {
    bytes.append(text);
    ends.push_back(static_cast<uint32_t>(bytes.size()));
    flags.push_back(flag);
  }
};

// Finds ids by text, of those tokens that were put in.
class TextIndex {
 public:
  void reserve(size_t count);
  bool add(const TokenTexts &texts, uint32_t id);  // false: a token with this text is already in
  uint32_t find(const TokenTexts &texts, std::string_view text) const;

 private:
  // Where the text is or belongs, and in *probe how many slots were passed on the way.
  size_t slot(const TokenTexts &texts, std::string_view text, size_t *probe) const;
  void rebuild(const TokenTexts &texts, size_t count);
  std::vector<uint32_t> slots_;  // open addressing, kNoToken is empty
  size_t used_ = 0;
  uint64_t seed_ = 0;  // another one where texts were chosen to collide
};

struct TokenizerParts {
  std::string name;
  TokenTexts texts;
  std::vector<Merge> merges;  // rank order
  std::vector<SplitRule> rules;
  bool add_prefix_space = false;
  bool ignore_merges = false;
  bool add_bos = false;
  uint32_t bos = kNoToken, eos = kNoToken, pad = kNoToken;  // kNoToken: by string
  ChatFamily family = ChatFamily::kNone;
};

struct TokenizerTables {
  std::string name;
  TokenTexts texts;
  TextIndex normal, added;
  MergeTable merges;
  PreTokenizer pre;
  AddedTokens raw_added, normalized_added;  // their texts are views into texts.bytes
  bool add_prefix_space = false;
  bool ignore_merges = false;
  bool add_bos = false;
  uint32_t byte_id[256];
  uint32_t replacement[3];  // U+FFFD as base tokens; kNoToken where no byte ever needs it
  uint32_t roles[static_cast<size_t>(Role::kCount)];
  std::vector<uint32_t> stops, fim_stops;
  ChatFamily family = ChatFamily::kNone;
};

// DS_E_FORMAT names what does not hold together.
Result<Tokenizer::Pointer> build_tokenizer(TokenizerParts parts);

// Marks that a user must not be able to write: "special" ones and those that look like "<…>".
bool looks_like_mark(std::string_view text);

}  // namespace deepseam::text
