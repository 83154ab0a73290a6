// Prompts: chat templates and fill-in-the-middle, byte for byte as the models were trained.
//
// A prompt is a list of segments, control tokens and text; the text of users and files is never searched for control
// tokens. Everything here is a pure function of tokenizer and request: the same request gives the same ids, whatever is
// cached. Chat lives in chat.cpp, fill-in-the-middle in fim.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "text/tokenizer.h"

namespace deepseam::text {

// One part of a prompt: a control token, or text (id is kNoToken). Text segments never follow each other.
struct Segment {
  uint32_t id = kNoToken;
  std::string text;
};

// ---- Chat ----

struct ToolCall {
  std::string_view type;  // "function"
  std::string_view name;
  std::string_view arguments;  // JSON text
};

struct ChatMessage {
  std::string_view role;  // "system", "user", "assistant", "tool"
  std::string_view content;
  std::span<const ToolCall> tool_calls;  // assistant only; given, content counts as null for V3 and R1
};

struct ChatRequest {
  std::span<const ChatMessage> messages;
  bool add_generation_prompt = true;
  bool thinking = false;                  // V3.1: open with <think> rather than </think>; other families ignore it
  ChatFamily family = ChatFamily::kNone;  // kNone: the tokenizer's own
  const CancelWord *cancel = nullptr;
};

struct ChatPrompt {
  std::vector<uint32_t> ids;
  std::vector<uint32_t>
      cuts;  // where a role begins, as counts of ids before it, ascending: good places to share a prefix
};

// The family that a chat template (jinja text) belongs to; kNone if it is none of ours.
ChatFamily detect_chat_family(std::string_view chat_template);

// The template as segments. `role_starts`, if given, gets (segment, byte offset in it) where each role begins.
// DS_E_ARGUMENT: an unknown role, or one that the family has no form for. DS_E_MODEL: the vocabulary lacks a token of
// the family.
struct RoleStart {
  uint32_t segment = 0;
  size_t offset = 0;
};
Result<std::vector<Segment>> chat_segments(const Tokenizer &tokenizer, const ChatRequest &request,
                                           std::vector<RoleStart> *role_starts = nullptr);
// The ids of the conversation, BOS included exactly once. Stop at tokenizer.stop_ids().
Result<ChatPrompt> chat_prompt(const Tokenizer &tokenizer, const ChatRequest &request);

// ---- Fill in the middle ----

enum class FimLayout : uint32_t {
  kPlain,     // <begin>P<hole>S<end>: P all before the cursor, S all after it; the form the models were trained on
  kAnchored,  // <begin>P<hole>S<end>t: P up to an anchor some lines above, t from there to the cursor; P and S stay
              // while typing
};

struct Snippet {
  std::string_view file_name;
  std::string_view text;
};

// The text before the cursor is prefix + typed.
//   Anchored with `typed` given (even empty): the host chose the anchor, at the end of prefix. Not given: the anchor is
//   the start of the group of 16 lines that holds the cursor. Plain ignores the border. Snippets and file_name become
//   comment lines before P, in the comment style of each file's extension:
//       // other/file.h
//       …text of the snippet…
//       // this/file.cpp
//       …P…
//   budget: at most this many prompt ids (0: no limit). P loses its head and S its tail; snippets go first, last one
//   last. suffix_budget: at most this many ids of S (0: a quarter of the budget, more where P leaves room in the plain
//   layout).
struct FimRequest {
  std::string_view prefix;
  std::string_view suffix;
  std::optional<std::string_view> typed;
  std::string_view file_name;
  std::span<const Snippet> snippets;
  FimLayout layout = FimLayout::kPlain;
  uint32_t budget = 0;
  uint32_t suffix_budget = 0;
  bool heal = true;  // anchored: take back the last pre-token of t (see FimPrompt::healing)
  const CancelWord *cancel = nullptr;
};

struct FimPrompt {
  std::vector<uint32_t> ids;
  // Bytes that the generated text must begin with: they were typed, but their tokens were taken back so that the model
  // may spell the word with its own tokens. Not new text: skip them in what is shown. Empty: nothing to heal.
  std::string healing;
  size_t window_start = 0;  // offset in prefix + typed of the first byte of P
  size_t anchor = 0;        // offset in prefix + typed where P ends and t begins (plain: the cursor)
  uint32_t prefix_ids = 0;  // ids of P, of S and of t in ids, control tokens not counted
  uint32_t suffix_ids = 0;
  uint32_t typed_ids = 0;
};

// DS_E_MODEL: the vocabulary has no FIM tokens. DS_E_CONTEXT_FULL: the budget holds not even the typed line.
Result<FimPrompt> fim_prompt(const Tokenizer &tokenizer, const FimRequest &request);

// Token healing while generating: which tokens agree with `rest`, the healing bytes still to be written: those that are
// a prefix of it and those that begin with it. Bit id % 32 of word id / 32; mask has ceil(V / 32) words, V rows of
// lm_head. A rest of no bytes allows every token that exists.
void healing_mask(const Tokenizer &tokenizer, std::string_view rest, std::span<uint32_t> mask);
// How many bytes of `rest` the chosen token wrote; what the token has beyond them is new text.
size_t healing_step(std::string_view rest, std::string_view token_bytes);

}  // namespace deepseam::text
