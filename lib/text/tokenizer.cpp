// Encoding and decoding: the steps of tokenizer.h over the tables of tokenizer_tables.h.
#include "text/tokenizer.h"

#include <algorithm>

#include "base/hash.h"
#include "text/tokenizer_tables.h"
#include "text/utf8.h"

namespace deepseam::text {
namespace {

constexpr size_t kPollBytes = 32768;
constexpr size_t kCacheText = 4096;   // texts from this size use the word cache
constexpr size_t kCacheSlots = 4096;  // a power of two
constexpr size_t kCachePiece = 64;    // longest cached piece in bytes

// Longest prefix of text[at, end) that is well-formed, polling on the way.
size_t valid_run(std::string_view text, size_t at, Poll *poll) {
  size_t next_poll = at + kPollBytes;
  while (at < text.size()) {
    if (static_cast<uint8_t>(text[at]) < 0x80) {
      ++at;
    } else {
      Utf8Char c = decode_utf8(text, at);
      if (!c.valid) break;
      at += c.size;
    }
    if (at >= next_poll) {
      if (poll->check()) break;
      next_poll = at + kPollBytes;
    }
  }
  return at;
}

// One call of encode. Pieces that occurred before in the same text are copied from where their ids lie in the output:
// the word cache holds only places, and ends with the call.
class Encoder {
 public:
  Encoder(const TokenizerTables &tables, std::string_view text, const EncodeOptions &options,
          std::vector<uint32_t> *out)
      : tables_(tables), text_(text), parse_(options.parse_special == ParseSpecial::kAll), out_(*out) {
    poll_.word = options.cancel;
    if (text.size() >= kCacheText) cache_.resize(kCacheSlots);
  }

  Status run() {
    DS_TRY(tables_.raw_added.split(text_, parse_, &poll_, this, on_raw));
    return poll_.check() ? Status(DS_E_CANCELLED) : Status();
  }

 private:
  struct Word {
    uint32_t text = 0, bytes = 0;   // bytes 0: empty
    uint32_t first = 0, count = 0;  // ids in out_
  };

  static Status on_raw(void *user, const AddedToken *token, std::string_view text) {
    auto *self = static_cast<Encoder *>(user);
    if (token) return self->put(token->id);
    return self->tables_.normalized_added.split(text, self->parse_, &self->poll_, user, on_normalized);
  }

  static Status on_normalized(void *user, const AddedToken *token, std::string_view text) {
    auto *self = static_cast<Encoder *>(user);
    return token ? self->put(token->id) : self->encode_run(text);
  }

  static Status on_piece(void *user, std::string_view piece) {
    return static_cast<Encoder *>(user)->encode_piece(piece);
  }

  Status put(uint32_t id) {
    out_.push_back(id);
    return {};
  }

  // A run without added tokens: its well-formed parts are pre-tokenized, bad bytes stand alone.
  Status encode_run(std::string_view run) {
    if (tables_.add_prefix_space && !run.starts_with(' ')) {
      // The one rewriting of text there is; such pieces lie outside text_ and are not cached.
      std::string spaced = " " + std::string(run);
      return encode_valid_parts(spaced);
    }
    return encode_valid_parts(run);
  }

  Status encode_valid_parts(std::string_view run) {
    for (size_t at = 0; at < run.size();) {
      size_t end = valid_run(run, at, &poll_);
      if (poll_.hit) return Status(DS_E_CANCELLED);
      if (end > at) DS_TRY(tables_.pre.split(run.substr(at, end - at), &scratch_, &poll_, this, on_piece));
      for (at = end; at < run.size() && !decode_utf8(run, at).valid; ++at)
        put_byte(static_cast<uint8_t>(run[at]), true);
    }
    return {};
  }

  // A byte that no token stands for becomes U+FFFD: as its own piece where it stands alone, else among the symbols.
  void put_byte(uint8_t byte, bool alone) {
    if (tables_.byte_id[byte] != kNoToken) {
      out_.push_back(tables_.byte_id[byte]);
      return;
    }
    size_t begin = out_.size();
    out_.insert(out_.end(), std::begin(tables_.replacement), std::end(tables_.replacement));
    if (alone) bpe_merge(tables_.merges, &out_, begin, &bpe_, &poll_);
  }

  Status encode_piece(std::string_view piece) {
    Word *word = cache_slot(piece);
    size_t begin = out_.size();
    if (word && word->bytes == piece.size() && text_.substr(word->text, word->bytes) == piece) {
      for (uint32_t i = 0; i < word->count; ++i) out_.push_back(out_[word->first + i]);
      return {};
    }
    uint32_t whole = tables_.ignore_merges ? tables_.normal.find(tables_.texts, piece) : kNoToken;
    if (whole != kNoToken) {
      out_.push_back(whole);
    } else {
      size_t next_poll = kPollBytes;
      size_t most = begin + piece.size();
      if (out_.capacity() < most) out_.reserve(std::max(most, out_.capacity() * 2));
      for (size_t i = 0; i < piece.size(); ++i) {
        put_byte(static_cast<uint8_t>(piece[i]), false);
        if (i < next_poll) continue;
        if (poll_.check()) return Status(DS_E_CANCELLED);
        next_poll += kPollBytes;
      }
      bpe_merge(tables_.merges, &out_, begin, &bpe_, &poll_);
      if (poll_.hit) return Status(DS_E_CANCELLED);
    }
    if (word)
      *word = {static_cast<uint32_t>(piece.data() - text_.data()), static_cast<uint32_t>(piece.size()),
               static_cast<uint32_t>(begin), static_cast<uint32_t>(out_.size() - begin)};
    return {};
  }

  Word *cache_slot(std::string_view piece) {
    if (cache_.empty() || piece.size() < 2 || piece.size() > kCachePiece || tables_.add_prefix_space) return nullptr;
    uint64_t hash = hash64({reinterpret_cast<const uint8_t *>(piece.data()), piece.size()});
    return &cache_[hash & (kCacheSlots - 1)];
  }

  const TokenizerTables &tables_;
  std::string_view text_;
  bool parse_;
  std::vector<uint32_t> &out_;
  Poll poll_;
  PreTokenizer::Scratch scratch_;
  BpeScratch bpe_;
  std::vector<Word> cache_;
};

Status check_size(size_t bytes) {
  if (bytes < (size_t{1} << 31) - 1) return {};
  return fail(DS_E_ARGUMENT, "tokenizer", "a text of %zu bytes is too long, at most 2147483646 are possible", bytes);
}

}  // namespace

std::string_view role_text(Role role) {
  constexpr std::string_view kTexts[] = {"<｜begin▁of▁sentence｜>",
                                         "<｜end▁of▁sentence｜>",
                                         "<｜▁pad▁｜>",
                                         "<｜fim▁begin｜>",
                                         "<｜fim▁hole｜>",
                                         "<｜fim▁end｜>",
                                         "<｜User｜>",
                                         "<｜Assistant｜>",
                                         "<|EOT|>",
                                         "<think>",
                                         "</think>",
                                         "<｜tool▁calls▁begin｜>",
                                         "<｜tool▁calls▁end｜>",
                                         "<｜tool▁call▁begin｜>",
                                         "<｜tool▁call▁end｜>",
                                         "<｜tool▁outputs▁begin｜>",
                                         "<｜tool▁outputs▁end｜>",
                                         "<｜tool▁output▁begin｜>",
                                         "<｜tool▁output▁end｜>",
                                         "<｜tool▁sep｜>"};
  static_assert(std::size(kTexts) == static_cast<size_t>(Role::kCount));
  return kTexts[static_cast<size_t>(role)];
}

Tokenizer::Tokenizer(std::unique_ptr<const TokenizerTables> tables) : tables_(std::move(tables)) {}
Tokenizer::~Tokenizer() = default;

Status Tokenizer::encode(std::string_view bytes, const EncodeOptions &options, std::vector<uint32_t> *out) const {
  DS_TRY(check_size(bytes.size()));
  // Ids are collected aside, so that a failed call leaves out alone and the word cache can point into them.
  std::vector<uint32_t> ids;
  ids.reserve(bytes.size() / 3 + 2);
  if (options.add_bos && role(Role::kBos) != kNoToken) ids.push_back(role(Role::kBos));
  DS_TRY(Encoder(*tables_, bytes, options, &ids).run());
  if (out->empty())
    *out = std::move(ids);
  else
    out->insert(out->end(), ids.begin(), ids.end());
  return {};
}

Result<size_t> Tokenizer::last_pre_token(std::string_view bytes, const CancelWord *cancel) const {
  DS_TRY(check_size(bytes.size()));
  struct Search {
    const TokenizerTables *tables;
    Poll poll;
    PreTokenizer::Scratch scratch;
    const char *last;
  };
  Search search{tables_.get(), {cancel, false}, {}, bytes.data()};
  auto on_piece = [](void *user, std::string_view piece) {
    static_cast<Search *>(user)->last = piece.data();
    return Status();
  };
  size_t at = 0;
  while (at < bytes.size()) {
    size_t end = valid_run(bytes, at, &search.poll);
    if (search.poll.hit) return Status(DS_E_CANCELLED);
    if (end > at)
      DS_TRY(tables_->pre.split(bytes.substr(at, end - at), &search.scratch, &search.poll, &search, on_piece));
    for (at = end; at < bytes.size() && !decode_utf8(bytes, at).valid; ++at) search.last = bytes.data() + at;
  }
  return static_cast<size_t>(search.last - bytes.data());
}

std::string_view Tokenizer::token_bytes(uint32_t id) const {
  return id < tables_->texts.count() ? tables_->texts[id] : std::string_view();
}

std::string Tokenizer::decode(std::span<const uint32_t> ids, bool keep_special) const {
  std::string bytes;
  for (uint32_t id : ids)
    if (keep_special || !is_special(id)) bytes.append(token_bytes(id));
  return bytes;
}

uint32_t Tokenizer::vocab_size() const { return tables_->texts.count(); }

bool Tokenizer::is_special(uint32_t id) const {
  return id < tables_->texts.count() && (tables_->texts.flags[id] & kTokenControl) != 0;
}

uint32_t Tokenizer::find(std::string_view bytes) const {
  uint32_t id = tables_->added.find(tables_->texts, bytes);
  return id != kNoToken ? id : tables_->normal.find(tables_->texts, bytes);
}

uint32_t Tokenizer::role(Role role) const {
  return role < Role::kCount ? tables_->roles[static_cast<size_t>(role)] : kNoToken;
}

bool Tokenizer::add_bos_token() const { return tables_->add_bos; }
std::span<const uint32_t> Tokenizer::stop_ids() const { return tables_->stops; }
std::span<const uint32_t> Tokenizer::fim_stop_ids() const { return tables_->fim_stops; }
ChatFamily Tokenizer::chat_family() const { return tables_->family; }
const std::string &Tokenizer::name() const { return tables_->name; }

}  // namespace deepseam::text
