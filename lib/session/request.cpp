// See request.h.
#include "session/request.h"

#include <algorithm>

#include "session/model.h"

namespace deepseam::session {
namespace {

Status check_room(const Model &model, size_t n) {
  if (n < model.context_length()) return {};
  return fail(DS_E_CONTEXT_FULL, "session", "the prompt has %zu tokens, and the context holds %u", n,
              model.context_length());
}

}  // namespace

Result<Prompt> text_prompt(const Model &model, std::string_view text, const TextOptions &options,
                           const CancelWord *cancel) {
  DS_TRY_VALUE(const text::Tokenizer *tokenizer, model.need_tokenizer());
  text::EncodeOptions how;
  how.add_bos = options.add_bos && tokenizer->add_bos_token();
  how.parse_special = options.parse_special ? text::ParseSpecial::kAll : text::ParseSpecial::kNone;
  how.cancel = cancel;
  Prompt prompt;
  DS_TRY(tokenizer->encode(text, how, &prompt.ids));
  prompt.stop_ids.assign(tokenizer->stop_ids().begin(), tokenizer->stop_ids().end());
  return prompt;
}

Result<Prompt> tokens_prompt(const Model &model, std::span<const uint32_t> ids) {
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] >= model.vocab())
      return fail(DS_E_ARGUMENT, "session", "token %zu is %u, and the vocabulary has %u", i, ids[i], model.vocab());
  Prompt prompt;
  prompt.ids.assign(ids.begin(), ids.end());
  if (const text::Tokenizer *tokenizer = model.tokenizer())
    prompt.stop_ids.assign(tokenizer->stop_ids().begin(), tokenizer->stop_ids().end());
  return prompt;
}

Result<Prompt> chat_prompt(const Model &model, const text::ChatRequest &request) {
  DS_TRY_VALUE(const text::Tokenizer *tokenizer, model.need_tokenizer());
  auto made = text::chat_prompt(*tokenizer, request);
  if (!made.ok()) {
    Status status = std::move(made).status();
    if (status.code() != DS_E_MODEL) return status;
    return fail(DS_E_UNSUPPORTED, "session", "%s", status.message());
  }
  Prompt prompt;
  prompt.ids = std::move(made->ids);
  prompt.stop_ids.assign(tokenizer->stop_ids().begin(), tokenizer->stop_ids().end());
  DS_TRY(check_room(model, prompt.ids.size()));
  return prompt;
}

Result<Prompt> fim_prompt(const Model &model, text::FimRequest request, uint32_t max_tokens) {
  DS_TRY_VALUE(const text::Tokenizer *tokenizer, model.need_tokenizer());
  const uint32_t context = model.context_length();
  if (!request.budget) request.budget = context - std::min(max_tokens ? max_tokens : context / 4, context / 2);
  auto made = text::fim_prompt(*tokenizer, request);
  if (!made.ok()) {
    Status status = std::move(made).status();
    if (status.code() != DS_E_MODEL) return status;
    return fail(DS_E_UNSUPPORTED, "session", "%s", status.message());
  }
  Prompt prompt;
  prompt.ids = std::move(made->ids);
  prompt.healing = std::move(made->healing);
  prompt.stop_ids.assign(tokenizer->fim_stop_ids().begin(), tokenizer->fim_stop_ids().end());
  DS_TRY(check_room(model, prompt.ids.size()));
  return prompt;
}

}  // namespace deepseam::session
