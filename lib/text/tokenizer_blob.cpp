// The stored form of a tokenizer: a little-endian blob, made to be loaded quickly and to be distrusted.
//
//   "DSTK", u32 version, u32 flags (1 add_bos, 2 ignore_merges, 4 add_prefix_space), u32 chat family,
//   u32 bos, eos, pad (FFFFFFFF none), u32 tokens V, u32 rules, u32 merges, u64 bytes of all texts,
//   V × u16 text length, V × u8 token flags, texts, merges × (u32 left, right, result),
//   rules × (u32 behaviour | literal << 8 | invert << 9, u32 length, pattern), u64 XXH3 of everything before.
// Readers accept every version up to their own. A name is not stored: it is what the container is called.
#include <algorithm>

#include "base/hash.h"
#include "text/tokenizer_tables.h"

namespace deepseam::text {
namespace {

constexpr uint32_t kMagic = 0x4B545344;  // "DSTK"
constexpr uint32_t kVersion = 1;

class BlobWriter {
 public:
  void number(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out_.push_back(static_cast<char>(value >> (8 * i)));
  }
  void u32(uint32_t value) { number(value, 4); }
  std::string out_;
};

class BlobReader {
 public:
  BlobReader(std::span<const uint8_t> bytes, const std::string &name) : bytes_(bytes), name_(name) {}

  // Fixed-size numbers; reading beyond the end gives 0 and is noticed by the next take() or by done().
  uint64_t number(size_t bytes) {
    uint64_t value = 0;
    if (bytes > bytes_.size() - at_) {
      short_ = true;
      return 0;
    }
    for (size_t i = 0; i < bytes; ++i) value |= uint64_t{bytes_[at_ + i]} << (8 * i);
    at_ += bytes;
    return value;
  }
  uint32_t u32() { return static_cast<uint32_t>(number(4)); }

  Status take(uint64_t count, uint64_t unit, const char *field, std::span<const uint8_t> *out) {
    if (short_ || count > (bytes_.size() - at_) / unit)
      return fail(DS_E_FORMAT, "tokenizer",
                  "%s: %s needs %llu × %llu bytes at offset %zu, the tokenizer has %zu in all", name_.c_str(), field,
                  static_cast<unsigned long long>(count), static_cast<unsigned long long>(unit), at_, bytes_.size());
    *out = bytes_.subspan(at_, static_cast<size_t>(count * unit));
    at_ += static_cast<size_t>(count * unit);
    return {};
  }
  bool done() const { return !short_ && at_ == bytes_.size(); }

 private:
  std::span<const uint8_t> bytes_;
  const std::string &name_;
  size_t at_ = 0;
  bool short_ = false;
};

uint32_t load32(const uint8_t *p) {
  return uint32_t{p[0]} | uint32_t{p[1]} << 8 | uint32_t{p[2]} << 16 | uint32_t{p[3]} << 24;
}

Status read_texts(BlobReader *reader, uint32_t tokens, uint64_t text_bytes, TokenizerParts *parts) {
  std::span<const uint8_t> lengths, flags, bytes;
  DS_TRY(reader->take(tokens, 2, "token lengths", &lengths));
  DS_TRY(reader->take(tokens, 1, "token flags", &flags));
  DS_TRY(reader->take(text_bytes, 1, "token texts", &bytes));
  TokenTexts &texts = parts->texts;
  texts.bytes.assign(reinterpret_cast<const char *>(bytes.data()), bytes.size());
  texts.flags.assign(flags.begin(), flags.end());
  texts.ends.reserve(tokens);
  uint64_t end = 0;
  for (size_t i = 0; i < tokens; ++i) {
    end += lengths[2 * i] | lengths[2 * i + 1] << 8;
    if (end > text_bytes) break;
    texts.ends.push_back(static_cast<uint32_t>(end));
  }
  if (end != text_bytes)
    return fail(DS_E_FORMAT, "tokenizer", "%s: token lengths add up to %llu, the texts have %llu bytes",
                parts->name.c_str(), static_cast<unsigned long long>(end), static_cast<unsigned long long>(text_bytes));
  return {};
}

Status read_rules(BlobReader *reader, uint32_t count, TokenizerParts *parts) {
  if (count > kMaxSplitRules)
    return fail(DS_E_FORMAT, "tokenizer", "%s: %u pre-tokenizer rules, at most %zu are possible", parts->name.c_str(),
                count, kMaxSplitRules);
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t kind = reader->u32();
    uint32_t length = reader->u32();
    std::span<const uint8_t> pattern;
    DS_TRY(reader->take(length, 1, "a pre-tokenizer pattern", &pattern));
    if ((kind & 0xFF) > 4 || kind >> 10 != 0)
      return fail(DS_E_FORMAT, "tokenizer", "%s: pre-tokenizer rule %u is of unknown kind %x", parts->name.c_str(), i,
                  kind);
    SplitRule rule;
    rule.pattern.assign(reinterpret_cast<const char *>(pattern.data()), pattern.size());
    rule.behavior = static_cast<SplitBehavior>(kind & 0xFF);
    rule.literal = (kind >> 8) & 1;
    rule.invert = (kind >> 9) & 1;
    parts->rules.push_back(std::move(rule));
  }
  return {};
}

}  // namespace

std::string Tokenizer::serialize() const {
  const TokenizerTables &tables = *tables_;
  std::vector<Merge> merges = tables.merges.ordered();
  BlobWriter writer;
  writer.out_.reserve(tables.texts.bytes.size() + tables.texts.count() * 3 + merges.size() * 12 + 65536);
  writer.u32(kMagic);
  writer.u32(kVersion);
  writer.u32((tables.add_bos ? 1u : 0) | (tables.ignore_merges ? 2u : 0) | (tables.add_prefix_space ? 4u : 0));
  writer.u32(static_cast<uint32_t>(tables.family));
  for (Role role : {Role::kBos, Role::kEos, Role::kPad}) writer.u32(this->role(role));
  writer.u32(tables.texts.count());
  writer.u32(static_cast<uint32_t>(tables.pre.rules().size()));
  writer.u32(static_cast<uint32_t>(merges.size()));
  writer.number(tables.texts.bytes.size(), 8);
  for (uint32_t id = 0; id < tables.texts.count(); ++id) writer.number(tables.texts[id].size(), 2);
  writer.out_.append(tables.texts.flags.begin(), tables.texts.flags.end());
  writer.out_.append(tables.texts.bytes);
  for (const Merge &merge : merges) {
    writer.u32(merge.left);
    writer.u32(merge.right);
    writer.u32(merge.result);
  }
  for (const SplitRule &rule : tables.pre.rules()) {
    writer.u32(static_cast<uint32_t>(rule.behavior) | (rule.literal ? 256u : 0) | (rule.invert ? 512u : 0));
    writer.u32(static_cast<uint32_t>(rule.pattern.size()));
    writer.out_.append(rule.pattern);
  }
  uint64_t sum = hash64({reinterpret_cast<const uint8_t *>(writer.out_.data()), writer.out_.size()});
  writer.number(sum, 8);
  return std::move(writer.out_);
}

Result<Tokenizer::Pointer> Tokenizer::from_blob(std::span<const uint8_t> bytes, const std::string &name) {
  BlobReader reader(bytes, name);
  TokenizerParts parts;
  parts.name = name;
  if (reader.u32() != kMagic) return fail(DS_E_FORMAT, "tokenizer", "%s: not a stored tokenizer", name.c_str());
  uint32_t version = reader.u32();
  if (version == 0 || version > kVersion)
    return fail(DS_E_FORMAT, "tokenizer", "%s: stored tokenizer of version %u, expected 1 to %u", name.c_str(), version,
                kVersion);
  uint32_t flags = reader.u32();
  uint32_t family = reader.u32();
  if (flags > 7 || family > static_cast<uint32_t>(ChatFamily::kV31))
    return fail(DS_E_FORMAT, "tokenizer", "%s: unknown flags %x or chat family %u", name.c_str(), flags, family);
  parts.add_bos = flags & 1;
  parts.ignore_merges = flags & 2;
  parts.add_prefix_space = flags & 4;
  parts.family = static_cast<ChatFamily>(family);
  parts.bos = reader.u32();
  parts.eos = reader.u32();
  parts.pad = reader.u32();
  uint32_t tokens = reader.u32(), rules = reader.u32(), merges = reader.u32();
  uint64_t text_bytes = reader.number(8);
  if (tokens > kMaxVocab || merges > kMaxVocab || text_bytes > UINT32_MAX)
    return fail(DS_E_FORMAT, "tokenizer", "%s: %u tokens, %u merges, %llu bytes of text are more than is possible",
                name.c_str(), tokens, merges, static_cast<unsigned long long>(text_bytes));
  DS_TRY(read_texts(&reader, tokens, text_bytes, &parts));
  std::span<const uint8_t> merge_bytes;
  DS_TRY(reader.take(merges, 12, "merges", &merge_bytes));
  parts.merges.reserve(merges);
  for (const uint8_t *p = merge_bytes.data(), *end = p + merge_bytes.size(); p != end; p += 12) {
    Merge merge;
    merge.left = load32(p);
    merge.right = load32(p + 4);
    merge.result = load32(p + 8);
    parts.merges.push_back(merge);
  }
  DS_TRY(read_rules(&reader, rules, &parts));
  uint64_t sum = reader.number(8);
  if (!reader.done())
    return fail(DS_E_FORMAT, "tokenizer", "%s: stored tokenizer is cut short or has bytes behind its end",
                name.c_str());
  if (sum != hash64(bytes.first(bytes.size() - 8)))
    return fail(DS_E_CHECKSUM, "tokenizer", "%s: stored tokenizer does not match its checksum", name.c_str());
  return build_tokenizer(std::move(parts));
}

}  // namespace deepseam::text
