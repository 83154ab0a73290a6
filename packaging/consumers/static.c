/* A program with the library inside. Code in a program has no folder of its own to find plugins and model in, so it
 * names them. usage: static FOLDER   (lib/deepseam of an installation) */
#include <deepseam/deepseam.h>
#include <stdio.h>

int main(int argc, char **argv) {
  char plugins[4096], model_path[4096];
  ds_error error = {.struct_size = sizeof error};
  ds_text folder = {plugins, DS_STRLEN};
  ds_runtime_options runtime_options = {.struct_size = sizeof runtime_options, .abi_version = DS_ABI_VERSION};
  ds_source_path path = {.head = {sizeof path, DS_SOURCE_PATH}, .path = {model_path, DS_STRLEN}};
  ds_model_options model_options = {.struct_size = sizeof model_options, .source = &path.head};
  ds_text_input input = {.head = {sizeof input, DS_INPUT_TEXT}, .text = {"int main(void) {", DS_STRLEN}};
  ds_params params = {.struct_size = sizeof params, .max_tokens = 32};
  ds_runtime *runtime = NULL;
  ds_model *model = NULL;
  ds_session *session = NULL;
  ds_result *result = NULL;
  ds_text text = {NULL, 0};
  if (argc != 2) return 2;
  snprintf(plugins, sizeof plugins, "%s/%d", argv[1], DSB_ABI_MAJOR);
  snprintf(model_path, sizeof model_path, "%s/embedded.dsm", argv[1]);
  runtime_options.plugin_dirs = &folder;
  runtime_options.n_plugin_dirs = 1;

  ds_status status = ds_runtime_create(&runtime_options, &runtime, &error);
  if (status == DS_OK) status = ds_model_open(runtime, &model_options, &model, &error);
  if (status == DS_OK) status = ds_session_create(model, NULL, &session, &error);
  if (status == DS_OK) status = ds_generate(session, &input.head, &params, &result, &error);
  if (status == DS_OK) status = ds_result_text(result, 0, &text, &error);
  if (status == DS_OK)
    printf("%.*s\n", (int)text.size, text.data);
  else
    fprintf(stderr, "%s: %s\n", ds_status_string(status), error.message);
  ds_result_release(result);
  ds_session_release(session);
  ds_model_release(model);
  if (runtime) ds_runtime_shutdown(runtime, 0, NULL);
  ds_runtime_release(runtime);
  return status != DS_OK;
}
