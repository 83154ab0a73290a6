/* 05: several requests at once. Introduces ds_generate_batch, whose requests share the steps of the device, several
 * choices of one request, and the token counts that every result has. usage: 05_batch [MODEL] */
#include "sample.h"

#define REQUESTS 4

int main(int argc, char **argv) {
  static const char *const prompts[REQUESTS] = {"int main(void) {", "def hello():", "fn main() {", "package main\n"};
  ds_runtime *runtime = create_runtime();
  ds_model *model = open_model(runtime, argc > 1 ? argv[1] : "embedded", "");
  ds_session *sessions[REQUESTS];
  ds_text_input inputs[REQUESTS];
  ds_batch_item items[REQUESTS];
  ds_params params = {
      .struct_size = sizeof params, .max_tokens = 16, .temperature = 0.7f, .top_p = 0.9f, .seed = 1, .n_choices = 2};
  int failed = 0;

  for (int i = 0; i < REQUESTS; ++i) {
    sessions[i] = create_session(model); /* one sequence of tokens each */
    inputs[i] = (ds_text_input){.head = {sizeof inputs[i], DS_INPUT_TEXT}, .text = {prompts[i], DS_STRLEN}};
    items[i] = (ds_batch_item){
        .struct_size = sizeof items[i], .session = sessions[i], .input = &inputs[i].head, .parameters = &params};
  }
  check(ds_generate_batch(items, REQUESTS, sizeof items[0], &error));

  for (int i = 0; i < REQUESTS; ++i) { /* each request has a status of its own */
    printf("--- %s\n", prompts[i]);
    if (items[i].status != DS_OK) {
      printf("failed: %s\n", ds_status_string(items[i].status));
      ++failed;
      continue;
    }
    for (uint32_t choice = 0; choice < 2; ++choice) {
      ds_text text = {NULL, 0};
      check(ds_result_text(items[i].result, choice, &text, &error));
      printf("%u: %.*s\n", (unsigned)choice, (int)text.size, text.data);
    }
    ds_info *info = NULL;
    check(ds_result_info(items[i].result, &info, &error));
    printf("   %llu tokens in, %llu out\n", (unsigned long long)number(info, "usage.prompt_tokens"),
           (unsigned long long)number(info, "usage.completion_tokens"));
    ds_info_release(info);
    ds_result_release(items[i].result);
  }
  for (int i = 0; i < REQUESTS; ++i) ds_session_release(sessions[i]);
  ds_model_release(model);
  end(runtime);
  return failed;
}
