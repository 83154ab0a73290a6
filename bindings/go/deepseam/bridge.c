/* Callback types filled with Go functions; see bridge.h. */
#include "bridge.h"

#include "_cgo_export.h"

void ds_go_params(ds_params *params, ds_go_user *user, int callbacks) {
  if (callbacks & DS_GO_TEXT) params->on_text = (ds_text_fn)goText;
  if (callbacks & DS_GO_LOGITS) params->on_logits = (ds_logits_fn)goLogits;
  if (callbacks & DS_GO_MASK) params->on_mask = (ds_mask_fn)goMask;
  if (callbacks & DS_GO_PROGRESS) params->on_progress = (ds_progress_fn)goProgress;
  params->callback_user = user;
  params->callback_free = goFree;
}

void ds_go_job_options(ds_job_options *options, ds_go_user *user) {
  options->wake = goWake;
  options->wake_user = user;
  options->wake_free = goFree;
}

/* The four structs have the same three fields at different places. */
#define DS_GO_SET_PROGRESS(options, user)                                               \
  ((options)->progress = (ds_progress_fn)goProgress, (options)->progress_user = (user), \
   (options)->progress_free = goFree)

void ds_go_model_progress(ds_model_options *options, ds_go_user *user) { DS_GO_SET_PROGRESS(options, user); }
void ds_go_pack_progress(ds_pack_options *options, ds_go_user *user) { DS_GO_SET_PROGRESS(options, user); }
void ds_go_synth_progress(ds_synth_options *options, ds_go_user *user) { DS_GO_SET_PROGRESS(options, user); }
void ds_go_verify_progress(ds_verify_options *options, ds_go_user *user) { DS_GO_SET_PROGRESS(options, user); }

void ds_go_log(ds_runtime_options *options, ds_go_user *user) {
  options->log = (ds_log_fn)goLog;
  options->log_user = user;
  options->log_free = goFree;
}

void ds_go_verify_plugin(ds_runtime_options *options, ds_go_user *user) {
  options->verify_plugin = (ds_verify_plugin_fn)goVerifyPlugin;
  options->verify_user = user;
  options->verify_free = goFree;
}

void ds_go_runtime_wake(ds_runtime_options *options, ds_go_user *user) {
  options->wake = goWake;
  options->wake_user = user;
  options->wake_free = goFree;
}

void ds_go_source(ds_source_io *source, ds_go_user *user) {
  source->user = user;
  source->open = (ds_status(DS_CALL *)(void *, const char *, void **))goFileOpen;
  source->size = goFileSize;
  source->read_at = goFileReadAt;
  source->close = goFileClose;
  source->user_free = goFree;
}

/* The bytes are C memory of their own, which is its own user. */
void ds_go_source_memory(ds_source_memory *source) {
  source->user = (void *)source->data;
  source->user_free = free;
}

void ds_go_task_runner(ds_task_runner *runner, ds_go_user *user) {
  runner->user = user;
  runner->run = (void(DS_CALL *)(void *, uint32_t, ds_task_fn, void *))goRunTasks;
  runner->user_free = goFree;
}

void ds_go_run_task(ds_task_fn task, void *task_data, uint32_t index) { task(task_data, index); }

ds_backend_entry ds_go_entry(void *entry) { return (ds_backend_entry)entry; }
