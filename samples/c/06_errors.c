/* 06: everything that can go wrong comes back as a number and a sentence, and the next call works. Introduces the
 * ranges of statuses, what a ds_error tells, plans (what does not fit is said before loading), cancelling, and the
 * report on plugins. usage: 06_errors [MODEL] */
#include <string.h>

#include "sample.h"

static int mistakes = 0;

/* Prints a failure and remembers if it was not the expected one. */
static void expect(ds_status expected, ds_status status) {
  printf("%-22s %s\n", ds_status_string(status), status == DS_OK ? "" : error.message);
  if (status != expected) ++mistakes;
}

static void open_what_is_not_there(ds_runtime *runtime) {
  ds_source_path source = {.head = {sizeof source, DS_SOURCE_PATH}, .path = {"/no/such/model", DS_STRLEN}};
  ds_model_options options = {.struct_size = sizeof options, .source = &source.head};
  ds_model *model = NULL;
  expect(DS_E_NOT_FOUND, ds_model_open(runtime, &options, &model, &error));
  if (strcmp(error.path, "/no/such/model")) printf("(the error names %s)\n", error.path);
}

static void plan_with_too_little(ds_runtime *runtime, const char *path) {
  ds_source_path source = {.head = {sizeof source, DS_SOURCE_PATH}, .path = {path, DS_STRLEN}};
  ds_model_options options = {.struct_size = sizeof options, .source = &source.head, .ram_budget = 4096};
  ds_info *plan = NULL;
  ds_text reason = {"", 0};
  check(ds_model_plan(runtime, &options, &plan, &error)); /* a plan that does not fit is an answer, not an error */
  if (!number(plan, "fits")) check(ds_info_get_text(plan, "reason", &reason, &error));
  printf("%-22s %.*s\n", "(plan)", (int)reason.size, reason.data);
  if (number(plan, "fits")) ++mistakes;
  ds_info_release(plan);
}

static void cancel_before_it_begins(ds_session *session) {
  ds_text_input input = {.head = {sizeof input, DS_INPUT_TEXT}, .text = {"x", 1}};
  ds_params params = {.struct_size = sizeof params, .max_tokens = 1000};
  ds_result *result = NULL;
  uint32_t reason = 0;
  check(ds_cancel_create(&params.cancel, &error));
  check(ds_cancel_set(params.cancel, &error)); /* from any thread, also from a signal handler */
  check(ds_generate(session, &input.head, &params, &result, &error));
  check(ds_result_finish_reason(result, 0, &reason, &error));
  printf("%-22s finish reason %u\n", "(cancelled)", (unsigned)reason);
  if (reason != DS_FINISH_CANCELLED) ++mistakes;
  ds_result_release(result);
  ds_cancel_release(params.cancel);
}

int main(int argc, char **argv) {
  const char *path = argc > 1 ? argv[1] : "embedded";
  ds_runtime *runtime = create_runtime();
  open_what_is_not_there(runtime);
  plan_with_too_little(runtime, path);

  ds_model *model = open_model(runtime, path, "");
  ds_session *session = create_session(model);
  ds_text_input input = {.head = {sizeof input, DS_INPUT_TEXT}, .text = {"x", 1}};
  ds_params params = {.struct_size = sizeof params, .temperature = -1};
  ds_result *result = NULL;
  expect(DS_E_ARGUMENT, ds_generate(session, &input.head, &params, &result, &error));
  params.struct_size = 4;
  expect(DS_E_STRUCT, ds_generate(session, &input.head, &params, &result, &error));
  expect(DS_E_HANDLE, ds_generate((ds_session *)model, &input.head, NULL, &result, &error));
  cancel_before_it_begins(session);

  ds_info *report = NULL;
  ds_text json = {"", 0};
  check(ds_runtime_plugin_report(runtime, &report, &error)); /* why each backend is there, or is not */
  check(ds_info_json(report, &json, &error));
  printf("%.*s\n", (int)json.size, json.data);
  ds_info_release(report);
  ds_session_release(session);
  ds_model_release(model);
  end(runtime);
  return mistakes;
}
