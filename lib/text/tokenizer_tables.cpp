// Checking the parts of a tokenizer and making its lookup tables.
#include "text/tokenizer_tables.h"

#include <algorithm>

#include "base/hash.h"
#include "text/utf8.h"

namespace deepseam::text {
namespace {

constexpr size_t kLongestProbe = 512;
constexpr uint64_t kSeeds = 16;

uint64_t hash_text(std::string_view text, uint64_t seed) {
  return hash64({reinterpret_cast<const uint8_t *>(text.data()), text.size()}, seed);
}

Status check_merges(const TokenizerParts &parts) {
  const TokenTexts &texts = parts.texts;
  for (size_t i = 0; i < parts.merges.size(); ++i) {
    const Merge &merge = parts.merges[i];
    if (merge.left >= texts.count() || merge.right >= texts.count() || merge.result >= texts.count())
      return fail(DS_E_FORMAT, "tokenizer", "%s: merge %zu names an id beyond the %u tokens", parts.name.c_str(), i,
                  texts.count());
    std::string_view left = texts[merge.left], right = texts[merge.right], result = texts[merge.result];
    if (left.empty() || right.empty() || result.size() != left.size() + right.size() || !result.starts_with(left) ||
        !result.ends_with(right))
      return fail(DS_E_FORMAT, "tokenizer", "%s: merge %zu does not make the token that it names (id %u)",
                  parts.name.c_str(), i, merge.result);
  }
  return {};
}

Status index_texts(TokenizerTables *tables) {
  const TokenTexts &texts = tables->texts;
  tables->normal.reserve(texts.count());
  std::fill(std::begin(tables->byte_id), std::end(tables->byte_id), kNoToken);
  for (uint32_t id = 0; id < texts.count(); ++id) {
    std::string_view text = texts[id];
    uint8_t flags = texts.flags[id];
    if (text.empty()) continue;
    if (text.size() > kMaxTokenBytes)
      return fail(DS_E_FORMAT, "tokenizer", "%s: token %u has %zu bytes, at most %zu are possible",
                  tables->name.c_str(), id, text.size(), kMaxTokenBytes);
    if (flags & kTokenAdded) {
      if (text.size() > kMaxAddedBytes)
        return fail(DS_E_FORMAT, "tokenizer", "%s: added token %u has %zu bytes, at most %zu are possible",
                    tables->name.c_str(), id, text.size(), kMaxAddedBytes);
      if (!tables->added.add(texts, id)) continue;
      AddedToken token;
      token.id = id;
      token.text = text;
      token.control = flags & kTokenControl;
      token.left_strip = flags & kTokenLeftStrip;
      token.right_strip = flags & kTokenRightStrip;
      token.single_word = flags & kTokenSingleWord;
      (flags & kTokenNormalized ? tables->normalized_added : tables->raw_added).add(token);
    } else if (!(flags & kTokenFiller)) {
      if (!tables->normal.add(texts, id)) continue;
      if (text.size() == 1) tables->byte_id[static_cast<uint8_t>(text[0])] = id;
    }
  }
  bool complete = true;
  for (uint32_t id : tables->byte_id) complete = complete && id != kNoToken;
  for (size_t i = 0; i < 3; ++i) {
    auto byte = static_cast<uint8_t>(kReplacement[i]);
    tables->replacement[i] = tables->byte_id[byte];
    if (!complete && tables->replacement[i] == kNoToken)
      return fail(DS_E_FORMAT, "tokenizer", "%s: not a byte-level vocabulary: no token for byte %02X",
                  tables->name.c_str(), byte);
  }
  return {};
}

Status resolve_roles(const TokenizerParts &parts, TokenizerTables *tables) {
  for (size_t i = 0; i < static_cast<size_t>(Role::kCount); ++i) {
    uint32_t id = tables->added.find(tables->texts, role_text(static_cast<Role>(i)));
    tables->roles[i] = id;
  }
  const std::pair<Role, uint32_t> given[] = {{Role::kBos, parts.bos}, {Role::kEos, parts.eos}, {Role::kPad, parts.pad}};
  for (auto [role, id] : given) {
    if (id == kNoToken) continue;
    if (id >= tables->texts.count() || tables->texts[id].empty())
      return fail(DS_E_FORMAT, "tokenizer", "%s: %s is id %u, which has no token", tables->name.c_str(),
                  role == Role::kBos   ? "bos"
                  : role == Role::kEos ? "eos"
                                       : "pad",
                  id);
    tables->roles[static_cast<size_t>(role)] = id;
  }
  auto add = [&](std::vector<uint32_t> *stops, Role role) {
    uint32_t id = tables->roles[static_cast<size_t>(role)];
    if (id != kNoToken && std::find(stops->begin(), stops->end(), id) == stops->end()) stops->push_back(id);
  };
  for (Role role : {Role::kEos, Role::kEot, Role::kUser}) add(&tables->stops, role);
  tables->fim_stops = tables->stops;
  for (Role role : {Role::kFimBegin, Role::kFimHole, Role::kFimEnd}) add(&tables->fim_stops, role);
  return {};
}

}  // namespace

void TextIndex::reserve(size_t count) {
  size_t slots = 64;
  while (slots < count * 2) slots *= 2;
  slots_.assign(slots, kNoToken);
  used_ = 0;
}

size_t TextIndex::slot(const TokenTexts &texts, std::string_view text, size_t *probe) const {
  size_t mask = slots_.size() - 1;
  size_t at = hash_text(text, seed_) & mask;
  for (*probe = 0; slots_[at] != kNoToken && texts[slots_[at]] != text; ++*probe) at = (at + 1) & mask;
  return at;
}

void TextIndex::rebuild(const TokenTexts &texts, size_t count) {
  std::vector<uint32_t> old = std::move(slots_);
  reserve(count);
  for (uint32_t other : old)
    if (other != kNoToken) add(texts, other);
}

bool TextIndex::add(const TokenTexts &texts, uint32_t id) {
  if (used_ * 2 >= slots_.size()) rebuild(texts, slots_.size());
  size_t probe;
  size_t at = slot(texts, texts[id], &probe);
  if (slots_[at] != kNoToken) return false;
  slots_[at] = id;
  ++used_;
  if (probe > kLongestProbe && seed_ < kSeeds) {
    ++seed_;
    rebuild(texts, used_);
  }
  return true;
}

uint32_t TextIndex::find(const TokenTexts &texts, std::string_view text) const {
  size_t probe;
  return slots_.empty() || text.empty() ? kNoToken : slots_[slot(texts, text, &probe)];
}

bool looks_like_mark(std::string_view text) { return text.size() > 2 && text.front() == '<' && text.back() == '>'; }

Result<Tokenizer::Pointer> build_tokenizer(TokenizerParts parts) {
  const TokenTexts &texts = parts.texts;
  if (texts.count() == 0 || texts.count() > kMaxVocab)
    return fail(DS_E_FORMAT, "tokenizer", "%s: %u tokens, expected 1 to %u", parts.name.c_str(), texts.count(),
                kMaxVocab);
  if (parts.merges.size() > kMaxVocab)
    return fail(DS_E_FORMAT, "tokenizer", "%s: %zu merges, at most %u are possible", parts.name.c_str(),
                parts.merges.size(), kMaxVocab);
  DS_TRY(check_merges(parts));
  auto tables = std::make_unique<TokenizerTables>();
  tables->name = parts.name;
  tables->texts = std::move(parts.texts);
  DS_TRY(index_texts(tables.get()));
  DS_TRY(resolve_roles(parts, tables.get()));
  tables->merges = MergeTable(parts.merges);
  DS_TRY_VALUE(tables->pre, PreTokenizer::make(std::move(parts.rules), parts.name));
  tables->add_prefix_space = parts.add_prefix_space;
  tables->ignore_merges = parts.ignore_merges;
  tables->add_bos = parts.add_bos;
  tables->family = parts.family;
  return Tokenizer::Pointer(std::make_shared<const Tokenizer>(std::move(tables)));
}

}  // namespace deepseam::text
