// tokenizer.json from anyone: parse, then encode and decode with what came out, through the stored form as well.
//
// Input: the text of tokenizer.json, and behind the first NUL byte, if any, the text to encode.
#include <string>

#include "text/tokenizer.h"

namespace {

using deepseam::text::EncodeOptions;
using deepseam::text::ParseSpecial;
using deepseam::text::Tokenizer;

// A violated property must be visible to fuzzer and replay alike.
void require(bool holds) {
  if (!holds) __builtin_trap();
}

void exercise(const Tokenizer &tokenizer, std::string_view text) {
  for (ParseSpecial special : {ParseSpecial::kNone, ParseSpecial::kAll}) {
    EncodeOptions options;
    options.parse_special = special;
    std::vector<uint32_t> ids;
    if (!tokenizer.encode(text, options, &ids).ok()) continue;
    for (uint32_t id : ids) require(tokenizer.has_token(id));
    (void)tokenizer.decode(ids, true);
  }
  (void)tokenizer.last_pre_token(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view input(reinterpret_cast<const char *>(data), size);
  size_t end = input.find('\0');
  std::string_view json = input.substr(0, end);
  std::string_view text = end == std::string_view::npos ? json.substr(0, 2000) : input.substr(end + 1);
  auto tokenizer = Tokenizer::from_hf(json, "", "fuzz");
  if (!tokenizer.ok()) {
    require(tokenizer.status().message()[0] != '\0');
    return 0;
  }
  exercise(**tokenizer, text);
  std::string blob = (*tokenizer)->serialize();
  auto again = Tokenizer::from_blob({reinterpret_cast<const uint8_t *>(blob.data()), blob.size()}, "blob");
  require(again.ok());
  exercise(**again, text);
  return 0;
}
