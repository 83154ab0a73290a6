// From what a host asks to a Prompt: plain text, a conversation, a cursor in code. Runs on the caller's thread.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/cancel.h"
#include "base/status.h"
#include "session/job.h"
#include "text/prompt.h"

namespace deepseam::session {

// DS_E_UNSUPPORTED: the model has no tokenizer, or the vocabulary lacks the marks of this kind of prompt.
// DS_E_CONTEXT_FULL: no token could follow. DS_E_CANCELLED.
struct TextOptions {
  bool parse_special = false;
  bool add_bos = true;  // if the model wants one
};
Result<Prompt> text_prompt(const Model &model, std::string_view text, const TextOptions &options,
                           const CancelWord *cancel);
// Ids as given; DS_E_ARGUMENT names the first one that has no row in the vocabulary.
Result<Prompt> tokens_prompt(const Model &model, std::span<const uint32_t> ids);
Result<Prompt> chat_prompt(const Model &model, const text::ChatRequest &request);
// request.budget 0: the context less max_tokens (at most half of the context is kept free for the answer).
Result<Prompt> fim_prompt(const Model &model, text::FimRequest request, uint32_t max_tokens);

}  // namespace deepseam::session
