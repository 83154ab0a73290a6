// ds_generate, ds_fim, ds_chat, ds_generate_batch; results.
#include <cstring>

#include "capi/objects.h"
#include "capi/requests.h"
#include "capi/wall.h"

using namespace deepseam;
using namespace deepseam::capi;

namespace {

// A run up to its start. The job's callbacks are delivered by whoever waits.
Status start(const Pinned<SessionObject> &session, const ds_input *input, const ds_params *params,
             GenerateRequest *request, std::shared_ptr<session::Job> *job) {
  DS_TRY(usable(session));
  DS_TRY(read_params(params, request));
  DS_TRY_VALUE(session::Prompt prompt, read_input(*session->session->model(), input, request->options));
  request->options.delivery = session::Delivery::kWaiter;
  DS_TRY_VALUE(*job, session->session->start(std::move(prompt), std::move(request->options)));
  return Status();
}

// The end of a run: its status, and a result whenever something was produced.
Status finish(session::Job &job, HostUsers &users, ds_result **result) {
  auto object = std::make_unique<ResultObject>();
  Status status = job.take_result(&object->data);
  if (object->data && (status.ok() || !object->data->choices.empty())) DS_TRY(publish(std::move(object), result));
  if (status.ok() || *result) users.arm();
  return status;
}

// A run that was cancelled while its prompt was made: nothing was produced, and that is no failure.
Status finish_cancelled(uint32_t n_choices, HostUsers &users, ds_result **result) {
  auto object = std::make_unique<ResultObject>();
  object->data = std::make_unique<session::ResultData>();
  object->data->choices.resize(n_choices);
  for (session::ChoiceResult &choice : object->data->choices) choice.finish = session::Finish::kCancelled;
  session::Facts &facts = object->data->facts;
  facts.add("choices", uint64_t{n_choices});
  for (const char *key : {"seed", "usage.prompt_tokens", "usage.cached_tokens", "usage.completion_tokens"})
    facts.add(key, uint64_t{0});
  for (const char *key : {"timings.prefill_ms", "timings.decode_ms", "timings.ttft_ms", "timings.tokens_per_second"})
    facts.add(key, 0.0);
  DS_TRY(publish(std::move(object), result));
  users.arm();
  return Status();
}

Status run(ds_session *session, const ds_input *input, const ds_params *params, ds_result **result) {
  DS_TRY(prepare_handle(result, "result"));
  const Pinned<SessionObject> object(session);
  GenerateRequest request;
  std::shared_ptr<session::Job> job;
  Status started = start(object, input, params, &request, &job);
  if (started.code() == DS_E_CANCELLED) return finish_cancelled(request.n_choices, request.users, result);
  DS_TRY(std::move(started));
  DS_TRY(job->wait(UINT64_MAX));
  return finish(*job, request.users, result);
}

// An input whose type the function names: its tag may be left 0.
template <typename Input>
ds_status run_typed(ds_session *session, const Input *input, uint32_t tag, const ds_params *params, ds_result **result,
                    ds_error *error) {
  return blocking_entry(error, [&]() -> Status {
    DS_TRY(prepare_handle(result, "result"));
    Input copy;
    DS_TRY(read_struct(input, &copy));
    if (copy.head.tag && copy.head.tag != tag)
      return fail(DS_E_ARGUMENT, "capi", "head.tag is %u, expected %u", copy.head.tag, tag);
    copy.head.tag = tag;
    return run(session, &copy.head, params, result);
  });
}

// One item of a batch while it runs.
struct BatchRun {
  ds_batch_item item{};
  std::unique_ptr<Pinned<SessionObject>> session;
  GenerateRequest request;
  std::shared_ptr<session::Job> job;
  Status status;
};

Status run_batch(ds_batch_item *items, uint64_t n, uint64_t stride) {
  DS_TRY(check_array(items, n, stride, "items"));
  if (stride < StructTraits<ds_batch_item>::kFirstSize || stride > kLargestStruct || stride % 8)
    return fail(DS_E_STRUCT, "capi", "stride is %llu, expected sizeof(ds_batch_item)",
                static_cast<unsigned long long>(stride));
  const auto place = [&](uint64_t i) {
    return reinterpret_cast<ds_batch_item *>(reinterpret_cast<uint8_t *>(items) + i * stride);
  };
  std::vector<BatchRun> runs(n);
  for (uint64_t i = 0; i < n; ++i) {
    if (place(i)->struct_size > stride)
      return fail(DS_E_STRUCT, "capi", "items[%llu].struct_size is %u, more than the stride",
                  static_cast<unsigned long long>(i), place(i)->struct_size);
    DS_TRY(read_struct(place(i), &runs[i].item));
  }
  std::vector<std::shared_ptr<session::Job>> jobs(n);
  for (uint64_t i = 0; i < n; ++i) {
    BatchRun &one = runs[i];
    one.session = std::make_unique<Pinned<SessionObject>>(one.item.session);
    one.status = start(*one.session, one.item.input, one.item.parameters, &one.request, &one.job);
    jobs[i] = one.job;
  }
  session::wait_all(jobs);
  for (uint64_t i = 0; i < n; ++i) {
    ds_result *result = nullptr;
    if (jobs[i])
      runs[i].status = finish(*jobs[i], runs[i].request.users, &result);
    else if (runs[i].status.code() == DS_E_CANCELLED)
      runs[i].status = finish_cancelled(runs[i].request.n_choices, runs[i].request.users, &result);
    place(i)->status = runs[i].status.code();
    place(i)->result = result;
  }
  return Status();
}

// A choice of a pinned result.
Status find_choice(const Pinned<ResultObject> &result, uint32_t choice, const session::ChoiceResult **found) {
  DS_TRY(result.status());
  const auto &choices = result->data->choices;
  if (choice >= choices.size())
    return fail(DS_E_ARGUMENT, "capi", "choice is %u, expected below %zu", choice, choices.size());
  *found = &choices[choice];
  return Status();
}

}  // namespace

ds_status ds_generate(ds_session *session, const ds_input *input, const ds_params *params, ds_result **result,
                      ds_error *error) {
  return blocking_entry(error, [&] { return run(session, input, params, result); });
}

ds_status ds_fim(ds_session *session, const ds_fim_input *input, const ds_params *params, ds_result **result,
                 ds_error *error) {
  return run_typed(session, input, DS_INPUT_FIM, params, result, error);
}

ds_status ds_chat(ds_session *session, const ds_chat_input *input, const ds_params *params, ds_result **result,
                  ds_error *error) {
  return run_typed(session, input, DS_INPUT_CHAT, params, result, error);
}

ds_status ds_generate_batch(ds_batch_item *items, uint64_t n, uint64_t stride, ds_error *error) {
  return blocking_entry(error, [&] { return run_batch(items, n, stride); });
}

ds_status ds_result_text(const ds_result *result, uint32_t choice, ds_text *view, ds_error *error) {
  return entry(error, [&]() -> Status {
    if (!view) return fail(DS_E_ARGUMENT, "capi", "view is NULL");
    const Pinned<ResultObject> object(result);
    const session::ChoiceResult *found = nullptr;
    DS_TRY(find_choice(object, choice, &found));
    *view = {found->text.data(), found->text.size()};
    return Status();
  });
}

ds_status ds_result_ids(const ds_result *result, uint32_t choice, const uint32_t **ids, uint64_t *n, ds_error *error) {
  return entry(error, [&]() -> Status {
    if (!ids || !n) return fail(DS_E_ARGUMENT, "capi", "ids or n is NULL");
    const Pinned<ResultObject> object(result);
    const session::ChoiceResult *found = nullptr;
    DS_TRY(find_choice(object, choice, &found));
    *ids = found->ids.data();
    *n = found->ids.size();
    return Status();
  });
}

ds_status ds_result_finish_reason(const ds_result *result, uint32_t choice, uint32_t *reason, ds_error *error) {
  return entry(error, [&]() -> Status {
    if (!reason) return fail(DS_E_ARGUMENT, "capi", "reason is NULL");
    const Pinned<ResultObject> object(result);
    const session::ChoiceResult *found = nullptr;
    DS_TRY(find_choice(object, choice, &found));
    *reason = static_cast<uint32_t>(found->finish);
    return Status();
  });
}

ds_status ds_result_logprobs(const ds_result *result, uint32_t choice, const ds_token_logprob **entries, uint64_t *n,
                             uint32_t *width, ds_error *error) {
  static_assert(sizeof(session::TokenLogprob) == sizeof(ds_token_logprob) &&
                offsetof(session::TokenLogprob, logprob) == offsetof(ds_token_logprob, logprob));
  return entry(error, [&]() -> Status {
    if (!entries || !n || !width) return fail(DS_E_ARGUMENT, "capi", "entries, n or width is NULL");
    const Pinned<ResultObject> object(result);
    const session::ChoiceResult *found = nullptr;
    DS_TRY(find_choice(object, choice, &found));
    *width = object->data->logprob_width;
    *n = *width ? found->logprobs.size() / *width : 0;
    *entries = reinterpret_cast<const ds_token_logprob *>(found->logprobs.data());
    return Status();
  });
}

ds_status ds_result_info(const ds_result *result, ds_info **info, ds_error *error) {
  return entry(error, [&]() -> Status {
    DS_TRY(prepare_handle(info, "info"));
    const Pinned<ResultObject> object(result);
    DS_TRY(object.status());
    return publish_facts(object->data->facts, info);
  });
}

void ds_result_release(ds_result *result) { handle_release(result, HandleKind::kResult); }
