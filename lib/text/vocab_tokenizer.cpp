// A tokenizer from the arrays of a GGUF file.
#include "text/byte_map.h"
#include "text/families.h"
#include "text/tokenizer_tables.h"

namespace deepseam::text {
namespace {

constexpr int32_t kControl = 3, kUserDefined = 4, kUnused = 5;

// Converters fill rows without a token with "[PAD<id>]".
bool is_padding(std::string_view text, uint32_t id) { return text == "[PAD" + std::to_string(id) + "]"; }

Status add_token(const VocabParts &vocab, uint32_t id, const std::string &name, TokenizerParts *parts) {
  std::string_view text = vocab.tokens[id];
  int32_t type = vocab.types.empty() ? 1 : vocab.types[id];
  if (type == kUnused || is_padding(text, id)) {
    parts->texts.push({}, 0);
    return {};
  }
  // A mark is literal whatever its type says: files exist that call <｜User｜> or the FIM marks normal.
  bool mark = looks_like_mark(text) && text.find("｜") != std::string_view::npos;
  if (type == kControl || type == kUserDefined || mark) {
    if (text.empty())
      return fail(DS_E_FORMAT, "tokenizer", "%s: tokenizer.ggml.tokens[%u] is a control token without text",
                  name.c_str(), id);
    bool control = type == kControl || looks_like_mark(text);
    parts->texts.push(text, static_cast<uint8_t>(kTokenAdded | (type == kControl ? kTokenSpecial : 0) |
                                                 (control ? kTokenControl : 0)));
    return {};
  }
  auto bytes = mapped_to_bytes(text);
  parts->texts.push(bytes ? std::string_view(*bytes) : text, bytes ? 0 : kTokenFiller);
  return {};
}

Status add_merges(const VocabParts &vocab, const std::string &name, TokenizerParts *parts) {
  TextIndex index;
  const TokenTexts &texts = parts->texts;
  index.reserve(texts.count());
  for (uint32_t id = 0; id < texts.count(); ++id)
    if (!texts[id].empty() && !(texts.flags[id] & (kTokenAdded | kTokenFiller))) index.add(texts, id);
  parts->merges.reserve(vocab.merges.size());
  std::string left, both;
  for (size_t i = 0; i < vocab.merges.size(); ++i) {
    std::string_view text = vocab.merges[i];
    size_t space = text.find(' ', 1);
    left.clear();
    both.clear();
    bool known = space != std::string_view::npos && append_mapped(text.substr(0, space), &left);
    size_t cut = left.size();
    both = left;
    known = known && append_mapped(text.substr(space + 1), &both);
    Merge merge;
    if (known) {
      merge.left = index.find(texts, left);
      merge.right = index.find(texts, std::string_view(both).substr(cut));
      merge.result = index.find(texts, both);
      known = merge.left != kNoToken && merge.right != kNoToken && merge.result != kNoToken;
    }
    if (!known)
      return fail(DS_E_FORMAT, "tokenizer",
                  "%s: tokenizer.ggml.merges[%zu] `%.80s` is not a pair of known tokens that make one", name.c_str(), i,
                  std::string(text).c_str());
    parts->merges.push_back(merge);
  }
  return {};
}

}  // namespace

Result<Tokenizer::Pointer> Tokenizer::from_vocab(const VocabParts &vocab, const std::string &name) {
  if (vocab.tokens.empty() || vocab.tokens.size() > kMaxVocab)
    return fail(DS_E_FORMAT, "tokenizer", "%s: tokenizer.ggml.tokens has %zu elements, expected 1 to %u", name.c_str(),
                vocab.tokens.size(), kMaxVocab);
  if (!vocab.types.empty() && vocab.types.size() != vocab.tokens.size())
    return fail(DS_E_FORMAT, "tokenizer", "%s: tokenizer.ggml.token_type has %zu elements, expected %zu", name.c_str(),
                vocab.types.size(), vocab.tokens.size());
  TokenizerParts parts;
  parts.name = name;
  for (uint32_t id = 0; id < vocab.tokens.size(); ++id) DS_TRY(add_token(vocab, id, name, &parts));
  DS_TRY(add_merges(vocab, name, &parts));
  // Some converters write deepseek-v3 for every model of the architecture: the vocabularies tell themselves apart by
  // size.
  std::string_view pre_type = vocab.pre_type;
  if (pre_type == "deepseek-v3" && vocab.merges.size() > 90000 && vocab.merges.size() < 110000)
    pre_type = "deepseek-llm";
  if (pre_type == "deepseek-llm" && vocab.merges.size() > 125000) pre_type = "deepseek-v3";
  auto rules = family_rules(pre_type);
  if (rules.status().code() == DS_E_UNSUPPORTED)
    return fail(DS_E_UNSUPPORTED, "tokenizer",
                "%s: tokenizer.ggml.pre is \"%.60s\", expected deepseek-llm, deepseek-coder or deepseek-v3",
                name.c_str(), std::string(pre_type).c_str())
        .at(name);
  DS_TRY_VALUE(parts.rules, std::move(rules));
  parts.bos = vocab.bos;
  parts.eos = vocab.eos;
  parts.pad = vocab.pad;
  parts.add_bos = vocab.add_bos;
  parts.family = choose_chat_family(vocab.chat_template, parts.texts);
  return build_tokenizer(std::move(parts));
}

}  // namespace deepseam::text
