// What the text tests share: the small trained tokenizer, a byte tokenizer, random text, short ways to call.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>

#include "text/tokenizer.h"

namespace deepseam::text::test {

inline std::string read_data(const std::string &name) {
  std::ifstream file(std::string(DS_TEXT_DATA) + "/" + name, std::ios::binary);
  REQUIRE_MESSAGE(file, "missing " << name);
  std::ostringstream all;
  all << file.rdbuf();
  return all.str();
}

inline Tokenizer::Pointer small_tokenizer() {
  auto made = Tokenizer::from_hf(read_data("tokenizer.json"), read_data("tokenizer_config.json"), "small");
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  return *made;
}

inline Tokenizer::Pointer byte_tokenizer(uint32_t vocab = 512, uint32_t bos = 0, uint32_t eos = 1) {
  auto made = Tokenizer::make_byte_tokenizer(vocab, bos, eos);
  REQUIRE_MESSAGE(made.ok(), made.status().message());
  return *made;
}

inline std::vector<uint32_t> ids_of(const Tokenizer &tokenizer, std::string_view text,
                                    ParseSpecial special = ParseSpecial::kNone) {
  std::vector<uint32_t> ids;
  EncodeOptions options;
  options.parse_special = special;
  Status status = tokenizer.encode(text, options, &ids);
  REQUIRE_MESSAGE(status.ok(), status.message());
  return ids;
}

// A string of `count` items drawn from `items`.
inline std::string random_text(std::mt19937_64 &rng, const std::vector<std::string> &items, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) text += items[rng() % items.size()];
  return text;
}

}  // namespace deepseam::text::test
