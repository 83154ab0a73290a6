/* What samples 02 to 08 share, so that each shows only what is new in it: opening a model as 01_hello does, and ending
 * the program with the library's sentence when a call fails. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <deepseam/deepseam.h>
#include <stdio.h>
#include <stdlib.h>

static ds_error error = {.struct_size = sizeof(ds_error)};

static inline void check(ds_status status) {
  if (status == DS_OK) return;
  fprintf(stderr, "%s: %s\n", ds_status_string(status), error.message);
  exit(1);
}

static inline ds_runtime *create_runtime(void) {
  ds_runtime_options options = {.struct_size = sizeof options, .abi_version = DS_ABI_VERSION};
  ds_runtime *runtime = NULL;
  check(ds_runtime_create(&options, &runtime, &error));
  return runtime;
}

/* backend: "" for the best one. */
static inline ds_model *open_model(ds_runtime *runtime, const char *path, const char *backend) {
  ds_source_path source = {.head = {sizeof source, DS_SOURCE_PATH}, .path = {path, DS_STRLEN}};
  ds_model_options options = {.struct_size = sizeof options, .source = &source.head, .backend = {backend, DS_STRLEN}};
  ds_model *model = NULL;
  check(ds_model_open(runtime, &options, &model, &error));
  return model;
}

static inline ds_session *create_session(ds_model *model) {
  ds_session *session = NULL;
  check(ds_session_create(model, NULL, &session, &error));
  return session;
}

static inline uint64_t number(const ds_info *info, const char *key) {
  uint64_t value = 0;
  check(ds_info_get_u64(info, key, &value, &error));
  return value;
}

static inline void end(ds_runtime *runtime) {
  check(ds_runtime_shutdown(runtime, 0, &error));
  ds_runtime_release(runtime);
}

#endif
