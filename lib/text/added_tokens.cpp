// Added tokens: see added_tokens.h. A trie of bytes; tokens are short, so each place in the text costs little.
#include "text/added_tokens.h"

#include "text/utf8.h"

namespace deepseam::text {
namespace {

constexpr size_t kPollBytes = 32768;

// The character that ends at `end` > 0, or an invalid one.
Utf8Char character_before(std::string_view text, size_t end) {
  for (size_t size = 1; size <= 4 && size <= end; ++size) {
    Utf8Char c = decode_utf8(text, end - size);
    if (c.valid && c.size == size) return c;
  }
  return {};
}

}  // namespace

void AddedTokens::add(const AddedToken &token) {
  if (nodes_.empty()) nodes_.emplace_back();
  uint32_t node = 0;
  for (char c : token.text) {
    auto byte = static_cast<uint8_t>(c);
    uint32_t next = nodes_[node].child;
    while (next != 0 && nodes_[next].byte != byte) next = nodes_[next].sibling;
    if (next == 0) {
      next = static_cast<uint32_t>(nodes_.size());
      Node made;
      made.byte = byte;
      made.sibling = nodes_[node].child;
      nodes_.push_back(made);
      nodes_[node].child = next;
    }
    node = next;
  }
  nodes_[node].token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
  first_byte_[static_cast<uint8_t>(token.text.front())] = true;
  if (!token.control) only_control_ = false;
  if ((token.left_strip || token.right_strip) && space_.ranges().empty())
    space_ = CharSet({white_space().begin(), white_space().end()});
  if (token.single_word && word_.ranges().empty()) {
    std::vector<CharRange> word = {{'_', '_'}};
    for (char category : {'L', 'M', 'N'}) {
      auto ranges = general_category(category);
      word.insert(word.end(), ranges.begin(), ranges.end());
    }
    word_ = CharSet(std::move(word));
  }
}

const AddedToken *AddedTokens::longest_at(std::string_view text, size_t at, bool parse_control) const {
  const AddedToken *longest = nullptr;
  uint32_t node = 0;
  for (; at < text.size(); ++at) {
    auto byte = static_cast<uint8_t>(text[at]);
    node = nodes_[node].child;
    while (node != 0 && nodes_[node].byte != byte) node = nodes_[node].sibling;
    if (node == 0) break;
    if (nodes_[node].token < 0) continue;
    const AddedToken &token = tokens_[static_cast<size_t>(nodes_[node].token)];
    if (parse_control || !token.control) longest = &token;
  }
  return longest;
}

bool AddedTokens::stands_alone(std::string_view text, size_t begin, size_t end) const {
  if (begin > 0) {
    Utf8Char c = character_before(text, begin);
    if (c.valid && word_.contains(c.code)) return false;
  }
  if (end < text.size()) {
    Utf8Char c = decode_utf8(text, end);
    if (c.valid && word_.contains(c.code)) return false;
  }
  return true;
}

Status AddedTokens::split(std::string_view text, bool parse_control, Poll *poll, void *user, Sink sink) const {
  size_t done = 0;
  if (!nodes_.empty() && (parse_control || !only_control_)) {
    size_t next_poll = kPollBytes;
    for (size_t at = 0; at < text.size();) {
      if (at >= next_poll) {
        if (poll->check()) return Status(DS_E_CANCELLED);
        next_poll = at + kPollBytes;
      }
      const AddedToken *token = nullptr;
      if (first_byte_[static_cast<uint8_t>(text[at])]) token = longest_at(text, at, parse_control);
      if (!token) {
        ++at;
        continue;
      }
      size_t begin = at, end = at + token->text.size();
      at = end;
      if (token->single_word && !stands_alone(text, begin, end)) continue;
      while (token->left_strip && begin > done) {
        Utf8Char c = character_before(text, begin);
        if (!c.valid || !space_.contains(c.code)) break;
        begin -= c.size;
      }
      while (token->right_strip && end < text.size()) {
        Utf8Char c = decode_utf8(text, end);
        if (!c.valid || !space_.contains(c.code)) break;
        end += c.size;
      }
      if (begin < done) begin = done;
      if (begin > done) DS_TRY(sink(user, nullptr, text.substr(done, begin - done)));
      DS_TRY(sink(user, token, text.substr(begin, end - begin)));
      done = end;
      if (at < end) at = end;
    }
  }
  if (done < text.size()) return sink(user, nullptr, text.substr(done));
  return {};
}

}  // namespace deepseam::text
