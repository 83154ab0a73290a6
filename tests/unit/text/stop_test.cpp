// Stop strings: found across every border, held back only as long as they may still come, never shown.
#include "text/stop.h"

#include <doctest/doctest.h>

#include <random>

using namespace deepseam;
using namespace deepseam::text;

namespace {

std::shared_ptr<const StopSet> set_of(std::vector<std::string_view> stops) {
  auto made = StopSet::make(stops);
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  return *made;
}

}  // namespace

TEST_CASE("stop: a stop string across three tokens ends the text before it") {
  TextStream stream(set_of({"\n\n", "STOP"}));
  std::string out;
  CHECK_FALSE(stream.push("go S", &out));
  CHECK(out == "go ");
  CHECK_FALSE(stream.push("TO", &out));
  CHECK(out == "go ");
  CHECK(stream.push("P more", &out));
  CHECK(out == "go ");
  CHECK(stream.stop_index() == 1);
  CHECK(stream.push("later", &out));
  stream.finish(&out);
  CHECK(out == "go ");
}

TEST_CASE("stop: held text is shown once it cannot become a stop") {
  TextStream stream(set_of({"abcabd"}));
  std::string out;
  stream.push("abcab", &out);
  CHECK(out == "");
  stream.push("c", &out);
  CHECK(out == "abc");
  stream.finish(&out);
  CHECK(out == "abcabc");
}

TEST_CASE("stop: the first to be complete wins, of several the longest") {
  std::string out;
  StopMatcher first(set_of({"xyzw", "yz"}));
  CHECK(first.feed("axyzw", &out));
  CHECK(out == "ax");
  CHECK(first.stop_index() == 1);
  out.clear();
  StopMatcher longest(set_of({"yz", "xyz"}));
  CHECK(longest.feed("axyz", &out));
  CHECK(out == "a");
  CHECK(longest.stop_index() == 1);
}

TEST_CASE("stop: a character in pieces is matched when it is whole") {
  TextStream stream(set_of({"\xE4\xBD\xA0!"}));
  std::string out;
  CHECK_FALSE(stream.push("a\xE4", &out));
  CHECK_FALSE(stream.push("\xBD", &out));
  CHECK(out == "a");
  CHECK_FALSE(stream.push("\xA0", &out));
  CHECK(out == "a");
  CHECK(stream.push("!", &out));
  CHECK(out == "a");
}

TEST_CASE("stop: a copy of a stream goes on alone") {
  TextStream one(set_of({"ab"}));
  std::string left, right;
  one.push("xa", &left);
  TextStream two = one;
  CHECK(one.push("b", &left));
  CHECK_FALSE(two.push("c", &right));
  CHECK(left == "x");
  CHECK(right == "ac");
}

TEST_CASE("stop: bad lists are refused with a sentence") {
  std::vector<std::string_view> many(kMaxStops + 1, "a");
  std::string endless(kMaxStopBytes + 1, 'a');
  CHECK(StopSet::make(many).status().code() == DS_E_ARGUMENT);
  for (std::string_view bad : {std::string_view(""), std::string_view(endless), std::string_view("a\xFF")}) {
    std::string_view list[] = {bad};
    CHECK(StopSet::make(list).status().code() == DS_E_ARGUMENT);
  }
}

TEST_CASE("stop: agrees with plain search on random texts and cuts") {
  std::mt19937_64 rng(5);
  for (int round = 0; round < 4000; ++round) {
    auto word = [&](size_t most) {
      std::string text;
      for (size_t n = 1 + rng() % most; n > 0; --n) text += static_cast<char>('a' + rng() % 2);
      return text;
    };
    std::vector<std::string> stops;
    for (size_t n = rng() % 4; n > 0; --n) stops.push_back(word(4));
    std::string text = word(30);
    size_t best_end = std::string::npos, best_begin = text.size();
    for (const std::string &stop : stops) {
      size_t at = text.find(stop);
      if (at == std::string::npos) continue;
      size_t end = at + stop.size();
      if (end < best_end || (end == best_end && at < best_begin)) best_end = end, best_begin = at;
    }
    std::vector<std::string_view> views(stops.begin(), stops.end());
    TextStream stream(set_of(views));
    std::string out;
    for (size_t at = 0; at < text.size();) {
      size_t size = 1 + rng() % 5;
      stream.push(std::string_view(text).substr(at, size), &out);
      REQUIRE(text.starts_with(out));
      at += size;
    }
    stream.finish(&out);
    REQUIRE(out == text.substr(0, best_begin));
    REQUIRE(stream.stopped() == (best_end != std::string::npos));
  }
}
