#include "hostile/host.h"

#include <stdexcept>
#include <thread>

namespace hostile {

ds_error fresh_error() {
  ds_error error{};
  error.struct_size = sizeof error;
  return error;
}

void require(ds_status status, const ds_error &error) {
  if (status != DS_OK) throw std::runtime_error(std::string(ds_status_string(status)) + ": " + error.message);
}

ds_runtime_options runtime_options() {
  static const ds_text dirs[] = {{ABI_PLUGIN_DIR, DS_STRLEN}};
  ds_runtime_options options{};
  options.struct_size = sizeof options;
  options.abi_version = DS_ABI_VERSION;
  options.flags = DS_RUNTIME_NO_DEFAULT_PLUGINS;
  options.n_threads = 2;
  options.plugin_dirs = dirs;
  options.n_plugin_dirs = 1;
  return options;
}

Host open_host(const ds_runtime_options *options, const char *backend, const char *path) {
  const ds_runtime_options own = runtime_options();
  ds_error error = fresh_error();
  Host host;
  ds_source_path source{};
  source.head.struct_size = sizeof source;
  source.head.tag = DS_SOURCE_PATH;
  source.path = {path, DS_STRLEN};
  ds_model_options model{};
  model.struct_size = sizeof model;
  model.flags = DS_MODEL_DETERMINISTIC;
  model.source = &source.head;
  model.backend = {backend, DS_STRLEN};
  model.context_length = 2048;
  model.max_sequences = 4;
  try {
    require(ds_runtime_create(options ? options : &own, &host.runtime, &error), error);
    require(ds_model_open(host.runtime, &model, &host.model, &error), error);
    require(ds_session_create(host.model, nullptr, &host.session, &error), error);
  } catch (...) {
    if (host.runtime) close_host(host);
    throw;
  }
  return host;
}

void close_host(Host &host) {
  ds_error error = fresh_error();
  ds_session_release(host.session);
  ds_model_release(host.model);
  const ds_status status = ds_runtime_shutdown(host.runtime, UINT64_C(20000000000), &error);
  ds_runtime_release(host.runtime);
  host = Host();
  require(status, error);
}

ds_text_input text_input(const char *text) {
  ds_text_input input{};
  input.head.struct_size = sizeof input;
  input.head.tag = DS_INPUT_TEXT;
  input.text = {text, DS_STRLEN};
  return input;
}

ds_params params(uint32_t max_tokens) {
  ds_params parameters{};
  parameters.struct_size = sizeof parameters;
  parameters.flags = DS_GEN_IGNORE_END;
  parameters.max_tokens = max_tokens;
  return parameters;
}

std::vector<uint32_t> generate(ds_session *session, const char *prompt, uint32_t n) {
  const ds_text_input input = text_input(prompt);
  const ds_params parameters = params(n);
  ds_error error = fresh_error();
  ds_result *result = nullptr;
  require(ds_generate(session, &input.head, &parameters, &result, &error), error);
  const uint32_t *ids = nullptr;
  uint64_t count = 0;
  require(ds_result_ids(result, 0, &ids, &count, &error), error);
  std::vector<uint32_t> copy(ids, ids + count);
  ds_result_release(result);
  return copy;
}

const std::vector<uint32_t> &expected() {
  static const std::vector<uint32_t> ids = [] {
    Host host = open_host();
    std::vector<uint32_t> found = generate(host.session, kPrompt, kTokens);
    close_host(host);
    return found;
  }();
  return ids;
}

ds_job *start_long_job(const Host &host) {
  const ds_text_input input = text_input(kPrompt);
  const ds_params parameters = params(1900);
  ds_error error = fresh_error();
  ds_job *job = nullptr;
  require(ds_job_start(host.session, &input.head, &parameters, nullptr, &job, &error), error);
  return job;
}

void wait_until_running(ds_job *job) {
  ds_error error = fresh_error();
  for (uint64_t size = 0; !size; std::this_thread::yield()) {
    char text[64];
    require(ds_job_read(job, 0, text, sizeof text, &size, &error), error);
    uint32_t state = 0;
    require(ds_job_poll(job, &state, &error), error);
    if (state == DS_JOB_DONE) throw std::runtime_error("the long job ended by itself");
  }
}

}  // namespace hostile
