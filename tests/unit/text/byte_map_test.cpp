// The byte alphabet: 256 characters, each for one byte.
#include "text/byte_map.h"

#include <doctest/doctest.h>

#include <set>

#include "text/utf8.h"

using namespace deepseam::text;

TEST_CASE("byte map: the alphabet covers every byte once") {
  std::set<std::string> bytes;
  for (uint32_t code = 0; code < 0x400; ++code) {
    std::string text;
    append_utf8(code, &text);
    if (auto mapped = mapped_to_bytes(text)) {
      CHECK(mapped->size() == 1);
      CHECK(bytes.insert(*mapped).second);
    }
  }
  CHECK(bytes.size() == 256);
}

TEST_CASE("byte map: known places") {
  CHECK(mapped_to_bytes("Ġthe") == " the");
  CHECK(mapped_to_bytes("Ċ") == "\n");
  CHECK(mapped_to_bytes("Ã©") == "\xC3\xA9");
  CHECK(mapped_to_bytes("Ń") == "\xAD");
  CHECK_FALSE(mapped_to_bytes("<｜User｜>"));
  CHECK_FALSE(mapped_to_bytes(" "));
}
