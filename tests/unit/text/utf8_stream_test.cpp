// Utf8Stream: only whole characters come out, whatever the cuts; bad bytes become U+FFFD one per maximal part.
#include "text/utf8_stream.h"

#include <doctest/doctest.h>

#include <random>

using namespace deepseam::text;

TEST_CASE("utf8 stream: characters cut at every byte come out whole") {
  const std::string text = "a\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x99\x82z";
  Utf8Stream stream;
  std::string out;
  for (char c : text) {
    size_t before = out.size();
    stream.feed({&c, 1}, &out);
    CHECK(whole_characters(out) == out.size());
    CHECK((out.size() == before || to_valid_utf8(out) == out));
  }
  stream.flush(&out);
  CHECK(out == text);
}

TEST_CASE("utf8 stream: ill-formed bytes follow the practice of maximal parts") {
  const std::string r = "\xEF\xBF\xBD";
  CHECK(to_valid_utf8("\x80") == r);
  CHECK(to_valid_utf8("\xC0\x80") == r + r);                  // overlong
  CHECK(to_valid_utf8("\xE0\x80\x80") == r + r + r);          // overlong, three bytes
  CHECK(to_valid_utf8("\xED\xA0\x80") == r + r + r);          // surrogate
  CHECK(to_valid_utf8("\xF4\x90\x80\x80") == r + r + r + r);  // above 10FFFF
  CHECK(to_valid_utf8("\xE4\xBD"
                      "a") == r + "a");       // cut by another character
  CHECK(to_valid_utf8("\xF0\x9F\x99") == r);  // cut by the end
  CHECK(to_valid_utf8("\xF0\x9F\xF0\x9F\x99\x82") == r + "\xF0\x9F\x99\x82");
  CHECK(to_valid_utf8("\xFF\xFE"
                      "a") == r + r + "a");
}

TEST_CASE("utf8 stream: any bytes in any portions give what they give at once") {
  std::mt19937_64 rng(1);
  for (int round = 0; round < 3000; ++round) {
    std::string bytes;
    for (size_t n = rng() % 24; n > 0; --n) bytes += static_cast<char>(rng() % 3 ? 0x80 + rng() % 128 : rng() % 256);
    Utf8Stream stream;
    std::string out;
    for (size_t at = 0; at < bytes.size();) {
      size_t size = 1 + rng() % 4;
      stream.feed(std::string_view(bytes).substr(at, size), &out);
      CHECK(stream.pending() <= 3);
      at += size;
    }
    stream.flush(&out);
    REQUIRE(out == to_valid_utf8(bytes));
  }
}

TEST_CASE("whole_characters: where a text may be cut") {
  CHECK(whole_characters("") == 0);
  CHECK(whole_characters("ab") == 2);
  CHECK(whole_characters("a\xE4\xBD") == 1);
  CHECK(whole_characters("a\xE4\xBD\xA0") == 4);
  CHECK(whole_characters("\xF0\x9F\x99") == 0);
  CHECK(whole_characters("\x80\x80\x80\x80") == 4);  // no character to wait for
}
