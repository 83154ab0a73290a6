// ds_tokenize and its relatives: text to ids and back, prompts as the run functions would build them.
#include "capi/objects.h"
#include "capi/requests.h"
#include "capi/wall.h"
#include "session/tools.h"

using namespace deepseam;
using namespace deepseam::capi;

namespace {

Status tokenize(ds_model *model, const char *text, uint64_t text_size, uint32_t flags, ds_cancel *cancel, uint32_t *ids,
                uint64_t capacity, uint64_t *n) {
  const Pinned<ModelObject> object(model);
  DS_TRY(usable(object));
  DS_TRY(check_flags(flags, DS_TEXT_PARSE_SPECIAL | DS_TEXT_NO_BOS, "flags"));
  std::string_view view;
  DS_TRY(read_text(text, text_size, "text", &view));
  std::shared_ptr<const CancelWord> word;
  DS_TRY(read_cancel(cancel, &word));
  DS_TRY_VALUE(const text::Tokenizer *tokenizer, object->model->need_tokenizer());
  text::EncodeOptions options;
  options.add_bos = tokenizer->add_bos_token() && !(flags & DS_TEXT_NO_BOS);
  options.parse_special = flags & DS_TEXT_PARSE_SPECIAL ? text::ParseSpecial::kAll : text::ParseSpecial::kNone;
  options.cancel = word.get();
  std::vector<uint32_t> found;
  DS_TRY(tokenizer->encode(view, options, &found));
  return fill_ids(found.data(), found.size(), ids, capacity, n);
}

Status detokenize(ds_model *model, const uint32_t *ids, uint64_t n_ids, uint32_t flags, char *buffer, uint64_t capacity,
                  uint64_t *size) {
  const Pinned<ModelObject> object(model);
  DS_TRY(usable(object));
  DS_TRY(check_flags(flags, DS_TEXT_KEEP_SPECIAL, "flags"));
  DS_TRY(check_array(ids, n_ids, sizeof(uint32_t), "ids"));
  const bool keep_special = flags & DS_TEXT_KEEP_SPECIAL;
  DS_TRY_VALUE(const std::string text,
               session::detokenize(*object->model, {ids, static_cast<size_t>(n_ids)}, keep_special));
  return fill_text(text, buffer, capacity, size);
}

Status token_text(ds_model *model, uint32_t id, char *buffer, uint64_t capacity, uint64_t *size) {
  const Pinned<ModelObject> object(model);
  DS_TRY(usable(object));
  DS_TRY_VALUE(const text::Tokenizer *tokenizer, object->model->need_tokenizer());
  if (id >= object->model->vocab())
    return fail(DS_E_ARGUMENT, "capi", "the id is %u, expected below %u", id, object->model->vocab());
  return fill_text(tokenizer->token_bytes(id), buffer, capacity, size);
}

}  // namespace

ds_status ds_tokenize(ds_model *model, const char *text, uint64_t text_size, uint32_t flags, ds_cancel *cancel,
                      uint32_t *ids, uint64_t capacity, uint64_t *n, ds_error *error) {
  return entry(error, [&] { return tokenize(model, text, text_size, flags, cancel, ids, capacity, n); });
}

ds_status ds_detokenize(ds_model *model, const uint32_t *ids, uint64_t n_ids, uint32_t flags, char *buffer,
                        uint64_t capacity, uint64_t *size, ds_error *error) {
  return entry(error, [&] { return detokenize(model, ids, n_ids, flags, buffer, capacity, size); });
}

ds_status ds_token_text(ds_model *model, uint32_t id, char *buffer, uint64_t capacity, uint64_t *size,
                        ds_error *error) {
  return entry(error, [&] { return token_text(model, id, buffer, capacity, size); });
}

ds_status ds_chat_prompt(ds_model *model, const ds_chat_input *input, uint32_t *ids, uint64_t capacity, uint64_t *n,
                         ds_error *error) {
  return entry(error, [&]() -> Status {
    const Pinned<ModelObject> object(model);
    DS_TRY(usable(object));
    DS_TRY_VALUE(const session::Prompt prompt, read_chat(*object->model, input, nullptr));
    return fill_ids(prompt.ids.data(), prompt.ids.size(), ids, capacity, n);
  });
}

ds_status ds_fim_prompt(ds_model *model, const ds_fim_input *input, uint32_t *ids, uint64_t capacity, uint64_t *n,
                        ds_error *error) {
  return entry(error, [&]() -> Status {
    const Pinned<ModelObject> object(model);
    DS_TRY(usable(object));
    DS_TRY_VALUE(const session::Prompt prompt, read_fim(*object->model, input, 0, nullptr));
    return fill_ids(prompt.ids.data(), prompt.ids.size(), ids, capacity, n);
  });
}
