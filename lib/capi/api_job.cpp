// ds_job_*: the same work without blocking.
#include "capi/objects.h"
#include "capi/requests.h"
#include "capi/wall.h"

using namespace deepseam;
using namespace deepseam::capi;

namespace {

Status start(ds_session *session, const ds_input *input, const ds_params *params, const ds_job_options *options,
             ds_job **job) {
  DS_TRY(prepare_handle(job, "job"));
  const Pinned<SessionObject> object(session);
  DS_TRY(usable(object));
  JobRequest job_request;
  DS_TRY(read_job_options(options, &job_request));
  GenerateRequest request;
  DS_TRY(read_params(params, &request));
  DS_TRY_VALUE(session::Prompt prompt, read_input(*object->session->model(), input, request.options));
  request.options.delivery = job_request.spontaneous ? session::Delivery::kSpontaneous : session::Delivery::kQueued;
  request.options.callbacks.wake = std::move(job_request.wake);
  auto started = std::make_unique<JobObject>();
  DS_TRY_VALUE(started->job, object->session->start(std::move(prompt), std::move(request.options)));
  DS_TRY(publish(std::move(started), job));
  request.users.arm();
  job_request.users.arm();
  return Status();
}

}  // namespace

ds_status ds_job_start(ds_session *session, const ds_input *input, const ds_params *params,
                       const ds_job_options *options, ds_job **job, ds_error *error) {
  return entry(error, [&] { return start(session, input, params, options, job); });
}

ds_status ds_job_poll(ds_job *job, uint32_t *state, ds_error *error) {
  return entry(error, [&]() -> Status {
    if (!state) return fail(DS_E_ARGUMENT, "capi", "state is NULL");
    const Pinned<JobObject> object(job);
    DS_TRY(object.status());
    *state = static_cast<uint32_t>(object->job->poll());
    return Status();
  });
}

ds_status ds_job_read(ds_job *job, uint32_t choice, char *buffer, uint64_t capacity, uint64_t *size, ds_error *error) {
  return entry(error, [&]() -> Status {
    if (!size) return fail(DS_E_ARGUMENT, "capi", "size is NULL");
    DS_TRY(check_array(buffer, capacity, 1, "buffer"));
    const Pinned<JobObject> object(job);
    DS_TRY(object.status());
    return object->job->read(choice, {buffer, static_cast<size_t>(capacity)}, size);
  });
}

ds_status ds_job_progress(ds_job *job, ds_progress *progress, ds_error *error) {
  return entry(error, [&]() -> Status {
    DS_TRY(check_out(progress));
    const Pinned<JobObject> object(job);
    DS_TRY(object.status());
    const session::Progress now = object->job->progress();
    ds_progress record{};
    record.stage = static_cast<uint32_t>(now.stage);
    record.done = now.done;
    record.total = now.total;
    write_struct(record, progress);
    return Status();
  });
}

ds_status ds_job_wait(ds_job *job, uint64_t timeout_ns, ds_error *error) {
  return blocking_entry(error, [&]() -> Status {
    const Pinned<JobObject> object(job);
    DS_TRY(object.status());
    return object->job->wait(timeout_ns);
  });
}

ds_status ds_job_cancel(ds_job *job, ds_error *error) {
  return entry(error, [&]() -> Status {
    const Pinned<JobObject> object(job);
    DS_TRY(object.status());
    object->job->cancel();
    return Status();
  });
}

ds_status ds_job_take_result(ds_job *job, ds_result **result, ds_error *error) {
  return entry(error, [&]() -> Status {
    DS_TRY(prepare_handle(result, "result"));
    const Pinned<JobObject> object(job);
    DS_TRY(object.status());
    auto taken = std::make_unique<ResultObject>();
    Status status = object->job->take_result(&taken->data);
    if (taken->data && (status.ok() || !taken->data->choices.empty())) DS_TRY(publish(std::move(taken), result));
    return status;
  });
}

ds_status ds_job_take_model(ds_job *job, ds_model **model, ds_error *error) {
  return entry(error, [&]() -> Status {
    DS_TRY(prepare_handle(model, "model"));
    const Pinned<JobObject> object(job);
    DS_TRY(object.status());
    auto taken = std::make_unique<ModelObject>();
    DS_TRY(object->job->take_model(&taken->model));
    return publish(std::move(taken), model);
  });
}

void ds_job_release(ds_job *job) { handle_release(job, HandleKind::kJob); }
