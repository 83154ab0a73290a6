/* 02: text as it comes, in the two ways there are. Introduces the text callback of a blocking call, which may stop the
 * generation, and jobs: a program with a loop of its own starts one, asks now and then, and can cancel it.
 * usage: 02_stream [MODEL] */
#include "sample.h"

/* Runs on the thread that called ds_generate. The text is whole characters, valid during the call; how many come at
 * once depends on who is faster. */
static int32_t DS_CALL print_text(void *user, const ds_text_event *now) {
  int *wanted = user;
  int size = now->text.size < (uint64_t)*wanted ? (int)now->text.size : *wanted;
  printf("%.*s", size, now->text.data);
  fflush(stdout);
  *wanted -= size;
  return *wanted > 0 ? DS_CONTINUE : DS_STOP;
}

static void stream_by_callback(ds_session *session, const ds_input *input) {
  int wanted = 40;
  ds_params params = {.struct_size = sizeof params, .on_text = print_text, .callback_user = &wanted};
  ds_result *result = NULL;
  uint32_t reason = 0;
  check(ds_generate(session, input, &params, &result, &error));
  check(ds_result_finish_reason(result, 0, &reason, &error));
  printf("\n[%s]\n", reason == DS_FINISH_CALLBACK ? "stopped by the callback" : "finished");
  ds_result_release(result);
}

static void stream_by_job(ds_session *session, const ds_input *input) {
  ds_params params = {.struct_size = sizeof params, .max_tokens = 48, .temperature = 0.8f, .seed = 7};
  ds_job *job = NULL;
  ds_result *result = NULL;
  uint32_t state = DS_JOB_QUEUED;
  uint64_t size = 0, total = 0;
  char piece[256];
  check(ds_job_start(session, input, &params, NULL, &job, &error));
  while (state != DS_JOB_DONE || size) { /* a frame of a game, a turn of an event loop */
    check(ds_job_poll(job, &state, &error));
    check(ds_job_read(job, 0, piece, sizeof piece, &size, &error));
    printf("%.*s", (int)size, piece);
    total += size;
    if (total > 2000) check(ds_job_cancel(job, &error));
  }
  check(ds_job_take_result(job, &result, &error));
  printf("\n[%llu bytes]\n", (unsigned long long)total);
  ds_result_release(result);
  ds_job_release(job);
}

int main(int argc, char **argv) {
  ds_runtime *runtime = create_runtime();
  ds_model *model = open_model(runtime, argc > 1 ? argv[1] : "embedded", "");
  ds_session *session = create_session(model);
  ds_text_input input = {.head = {sizeof input, DS_INPUT_TEXT}, .text = {"def quicksort(items):", DS_STRLEN}};
  stream_by_callback(session, &input.head);
  stream_by_job(session, &input.head);
  ds_session_release(session);
  ds_model_release(model);
  end(runtime);
  return 0;
}
