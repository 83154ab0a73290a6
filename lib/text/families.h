// What is known about the published tokenizers beyond their files: literal token texts, and the pre-tokenizer rules
// that GGUF names instead of storing.
#pragma once

#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/pretokenize.h"
#include "text/tokenizer_tables.h"

namespace deepseam::text {

// Pre-tokenizer kinds that are an abbreviation of a pattern.
inline constexpr std::string_view kDigitPattern = "\\p{N}";
inline constexpr std::string_view kPunctuationPattern = "[\\p{P}!-/:-@\\[-`{-~]";

// The chat family by the file's template where there is one, else by which marks the vocabulary has.
ChatFamily choose_chat_family(std::string_view chat_template, const TokenTexts &texts);

}  // namespace deepseam::text
