/* What cgo cannot say in Go: the addresses of exported Go functions as the header's callback types. A user pointer of
 * the library is always a ds_go_user, C memory that holds the number of a cgo.Handle, so that C never keeps a Go
 * pointer. */
#ifndef DEEPSEAM_GO_BRIDGE_H
#define DEEPSEAM_GO_BRIDGE_H

#include <deepseam/deepseam.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct ds_go_user {
  uintptr_t handle;
} ds_go_user;

enum { DS_GO_TEXT = 1, DS_GO_LOGITS = 2, DS_GO_MASK = 4, DS_GO_PROGRESS = 8 };

void ds_go_params(ds_params *params, ds_go_user *user, int callbacks);
void ds_go_job_options(ds_job_options *options, ds_go_user *user);
void ds_go_model_progress(ds_model_options *options, ds_go_user *user);
void ds_go_pack_progress(ds_pack_options *options, ds_go_user *user);
void ds_go_synth_progress(ds_synth_options *options, ds_go_user *user);
void ds_go_verify_progress(ds_verify_options *options, ds_go_user *user);
void ds_go_log(ds_runtime_options *options, ds_go_user *user);
void ds_go_verify_plugin(ds_runtime_options *options, ds_go_user *user);
void ds_go_runtime_wake(ds_runtime_options *options, ds_go_user *user);
void ds_go_source(ds_source_io *source, ds_go_user *user);
void ds_go_source_memory(ds_source_memory *source);
void ds_go_task_runner(ds_task_runner *runner, ds_go_user *user);
void ds_go_run_task(ds_task_fn task, void *task_data, uint32_t index);
ds_backend_entry ds_go_entry(void *entry);

#endif
