// Added tokens: literal strings that are found in text before anything else, leftmost first, of several the longest.
//
// Two sets, as in the tokenizer files: first those that are matched in the raw text, then in what is left those that
// are matched after normalisation (no model of the family normalises, so only the order differs).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/char_set.h"
#include "text/poll.h"

namespace deepseam::text {

inline constexpr size_t kMaxAddedBytes = 512;  // of one token

struct AddedToken {
  uint32_t id = 0;
  std::string_view text;                         // lives with the token table
  bool control = false;                          // stays text where control tokens are not parsed
  bool left_strip = false, right_strip = false;  // takes the white space beside it along
  bool single_word = false;                      // only where no word character is beside it
};

class AddedTokens {
 public:
  // Texts are not empty and at most kMaxAddedBytes long.
  void add(const AddedToken &token);
  bool empty() const { return tokens_.empty(); }
  bool only_control() const { return only_control_; }

  // Called for each gap (token NULL) and each token in turn; `text` is what it covers, white space taken along
  // included.
  using Sink = Status (*)(void *user, const AddedToken *token, std::string_view text);
  // parse_control false: control tokens are passed over. DS_E_CANCELLED once poll is hit.
  Status split(std::string_view text, bool parse_control, Poll *poll, void *user, Sink sink) const;

 private:
  struct Node {
    uint32_t child = 0, sibling = 0;
    int32_t token = -1;
    uint8_t byte = 0;
  };
  const AddedToken *longest_at(std::string_view text, size_t at, bool parse_control) const;
  bool stands_alone(std::string_view text, size_t begin, size_t end) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;
  bool first_byte_[256] = {};
  bool only_control_ = true;
  CharSet space_, word_;  // made only if a token asks for them
};

}  // namespace deepseam::text
