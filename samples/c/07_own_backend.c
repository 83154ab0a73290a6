/* 07: a backend of one's own, linked into the program instead of loaded. It takes over every slot of the reference
 * backend but two: its device has a name of its own, and every step is counted and timed on its way. Introduces
 * <deepseam/backend.h> and ds_runtime_register_backend. How to write the arithmetic itself: backends/README.md.
 * usage: 07_own_backend [MODEL] */
#include <deepseam/backend.h>
#include <string.h>
#include <time.h>

#include "sample.h"

/* What was measured. A backend that is loaded as a plugin keeps such things in its instance instead. Steps of a model
 * come from one thread, and main reads this after the shutdown. */
static struct {
  dsb_api inner;
  unsigned long steps, rows;
  double seconds;
} measured;

static double now(void) { return (double)clock() / CLOCKS_PER_SEC; }

static ds_status DS_CALL own_device_info(dsb_instance *instance, uint32_t index, dsb_device_info *info, ds_error *why) {
  ds_status status = measured.inner.device_info(instance, index, info, why);
  if (status == DS_OK) memcpy(info->name, "the sample's own", sizeof "the sample's own");
  return status;
}

static ds_status DS_CALL own_exec_submit(dsb_exec *exec, const dsb_step *step, dsb_ticket **ticket, ds_error *why) {
  ++measured.steps;
  measured.rows += step->n_rows;
  return measured.inner.exec_submit(exec, step, ticket, why);
}

/* The reference backend computes while somebody waits for the ticket. */
static ds_status DS_CALL own_ticket_wait(dsb_ticket *ticket, uint64_t timeout_ns, uint32_t *state, ds_error *why) {
  double begin = now();
  ds_status status = measured.inner.ticket_wait(ticket, timeout_ns, state, why);
  measured.seconds += now() - begin;
  return status;
}

static ds_status DS_CALL own_negotiate(uint32_t min_version, uint32_t max_version, uint32_t *chosen, ds_error *why) {
  return ds_backend_main()->negotiate(min_version, max_version, chosen, why);
}

static ds_status DS_CALL own_get_api(uint32_t version, dsb_api *api, ds_error *why) {
  ds_status status = ds_backend_main()->get_api(version, api, why);
  if (status != DS_OK) return status;
  measured.inner = *api;
  api->name = "own";
  api->device_info = own_device_info;
  api->exec_submit = own_exec_submit;
  api->ticket_wait = own_ticket_wait;
  return DS_OK;
}

static const dsb_root *DS_CALL own_backend_main(void) {
  static const dsb_root root = {sizeof root, 0, own_negotiate, own_get_api};
  return &root;
}

int main(int argc, char **argv) {
  ds_runtime *runtime = create_runtime();
  check(ds_runtime_register_backend(runtime, own_backend_main, &error));
  ds_model *model = open_model(runtime, argc > 1 ? argv[1] : "embedded", "own");
  ds_session *session = create_session(model);
  ds_text_input input = {.head = {sizeof input, DS_INPUT_TEXT}, .text = {"int main(void) {", DS_STRLEN}};
  ds_params params = {.struct_size = sizeof params, .max_tokens = 16};
  ds_result *result = NULL;
  ds_info *info = NULL;
  ds_text text = {NULL, 0}, backend = {NULL, 0};

  check(ds_model_info(model, &info, &error));
  check(ds_info_get_text(info, "backend", &backend, &error));
  check(ds_generate(session, &input.head, &params, &result, &error));
  check(ds_result_text(result, 0, &text, &error));
  printf("%.*s wrote: %.*s\n", (int)backend.size, backend.data, (int)text.size, text.data);

  ds_info_release(info);
  ds_result_release(result);
  ds_session_release(session);
  ds_model_release(model);
  end(runtime);
  printf("%lu steps, %lu rows, %.3f s of processor time\n", measured.steps, measured.rows, measured.seconds);
  return measured.steps > 0 && measured.rows >= measured.steps ? 0 : 1;
}
