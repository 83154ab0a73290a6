// ds_model_*: plan, open, facts, adapters.
#include "capi/objects.h"
#include "capi/requests.h"
#include "capi/wall.h"
#include "session/plan.h"

using namespace deepseam;
using namespace deepseam::capi;

namespace {

Status plan(ds_runtime *runtime, const ds_model_options *options, ds_info **info) {
  DS_TRY(prepare_handle(info, "plan"));
  const Pinned<RuntimeObject> object(runtime);
  DS_TRY(usable(object));
  OpenRequest request;
  DS_TRY(read_open(options, &request));
  const AffinityScope affinity(object->cpus);
  DS_TRY_VALUE(const session::PlannedModel planned, session::plan_model(*object->state, request.options));
  DS_TRY(publish_facts(planned.plan.facts(), info));
  request.users.arm();
  return Status();
}

Status open(ds_runtime *runtime, const ds_model_options *options, ds_model **model) {
  DS_TRY(prepare_handle(model, "model"));
  const Pinned<RuntimeObject> object(runtime);
  DS_TRY(usable(object));
  OpenRequest request;
  DS_TRY(read_open(options, &request));
  const AffinityScope affinity(object->cpus);
  auto opened = std::make_unique<ModelObject>();
  DS_TRY_VALUE(opened->model, session::Model::open(object->state, request.options));
  DS_TRY(publish(std::move(opened), model));
  request.users.arm();
  return Status();
}

Status open_start(ds_runtime *runtime, const ds_model_options *options, const ds_job_options *job_options,
                  ds_job **job) {
  DS_TRY(prepare_handle(job, "job"));
  const Pinned<RuntimeObject> object(runtime);
  DS_TRY(usable(object));
  JobRequest job_request;
  DS_TRY(read_job_options(job_options, &job_request));
  OpenRequest request;
  DS_TRY(read_open(options, &request));
  session::JobCallbacks callbacks;
  callbacks.on_progress = std::move(request.options.progress);
  callbacks.wake = std::move(job_request.wake);
  request.options.progress = nullptr;
  const auto delivery = job_request.spontaneous ? session::Delivery::kSpontaneous : session::Delivery::kQueued;
  const AffinityScope affinity(object->cpus);
  auto started = std::make_unique<JobObject>();
  DS_TRY_VALUE(started->job,
               session::Model::open_start(object->state, std::move(request.options), std::move(callbacks), delivery));
  DS_TRY(publish(std::move(started), job));
  request.users.arm();
  job_request.users.arm();
  return Status();
}

// The files are read here and not again: a host's own are given back when this returns.
Status load_adapter(ds_model *model, const ds_source *source, ds_model_adapter **adapter) {
  DS_TRY(prepare_handle(adapter, "adapter"));
  const Pinned<ModelObject> object(model);
  DS_TRY(usable(object));
  HostUsers users;
  session::ModelSource from;
  DS_TRY(read_source(source, &users, &from));
  auto loaded = std::make_unique<AdapterObject>();
  DS_TRY_VALUE(loaded->adapter, session::Adapter::load(object->model, from));
  DS_TRY(publish(std::move(loaded), adapter));
  users.arm();
  return Status();
}

}  // namespace

ds_status ds_model_plan(ds_runtime *runtime, const ds_model_options *options, ds_info **info, ds_error *error) {
  return blocking_entry(error, [&] { return plan(runtime, options, info); });
}

ds_status ds_model_open(ds_runtime *runtime, const ds_model_options *options, ds_model **model, ds_error *error) {
  return blocking_entry(error, [&] { return open(runtime, options, model); });
}

ds_status ds_model_open_start(ds_runtime *runtime, const ds_model_options *options, const ds_job_options *job_options,
                              ds_job **job, ds_error *error) {
  return entry(error, [&] { return open_start(runtime, options, job_options, job); });
}

ds_status ds_model_info(ds_model *model, ds_info **info, ds_error *error) {
  return entry(error, [&]() -> Status {
    DS_TRY(prepare_handle(info, "info"));
    const Pinned<ModelObject> object(model);
    DS_TRY(usable(object));
    return publish_facts(object->model->facts(), info);
  });
}

void ds_model_release(ds_model *model) { handle_release(model, HandleKind::kModel); }

ds_status ds_model_adapter_load(ds_model *model, const ds_source *source, ds_model_adapter **adapter, ds_error *error) {
  return blocking_entry(error, [&] { return load_adapter(model, source, adapter); });
}

void ds_model_adapter_release(ds_model_adapter *adapter) { handle_release(adapter, HandleKind::kAdapter); }
