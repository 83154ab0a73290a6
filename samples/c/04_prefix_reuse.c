/* 04: a prefix is computed once. Introduces the cache: what it held of a prompt ("usage.cached_tokens"), warming it
 * without generating, salts that keep tenants apart, and its statistics. usage: 04_prefix_reuse [MODEL] */
#include <string.h>

#include "sample.h"

static char shared[2048]; /* what all the prompts begin with: a style guide, the head of a file, a conversation */

static uint64_t ask(ds_session *session, const char *question, const char *salt, uint32_t flags) {
  char prompt[sizeof shared + 64];
  ds_text_input input = {.head = {sizeof input, DS_INPUT_TEXT}, .text = {prompt, DS_STRLEN}};
  ds_params params = {.struct_size = sizeof params, .flags = flags, .max_tokens = 4, .cache_salt = {salt, DS_STRLEN}};
  ds_result *result = NULL;
  ds_info *info = NULL;
  uint64_t cached;
  snprintf(prompt, sizeof prompt, "%s%s", shared, question);
  check(ds_generate(session, &input.head, &params, &result, &error));
  check(ds_result_info(result, &info, &error));
  cached = number(info, "usage.cached_tokens");
  printf("%-28s %4llu of %4llu prompt tokens were in the cache\n", question[0] ? question : "(warming)",
         (unsigned long long)cached, (unsigned long long)number(info, "usage.prompt_tokens"));
  ds_info_release(info);
  ds_result_release(result);
  return cached;
}

int main(int argc, char **argv) {
  ds_runtime *runtime = create_runtime();
  ds_cache_options cache_options = {.struct_size = sizeof cache_options, .ram_bytes = UINT64_C(64) << 20};
  ds_cache *cache = NULL;
  check(ds_cache_open(runtime, &cache_options, &cache, &error));
  ds_source_path source = {.head = {sizeof source, DS_SOURCE_PATH},
                           .path = {argc > 1 ? argv[1] : "embedded", DS_STRLEN}};
  ds_model_options options = {.struct_size = sizeof options, .source = &source.head, .cache = cache};
  ds_model *model = NULL;
  check(ds_model_open(runtime, &options, &model, &error));

  while (strlen(shared) < 300) strcat(shared, "/* All names are lower case. */\n");
  ds_session *first = create_session(model), *second = create_session(model);
  ask(first, "", "", DS_GEN_PREFILL_ONLY);
  const uint64_t warm = ask(first, "int add(", "", 0);
  const uint64_t other = ask(second, "int sub(", "", 0); /* sessions share what they compute */
  const uint64_t foreign = ask(second, "int add(", "another tenant", 0);

  ds_info *stats = NULL;
  check(ds_cache_stats(cache, &stats, &error));
  printf("%llu lookups, %llu tokens were not computed again\n", (unsigned long long)number(stats, "lookups"),
         (unsigned long long)number(stats, "hit_tokens"));
  ds_info_release(stats);
  check(ds_cache_erase(cache, "another tenant", DS_STRLEN, &error));
  ds_session_release(first);
  ds_session_release(second);
  ds_model_release(model);
  ds_cache_release(cache);
  end(runtime);
  return warm > 0 && other > 0 && foreign == 0 ? 0 : 1;
}
