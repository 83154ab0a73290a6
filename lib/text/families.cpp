// Pre-tokenizer rules of the DeepSeek families, for files that name a family only.
//
// Sources: the Split rules of the published tokenizer.json files. The letters of deepseek-llm are a fixed list of cased
// letters of an older Unicode, not a property of today's.
#include "text/families.h"

#include "text/prompt.h"
#include "text/utf8.h"

namespace deepseam::text {
namespace {

// clang-format off
constexpr CharRange kCasedLetters[] = {
    {0x41, 0x5A}, {0x61, 0x7A}, {0xB5, 0xB5}, {0xC0, 0xD6}, {0xD8, 0xF6}, {0xF8, 0x1BA}, {0x1BC, 0x1BF}, {0x1C4, 0x293},
    {0x295, 0x2AF}, {0x370, 0x373}, {0x376, 0x377}, {0x37B, 0x37D}, {0x37F, 0x37F}, {0x386, 0x386}, {0x388, 0x38A},
    {0x38C, 0x38C}, {0x38E, 0x3A1}, {0x3A3, 0x3F5}, {0x3F7, 0x481}, {0x48A, 0x52F}, {0x531, 0x556}, {0x10A0, 0x10C5},
    {0x13A0, 0x13F5}, {0x13F8, 0x13FD}, {0x1C90, 0x1CBA}, {0x1CBD, 0x1CBF}, {0x1D00, 0x1D2B}, {0x1D6B, 0x1D77},
    {0x1D79, 0x1D9A}, {0x1E00, 0x1F15}, {0x1F18, 0x1F1D}, {0x1F20, 0x1F45}, {0x1F48, 0x1F4D}, {0x1F50, 0x1F57},
    {0x1F59, 0x1F59}, {0x1F5B, 0x1F5B}, {0x1F5D, 0x1F5D}, {0x1F5F, 0x1F7D}, {0x1F80, 0x1FB4}, {0x1FB6, 0x1FBC},
    {0x1FBE, 0x1FBE}, {0x1FC2, 0x1FC4}, {0x1FC6, 0x1FCC}, {0x1FD0, 0x1FD3}, {0x1FD6, 0x1FDB}, {0x1FE0, 0x1FEC},
    {0x1FF2, 0x1FF4}, {0x1FF6, 0x1FFC}, {0x2102, 0x2102}, {0x2107, 0x2107}, {0x210A, 0x2113}, {0x2115, 0x2115},
    {0x2119, 0x211D}, {0x2124, 0x2124}, {0x2126, 0x2126}, {0x2128, 0x2128}, {0x212A, 0x212D}, {0x212F, 0x2134},
    {0x2139, 0x2139}, {0x213C, 0x213F}, {0x2145, 0x2149}, {0x214E, 0x214E}, {0x2183, 0x2184}, {0x2C00, 0x2C7B},
    {0x2C7E, 0x2CE4}, {0x2CEB, 0x2CEE}, {0x2CF2, 0x2CF3}, {0xA640, 0xA66D}, {0xA680, 0xA69B}, {0xA722, 0xA76F},
    {0xA771, 0xA787}, {0xA78B, 0xA78E}, {0xAB70, 0xABBF}, {0xFB00, 0xFB06}, {0xFB13, 0xFB17}, {0xFF21, 0xFF3A},
    {0xFF41, 0xFF5A}, {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB}, {0x10C80, 0x10CB2},
    {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943},
};
// clang-format on

constexpr CharRange kPunctuationLlm[] = {{'!', '/'},       {':', '~'},       {0xFF01, 0xFF0F},
                                         {0xFF1A, 0xFF5E}, {0x2018, 0x201F}, {0x3000, 0x3002}};
constexpr CharRange kCjkLlm[] = {{0x4E00, 0x9FA5}, {0x0800, 0x4E00}, {0xAC00, 0xD7FF}};
constexpr CharRange kCjkV3[] = {{0x4E00, 0x9FA5}, {0x3040, 0x309F}, {0x30A0, 0x30FF}};

std::string class_of(std::span<const CharRange> ranges) {
  std::string text = "[";
  for (const CharRange &range : ranges) {
    append_utf8(range.first, &text);
    if (range.last > range.first + 1) text += '-';
    if (range.last > range.first) append_utf8(range.last, &text);
  }
  return text + "]";
}

}  // namespace

Result<std::vector<SplitRule>> family_rules(std::string_view pre_type) {
  std::vector<std::string> patterns;
  if (pre_type == "deepseek-llm") {
    patterns = {"[\r\n]",
                "\\s?" + class_of(kCasedLetters) + "+",
                "\\s?" + class_of(kPunctuationLlm) + "+",
                "\\s+$",
                class_of(kCjkLlm) + "+",
                std::string(kDigitPattern)};
  } else if (pre_type == "deepseek-coder") {
    patterns = {"[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", class_of(kCjkLlm) + "+", std::string(kDigitPattern)};
  } else if (pre_type == "deepseek-v3") {
    patterns = {"\\p{N}{1,3}", class_of(kCjkV3) + "+", std::string(words_v3_pattern())};
  } else {
    return fail(DS_E_UNSUPPORTED, "tokenizer",
                "pre-tokenizer type \"%.60s\" is not known; expected deepseek-llm, deepseek-coder or deepseek-v3",
                std::string(pre_type).c_str());
  }
  std::vector<SplitRule> rules;
  for (std::string &pattern : patterns) rules.push_back({std::move(pattern), SplitBehavior::kIsolated, false, false});
  return rules;
}

ChatFamily choose_chat_family(std::string_view chat_template, const TokenTexts &texts) {
  if (!chat_template.empty()) return detect_chat_family(chat_template);
  bool has_user = false, has_think = false;
  uint32_t bos = kNoToken;
  for (uint32_t id = 0; id < texts.count(); ++id) {
    if (!(texts.flags[id] & kTokenAdded)) continue;
    has_user = has_user || texts[id] == role_text(Role::kUser);
    has_think = has_think || texts[id] == role_text(Role::kThinkBegin);
    if (texts[id] == role_text(Role::kBos)) bos = id;
  }
  if (bos == kNoToken) return ChatFamily::kNone;
  if (!has_user) return ChatFamily::kV2;
  if (has_think) return ChatFamily::kR1;
  return bos == 0 ? ChatFamily::kV3 : ChatFamily::kV25;  // V2 vocabularies have their marks at the end
}

std::string_view byte_level_pattern() {
  return "'(?:[sdmt]|ll|re|ve)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";
}

}  // namespace deepseam::text
