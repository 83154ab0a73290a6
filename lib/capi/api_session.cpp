// ds_session_*: creating, settings, evaluating tokens.
#include "capi/objects.h"
#include "capi/requests.h"
#include "capi/wall.h"

using namespace deepseam;
using namespace deepseam::capi;

namespace {

Status create(ds_model *model, const ds_session_options *options, ds_session **session) {
  DS_TRY(prepare_handle(session, "session"));
  const Pinned<ModelObject> object(model);
  DS_TRY(usable(object));
  session::SessionSettings settings;
  DS_TRY(read_session_settings(options, &settings));
  auto created = std::make_unique<SessionObject>();
  DS_TRY_VALUE(created->session, session::Session::create(object->model, settings));
  return publish(std::move(created), session);
}

Status eval(ds_session *session, const ds_eval_input *given, ds_eval_output *output) {
  DS_TRY(check_out(output));
  ds_eval_input input;
  DS_TRY(read_struct(given, &input));
  DS_TRY(check_choice(input.want, DS_WANT_NONE, "ds_eval_input.want"));
  DS_TRY(check_flags(input.flags, DS_GEN_NO_STORE | DS_GEN_NO_REUSE, "ds_eval_input.flags"));
  DS_TRY(check_array(input.ids, input.n_ids, sizeof(uint32_t), "ds_eval_input.ids"));
  if (!input.n_ids) return fail(DS_E_ARGUMENT, "capi", "ds_eval_input.n_ids is 0, expected at least 1");
  const Pinned<SessionObject> object(session);
  DS_TRY(usable(object));
  session::EvalRequest request;
  request.ids = {input.ids, static_cast<size_t>(input.n_ids)};
  request.want = static_cast<session::Want>(input.want);
  request.chunk = input.chunk;
  request.no_store = input.flags & DS_GEN_NO_STORE;
  request.no_reuse = input.flags & DS_GEN_NO_REUSE;
  request.logits = input.logits;
  request.capacity = input.capacity;
  std::string_view salt;
  DS_TRY(read_text(input.cache_salt, "ds_eval_input.cache_salt", &salt));
  request.salt = salt;
  DS_TRY(read_cancel(input.cancel, &request.cancel));
  DS_TRY(read_adapter(input.adapter, &request.adapter));
  DS_TRY_VALUE(const session::EvalResult result, object->session->eval(request));
  ds_eval_output record{};
  record.logits = result.logits;
  record.rows = result.rows;
  record.vocab = result.vocab;
  record.n_computed = result.n_computed;
  write_struct(record, output);
  return Status();
}

}  // namespace

ds_status ds_session_create(ds_model *model, const ds_session_options *options, ds_session **session, ds_error *error) {
  return blocking_entry(error, [&] { return create(model, options, session); });
}

ds_status ds_session_set(ds_session *session, const ds_option *options, uint64_t n_options, ds_error *error) {
  return entry(error, [&]() -> Status {
    const Pinned<SessionObject> object(session);
    DS_TRY(usable(object));
    session::SessionSettings settings = object->session->settings();
    DS_TRY(apply_session_options(options, n_options, &settings));
    return object->session->set(settings);
  });
}

ds_status ds_session_info(ds_session *session, ds_info **info, ds_error *error) {
  return entry(error, [&]() -> Status {
    DS_TRY(prepare_handle(info, "info"));
    const Pinned<SessionObject> object(session);
    DS_TRY(usable(object));
    return publish_facts(object->session->facts(), info);
  });
}

ds_status ds_session_eval(ds_session *session, const ds_eval_input *input, ds_eval_output *output, ds_error *error) {
  return blocking_entry(error, [&] { return eval(session, input, output); });
}

ds_status ds_session_rewind(ds_session *session, uint64_t length, ds_error *error) {
  return blocking_entry(error, [&]() -> Status {
    const Pinned<SessionObject> object(session);
    DS_TRY(usable(object));
    return object->session->rewind(length);
  });
}

void ds_session_release(ds_session *session) { handle_release(session, HandleKind::kSession); }
