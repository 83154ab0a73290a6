/* 03: completing code at a cursor. Introduces ds_fim with what is before and after the cursor, the file's name, other
 * files as snippets, stop strings, and the two layouts of the prompt. usage: 03_fill_in_middle [MODEL] */
#include "sample.h"

static const char kBefore[] =
    "#include \"vec.h\"\n"
    "\n"
    "float dot(struct vec a, struct vec b) {\n"
    "  return ";
static const char kAfter[] = ";\n}\n";
static const char kOther[] = "struct vec { float x, y, z; };\n";

static void complete(ds_session *session, uint32_t layout, const char *name) {
  const ds_snippet snippets[] = {{{"vec.h", DS_STRLEN}, {kOther, DS_STRLEN}}};
  const ds_text stops[] = {{"\n", DS_STRLEN}};
  ds_fim_input input = {.head = {sizeof input, DS_INPUT_FIM},
                        .prefix = {kBefore, DS_STRLEN},
                        .suffix = {kAfter, DS_STRLEN},
                        .file_name = {"vec.c", DS_STRLEN},
                        .snippets = snippets,
                        .n_snippets = 1,
                        .layout = layout};
  ds_params params = {.struct_size = sizeof params, .max_tokens = 24, .stops = stops, .n_stops = 1};
  ds_result *result = NULL;
  ds_info *info = NULL;
  ds_text text = {NULL, 0};
  check(ds_fim(session, &input, &params, &result, &error));
  check(ds_result_text(result, 0, &text, &error));
  check(ds_result_info(result, &info, &error));
  printf("%s layout, %llu prompt tokens: %.*s\n", name, (unsigned long long)number(info, "usage.prompt_tokens"),
         (int)text.size, text.data);
  ds_info_release(info);
  ds_result_release(result);
}

int main(int argc, char **argv) {
  ds_runtime *runtime = create_runtime();
  ds_model *model = open_model(runtime, argc > 1 ? argv[1] : "embedded", "");
  ds_session *session = create_session(model);
  complete(session, DS_FIM_PLAIN, "plain");       /* the form the model was trained on */
  complete(session, DS_FIM_ANCHORED, "anchored"); /* cheap from keystroke to keystroke */
  ds_session_release(session);
  ds_model_release(model);
  end(runtime);
  return 0;
}
