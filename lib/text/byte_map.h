// The byte alphabet of GPT-2: how tokenizer files write any byte as one printable character.
//
// Printable Latin-1 characters stand for their own byte, the other 68 bytes for U+0100 … U+0143 in order.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace deepseam::text {

// The bytes that a vocabulary string stands for; nothing if a character of it is outside the alphabet.
std::optional<std::string> mapped_to_bytes(std::string_view mapped);
// As above, appended to *out; false leaves *out as it was.
bool append_mapped(std::string_view mapped, std::string *out);

}  // namespace deepseam::text
