// Stop strings, and the text of one choice while it is generated.
//
// A StopSet is the automaton of all stop strings of a request, made once and shared by its choices; a StopMatcher is
// the place of one text in it. Text that might still become a stop string is held back; everything before it may be
// shown. The stop that completes first wins, of several completing at one byte the longest; the stop itself is not
// shown. Stop *ids* are the session's business.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/utf8_stream.h"

namespace deepseam::text {

inline constexpr uint32_t kMaxStops = 256;
inline constexpr uint32_t kMaxStopBytes = 4096;  // each

class StopSet {
 public:
  // DS_E_ARGUMENT: an empty string, not UTF-8, too many, too long. No strings at all is a set that never matches.
  static Result<std::shared_ptr<const StopSet>> make(std::span<const std::string_view> stops);

 private:
  friend class StopMatcher;
  struct Node {
    uint32_t child = 0, sibling = 0, fail = 0;  // node numbers, 0 none
    uint32_t depth = 0;
    int32_t stop = -1;  // index of the longest stop that ends here, own or inherited by fail links
    uint32_t stop_bytes = 0;
    uint8_t byte = 0;
  };
  uint32_t step(uint32_t node, uint8_t byte) const;
  std::vector<Node> nodes_;  // [0] is the root; empty: nothing to stop at
};

class StopMatcher {
 public:
  StopMatcher() = default;  // never stops
  explicit StopMatcher(std::shared_ptr<const StopSet> set) : set_(std::move(set)) {}
  // Takes text, appends what is safe to show. True once a stop string is complete; later calls do nothing.
  bool feed(std::string_view text, std::string *out);
  // End of the text without a stop: what was held back is shown.
  void finish(std::string *out);
  bool stopped() const { return stop_ >= 0; }
  int32_t stop_index() const { return stop_; }  // which of the strings, -1 if none
  const std::string &held() const { return held_; }

 private:
  std::shared_ptr<const StopSet> set_;
  std::string held_;
  uint32_t node_ = 0;
  int32_t stop_ = -1;
};

// Token bytes → whole characters → text up to a stop. A plain value: copying one forks the choice.
class TextStream {
 public:
  TextStream() = default;
  explicit TextStream(std::shared_ptr<const StopSet> stops) : matcher_(std::move(stops)) {}
  // Appends the newly visible text (valid UTF-8, often empty). True once a stop string is complete.
  bool push(std::string_view token_bytes, std::string *visible);
  // No more tokens: shows what was held back, unless a stop string was met.
  void finish(std::string *visible);
  bool stopped() const { return matcher_.stopped(); }
  int32_t stop_index() const { return matcher_.stop_index(); }

 private:
  Utf8Stream utf8_;
  StopMatcher matcher_;
};

}  // namespace deepseam::text
