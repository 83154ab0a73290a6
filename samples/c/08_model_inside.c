/* 08: the model is part of the program, so that there is no file to install or to find. Introduces deepseam-embedded
 * and models in memory. Build it with $(pkg-config --cflags --libs deepseam-embedded). usage: 08_model_inside */
#include <deepseam/embedded.h>

#include "sample.h"

int main(void) {
  ds_source_memory source = {.head = {sizeof source, DS_SOURCE_MEMORY}};
  source.data = ds_embedded_model(&source.size); /* read-only data: nothing to free, and nothing is copied */
  ds_model_options options = {.struct_size = sizeof options, .source = &source.head};
  ds_text_input input = {.head = {sizeof input, DS_INPUT_TEXT}, .text = {"int main(void) {", DS_STRLEN}};
  ds_params params = {.struct_size = sizeof params, .max_tokens = 32};
  ds_runtime *runtime = create_runtime();
  ds_model *model = NULL;
  ds_result *result = NULL;
  ds_text text = {NULL, 0};

  check(ds_model_open(runtime, &options, &model, &error));
  ds_session *session = create_session(model);
  check(ds_generate(session, &input.head, &params, &result, &error));
  check(ds_result_text(result, 0, &text, &error));
  printf("%llu bytes of model wrote: %.*s\n", (unsigned long long)source.size, (int)text.size, text.data);

  ds_result_release(result);
  ds_session_release(session);
  ds_model_release(model);
  end(runtime);
  return 0;
}
