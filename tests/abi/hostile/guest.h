// A library that is loaded, not linked, with everything open on it: what tests with a process of their own share.
//
// A failure ends the process with status 1 and a sentence.
#pragma once

#if !defined(_WIN32)
#include <unistd.h>
#endif

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "deepseam/loader.h"

namespace hostile {

[[noreturn]] inline void stop(const char *what, const ds_error *error = nullptr) {
  std::fprintf(stderr, "%s%s%s\n", what, error ? ": " : "", error ? error->message : "");
  std::_Exit(1);
}

// A loaded library with everything open on it.
struct Guest {
  ds_library library{};
  ds_error error{};
  ds_runtime *runtime = nullptr;
  ds_model *model = nullptr;
  ds_session *session = nullptr;

  explicit Guest(const char *path) {
    error.struct_size = sizeof error;
    if (ds_library_open(&library, path, &error) != DS_OK) stop("loading", &error);
  }
  void check(ds_status status, const char *what) {
    if (status != DS_OK) stop(what, &error);
  }
  void open(const char *backend, uint32_t flags = 0, uint32_t model_flags = DS_MODEL_DETERMINISTIC) {
    const ds_text dirs[] = {{ABI_PLUGIN_DIR, DS_STRLEN}};
    ds_runtime_options options{};
    options.struct_size = sizeof options;
    options.abi_version = DS_ABI_VERSION;
    options.flags = DS_RUNTIME_NO_DEFAULT_PLUGINS | flags;
    options.n_threads = 2;
    options.plugin_dirs = dirs;
    options.n_plugin_dirs = 1;
    check(library.api.runtime_create(&options, &runtime, &error), "runtime_create");
    ds_source_path source{};
    source.head.struct_size = sizeof source;
    source.head.tag = DS_SOURCE_PATH;
    source.path = {ABI_MODEL, DS_STRLEN};
    ds_model_options model_options{};
    model_options.struct_size = sizeof model_options;
    model_options.flags = model_flags;
    model_options.source = &source.head;
    model_options.backend = {backend, DS_STRLEN};
    model_options.context_length = 2048;
    check(library.api.model_open(runtime, &model_options, &model, &error), "model_open");
    check(library.api.session_create(model, nullptr, &session, &error), "session_create");
  }
  ds_text_input input() const {
    ds_text_input text{};
    text.head.struct_size = sizeof text;
    text.head.tag = DS_INPUT_TEXT;
    text.text = {"int main(void) {", DS_STRLEN};
    return text;
  }
  ds_params params(uint32_t n) const {
    ds_params parameters{};
    parameters.struct_size = sizeof parameters;
    parameters.flags = DS_GEN_IGNORE_END;
    parameters.max_tokens = n;
    return parameters;
  }
  std::vector<uint32_t> generate() {
    const ds_text_input text = input();
    return generate(&text.head, params(12));
  }
  std::vector<uint32_t> generate(const ds_input *input, const ds_params &parameters) {
    ds_result *result = nullptr;
    check(library.api.generate(session, input, &parameters, &result, &error), "generate");
    const uint32_t *ids = nullptr;
    uint64_t n = 0;
    check(library.api.result_ids(result, 0, &ids, &n, &error), "result_ids");
    std::vector<uint32_t> copy(ids, ids + n);
    library.api.result_release(result);
    return copy;
  }
  ds_job *start() {
    const ds_text_input text = input();
    const ds_params parameters = params(1900);
    ds_job *job = nullptr;
    check(library.api.job_start(session, &text.head, &parameters, nullptr, &job, &error), "job_start");
    for (uint64_t size = 0; !size;) {
      char read[64];
      check(library.api.job_read(job, 0, read, sizeof read, &size, &error), "job_read");
    }
    return job;
  }
  // Shuts down and releases all; the library stays loaded.
  void end() {
    library.api.session_release(session);
    library.api.model_release(model);
    check(library.api.runtime_shutdown(runtime, UINT64_C(20000000000), &error), "runtime_shutdown");
    library.api.runtime_release(runtime);
  }
  void close() {
    end();
    close_library();
  }
  void close_library() {
    if (library.api.live_objects()) stop("handles are left");
    ds_library_close(&library);
  }
};

#if !defined(_WIN32)
// The library under another name in a folder of its own.
inline std::string copy_of_library(const char *name) {
  char folder[] = "/tmp/deepseam-copy-XXXXXX";
  if (!mkdtemp(folder)) stop("mkdtemp");
  const std::string path = std::string(folder) + "/" + name;
  std::ifstream from(REAL_LIBRARY, std::ios::binary);
  std::ofstream to(path, std::ios::binary);
  to << from.rdbuf();
  return path;
}

inline void remove_copy(const std::string &path) {
  unlink(path.c_str());
  rmdir(path.substr(0, path.rfind('/')).c_str());
}
#endif

}  // namespace hostile
