#include "base/hash.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace deepseam;

namespace {

std::vector<uint8_t> counting_bytes(size_t size) {
  std::vector<uint8_t> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 131 + (i >> 8));
  return bytes;
}

}  // namespace

TEST_CASE("the values are those of XXH3") {
  CHECK(hash64({}) == 0x2d06800538d394c2u);  // XXH3_64bits of nothing, as its specification has it
  CHECK(hash128({}) == Hash128{0x6001c324468d497fu, 0x99aa06d3014798d8u});
}

TEST_CASE("pieces hash as the whole") {
  for (const size_t size : {0u, 1u, 16u, 17u, 128u, 129u, 240u, 241u, 1023u, 1024u, 1025u, 100000u}) {
    const std::vector<uint8_t> bytes = counting_bytes(size);
    for (const size_t piece : {1u, 7u, 256u, 5000u}) {
      Hasher hasher;
      for (size_t i = 0; i < size; i += piece) hasher.add(std::span(bytes).subspan(i, std::min(piece, size - i)));
      CHECK(hasher.value64() == hash64(bytes));
      CHECK(hasher.value128() == hash128(bytes));
    }
  }
}

TEST_CASE("a value may be asked for in between") {
  const std::vector<uint8_t> bytes = counting_bytes(2000);
  Hasher hasher;
  hasher.add(std::span(bytes).first(700));
  CHECK(hasher.value128() == hash128(std::span(bytes).first(700)));
  hasher.add(std::span(bytes).subspan(700));
  CHECK(hasher.value128() == hash128(bytes));
}

TEST_CASE("the seed matters") { CHECK(hash64(counting_bytes(50), 1) != hash64(counting_bytes(50), 2)); }
