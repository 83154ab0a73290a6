// The only file that knows PCRE2.
#include "text/regex.h"

#include <pcre2.h>

#include <new>

namespace deepseam::text {
namespace {

constexpr uint32_t kMatchSteps = 20'000'000;
constexpr uint32_t kHeapKiB = 64 * 1024;
constexpr size_t kMaxPatternBytes = 64 * 1024;

constexpr std::string_view kSpaceItems =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

// Writes \s and \S as explicit sets. \S inside a class keeps PCRE2's meaning, which differs in U+180E only.
std::string adapt(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      char next = pattern[++i];
      if (next == 's')
        out.append(in_class ? "" : "[").append(kSpaceItems).append(in_class ? "" : "]");
      else if (next == 'S' && !in_class)
        out.append("[^").append(kSpaceItems).append("]");
      else
        out.append({c, next});
      continue;
    }
    if (c == '[' && !in_class) {
      in_class = true;
      out.push_back(c);
      // A bracket that opens a class may be followed by ^ and by ] as a member.
      if (i + 1 < pattern.size() && pattern[i + 1] == '^') out.push_back(pattern[++i]);
      if (i + 1 < pattern.size() && pattern[i + 1] == ']') out.push_back(pattern[++i]);
      continue;
    }
    if (c == ']') in_class = false;
    out.push_back(c);
  }
  return out;
}

std::string error_text(int code) {
  PCRE2_UCHAR text[200] = {};
  if (pcre2_get_error_message(code, text, sizeof text) < 0) return "error " + std::to_string(code);
  return reinterpret_cast<const char *>(text);
}

}  // namespace

struct Regex::Code {
  pcre2_code *code = nullptr;
  bool jit = false;
  ~Code() { pcre2_code_free(code); }
};

struct RegexScratch::State {
  pcre2_match_data *data = nullptr;
  pcre2_match_context *context = nullptr;
  pcre2_jit_stack *stack = nullptr;
  State() {
    data = pcre2_match_data_create(1, nullptr);
    context = pcre2_match_context_create(nullptr);
    stack = pcre2_jit_stack_create(32 * 1024, 1024 * 1024, nullptr);  // NULL where there is no JIT
    if (!data || !context) {
      release();
      throw std::bad_alloc();
    }
    pcre2_set_match_limit(context, kMatchSteps);
    pcre2_set_heap_limit(context, kHeapKiB);
    pcre2_set_depth_limit(context, kMatchSteps);
    // The compiled matcher must not use the caller's stack, which may be small.
    if (stack) pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~State() { release(); }
  void release() {
    pcre2_jit_stack_free(stack);
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
};

RegexScratch::RegexScratch() = default;
RegexScratch::~RegexScratch() = default;
Regex::Regex() = default;
Regex::Regex(Regex &&) noexcept = default;
Regex &Regex::operator=(Regex &&) noexcept = default;
Regex::~Regex() = default;

Result<Regex> Regex::compile(std::string_view pattern, const std::string &name) {
  if (pattern.size() > kMaxPatternBytes)
    return fail(DS_E_FORMAT, "tokenizer", "%s: a pre_tokenizer pattern has %zu bytes, at most %zu are possible",
                name.c_str(), pattern.size(), kMaxPatternBytes);
  std::string adapted = adapt(pattern);
  pcre2_compile_context *context = pcre2_compile_context_create(nullptr);
  if (!context) throw std::bad_alloc();
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context, 100);
  int error = 0;
  PCRE2_SIZE offset = 0;
  Regex regex;
  regex.code_ = std::make_unique<Code>();
  regex.code_->code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(adapted.data()), adapted.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error, &offset, context);
  pcre2_compile_context_free(context);
  if (!regex.code_->code)
    return fail(DS_E_FORMAT, "tokenizer", "%s: pre_tokenizer pattern `%.80s` does not compile: %s", name.c_str(),
                std::string(pattern).c_str(), error_text(error).c_str());
  regex.code_->jit = pcre2_jit_compile(regex.code_->code, PCRE2_JIT_COMPLETE) == 0;
  return regex;
}

Result<std::optional<Match>> Regex::find(std::string_view text, size_t from, RegexScratch *scratch) const {
  if (!scratch->state_) scratch->state_ = std::make_unique<RegexScratch::State>();
  RegexScratch::State &state = *scratch->state_;
  // Without a stack of its own the compiled matcher would use ours: then the interpreter, which keeps frames on the
  // heap.
  uint32_t options = PCRE2_NO_UTF_CHECK | (code_->jit && state.stack ? 0 : PCRE2_NO_JIT);
  int found = pcre2_match(code_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from, options,
                          state.data, state.context);
  if (found == PCRE2_ERROR_NOMATCH) return std::optional<Match>();
  if (found == PCRE2_ERROR_NOMEMORY) return Status(DS_E_MEMORY);
  if (found < 0)
    return fail(DS_E_UNSUPPORTED, "tokenizer", "a pre_tokenizer pattern cannot be matched at byte %zu of %zu: %s", from,
                text.size(), error_text(found).c_str());
  const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(state.data);
  // \K in a lookahead can put the end before the begin.
  if (ends[1] < ends[0] || ends[0] < from) return std::optional<Match>();
  return std::optional<Match>(Match{ends[0], ends[1]});
}

}  // namespace deepseam::text
