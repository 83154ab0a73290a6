// From ds_params, ds_model_options and option lists to what the session layer takes: every check of form.
#include "capi/requests.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

using namespace deepseam;
using namespace deepseam::capi;

namespace {

ds_params params() {
  ds_params fresh{};
  fresh.struct_size = sizeof fresh;
  return fresh;
}
ds_status read(const ds_params &given) {
  GenerateRequest request;
  return read_params(&given, &request).code();
}

ds_source_path path_source(const char *path) {
  ds_source_path source{};
  source.head.struct_size = sizeof source;
  source.head.tag = DS_SOURCE_PATH;
  source.path = {path, DS_STRLEN};
  return source;
}
ds_model_options model_options(const ds_source_path &source) {
  ds_model_options options{};
  options.struct_size = sizeof options;
  options.source = &source.head;
  return options;
}
ds_status read(const ds_model_options &given) {
  OpenRequest request;
  return read_open(&given, &request).code();
}

}  // namespace

TEST_CASE("no params are all-zero params") {
  GenerateRequest request;
  REQUIRE(read_params(nullptr, &request).ok());
  CHECK(request.options.n_choices == 1);
  CHECK(request.options.max_tokens == 0);
  CHECK(request.options.sampling.temperature == 0);
}

TEST_CASE("numbers that are no numbers, infinite or negative are refused") {
  const float bad[] = {-1.0f, -std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity(),
                       std::numeric_limits<float>::quiet_NaN()};
  float ds_params::*const fields[] = {&ds_params::temperature,
                                      &ds_params::top_p,
                                      &ds_params::min_p,
                                      &ds_params::repetition_penalty,
                                      &ds_params::presence_penalty,
                                      &ds_params::frequency_penalty};
  for (const auto field : fields)
    for (const float value : bad) {
      ds_params given = params();
      given.*field = value;
      CHECK(read(given) == DS_E_ARGUMENT);
    }
}

TEST_CASE("unknown flags, options and handles are refused") {
  ds_params given = params();
  given.flags = 1u << 31;
  CHECK(read(given) == DS_E_UNKNOWN_FIELD);
  given = params();
  ds_option option{};
  option.key = "no such thing";
  given.options = &option;
  given.n_options = 1;
  CHECK(read(given) == DS_E_UNKNOWN_FIELD);
  option.flags = DS_OPTION_IGNORABLE;
  CHECK(read(given) == DS_OK);
  option.reserved = 1;
  CHECK(read(given) == DS_E_UNKNOWN_FIELD);
  given = params();
  given.cancel = reinterpret_cast<ds_cancel *>(&option);
  CHECK(read(given) == DS_E_HANDLE);
  given = params();
  given.adapter = reinterpret_cast<ds_model_adapter *>(&option);
  CHECK(read(given) == DS_E_HANDLE);
}

TEST_CASE("lists are copied and checked") {
  ds_params given = params();
  const ds_text stops[] = {{"\n\n", DS_STRLEN}, {"end!", 3}};
  const ds_logit_bias bias[] = {{7, -2.5f}};
  const uint32_t ids[] = {4, 5};
  given.stops = stops;
  given.n_stops = 2;
  given.logit_bias = bias;
  given.n_logit_bias = 1;
  given.stop_ids = ids;
  given.n_stop_ids = 2;
  GenerateRequest request;
  REQUIRE(read_params(&given, &request).ok());
  CHECK(request.options.stops == std::vector<std::string>{"\n\n", "end"});
  REQUIRE(request.options.sampling.bias.size() == 1);
  CHECK(request.options.sampling.bias[0].token == 7);
  CHECK(request.options.stop_ids == std::vector<uint32_t>{4, 5});
  given.n_stop_ids = UINT64_MAX;
  CHECK(read(given) == DS_E_ARGUMENT);
  given.n_stop_ids = 2;
  const ds_text empty[] = {{"", 0}};
  given.stops = empty;
  given.n_stops = 1;
  CHECK(read(given) == DS_E_ARGUMENT);
}

TEST_CASE("callbacks see what happened, and their answer counts") {
  ds_params given = params();
  std::string seen;
  given.callback_user = &seen;
  given.on_text = [](void *user, const ds_text_event *event) -> int32_t {
    static_cast<std::string *>(user)->append(event->text.data, event->text.size);
    return event->choice == 1 ? DS_STOP : DS_CONTINUE;
  };
  GenerateRequest request;
  REQUIRE(read_params(&given, &request).ok());
  session::TextEvent event;
  event.text = "abc";
  CHECK(request.options.callbacks.on_text(event));
  event.choice = 1;
  CHECK_FALSE(request.options.callbacks.on_text(event));
  CHECK(seen == "abcabc");
  CHECK_FALSE(request.options.callbacks.on_logits);
}

TEST_CASE("model options are copied") {
  const ds_source_path source = path_source("/some/model");
  ds_model_options given = model_options(source);
  const uint32_t devices[] = {2};
  given.devices = devices;
  given.n_devices = 1;
  given.backend = {"ref", DS_STRLEN};
  given.flags = DS_MODEL_DETERMINISTIC;
  given.context_length = 4096;
  OpenRequest request;
  REQUIRE(read_open(&given, &request).ok());
  CHECK(request.options.source.path == "/some/model");
  CHECK(request.options.backend == "ref");
  CHECK(request.options.devices == std::vector<uint32_t>{2});
  CHECK(request.options.deterministic);
  CHECK(request.options.context_length == 4096);
}

TEST_CASE("model options out of range are refused") {
  const ds_source_path source = path_source("/some/model");
  ds_model_options given = model_options(source);
  given.map_mode = DS_MAP_ALWAYS + 1;
  CHECK(read(given) == DS_E_ARGUMENT);
  given = model_options(source);
  given.kv_format = DS_KV_Q8 + 1;
  CHECK(read(given) == DS_E_ARGUMENT);
  given = model_options(source);
  given.flags = 128;
  CHECK(read(given) == DS_E_UNKNOWN_FIELD);
  given = model_options(source);
  given.source = nullptr;
  CHECK(read(given) == DS_E_ARGUMENT);
  given = model_options(source);
  given.pack_cache_dir = {"/x\0y", 4};
  CHECK(read(given) == DS_E_ARGUMENT);
}

TEST_CASE("sources are told apart by tag, and their own size counts") {
  ds_source_path source = path_source("/some/model");
  source.head.tag = 9;
  CHECK(read(model_options(source)) == DS_E_ARGUMENT);
  source = path_source("/some/model");
  source.head.struct_size = 8;
  CHECK(read(model_options(source)) == DS_E_STRUCT);
  CHECK(read(model_options(path_source(""))) == DS_E_ARGUMENT);
}

TEST_CASE("session settings change by key") {
  session::SessionSettings settings;
  ds_option option{};
  option.key = "priority";
  option.value = DS_PRIORITY_INTERACTIVE;
  REQUIRE(apply_session_options(&option, 1, &settings).ok());
  CHECK(settings.priority == session::Priority::kInteractive);
  option.value = 3;
  CHECK(apply_session_options(&option, 1, &settings).code() == DS_E_ARGUMENT);
  option.value = -1;
  CHECK(apply_session_options(&option, 1, &settings).code() == DS_E_ARGUMENT);
  option.key = "colour";
  option.value = 0;
  CHECK(apply_session_options(&option, 1, &settings).code() == DS_E_UNKNOWN_FIELD);
}

TEST_CASE("session options out of range are refused") {
  ds_session_options given{};
  given.struct_size = sizeof given;
  session::SessionSettings settings;
  CHECK(read_session_settings(&given, &settings).ok());
  given.tokens_per_second = std::nan("");
  CHECK(read_session_settings(&given, &settings).code() == DS_E_ARGUMENT);
  given.tokens_per_second = -1;
  CHECK(read_session_settings(&given, &settings).code() == DS_E_ARGUMENT);
  given.tokens_per_second = 0;
  given.priority = 9;
  CHECK(read_session_settings(&given, &settings).code() == DS_E_ARGUMENT);
}
