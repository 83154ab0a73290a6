// generate, fim and chat: one request, its text streamed as it comes or one JSON object at the end.
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <chrono>

#include "commands.h"

namespace ds_cli {
namespace {

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

// The input structs of all three commands; the strings they point to live beside them.
struct Request {
  std::string prompt, prefix, suffix;
  std::vector<uint32_t> ids;
  std::vector<ds_message> messages;
  std::vector<ds_text> stops;
  ds_text_input text_input{};
  ds_tokens_input tokens_input{};
  ds_fim_input fim_input{};
  ds_chat_input chat_input{};
  const ds_input *input = nullptr;
  ds_params params{};
  bool printed = true;
};

template <typename Input>
void set_head(Input *input, uint32_t tag, Request *request) {
  input->head.struct_size = sizeof *input;
  input->head.tag = tag;
  request->input = &input->head;
}

void read_prompt(const Options &o, Request *r) {
  if (!o.prompt_file.empty())
    r->prompt = read_file(o.prompt_file);
  else if (o.has_prompt)
    r->prompt = o.prompt;
  else
    r->prompt = read_file("-");
}

void fill_fim(const Options &o, Request *r) {
  r->prefix = o.prefix_file.empty() ? o.prefix : read_file(o.prefix_file);
  r->suffix = o.suffix_file.empty() ? o.suffix : read_file(o.suffix_file);
  set_head(&r->fim_input, DS_INPUT_FIM, r);
  r->fim_input.prefix = text(r->prefix);
  r->fim_input.suffix = text(r->suffix);
  r->fim_input.typed = text(o.typed);
  r->fim_input.file_name = text(o.file_name);
  r->fim_input.layout = o.layout == "anchored" ? DS_FIM_ANCHORED : DS_FIM_PLAIN;
}

void fill_chat(const Options &o, Request *r) {
  read_prompt(o, r);
  if (!o.system.empty()) r->messages.push_back({{"system", DS_STRLEN}, text(o.system)});
  r->messages.push_back({{"user", DS_STRLEN}, text(r->prompt)});
  set_head(&r->chat_input, DS_INPUT_CHAT, r);
  r->chat_input.messages = r->messages.data();
  r->chat_input.n_messages = r->messages.size();
  r->chat_input.chat_template = text(o.chat_template);
}

void fill_input(const Options &o, Request *r) {
  if (o.command == "fim") return fill_fim(o, r);
  if (o.command == "chat") return fill_chat(o, r);
  if (o.has_ids) {
    r->ids = parse_ids(o.ids);
    set_head(&r->tokens_input, DS_INPUT_TOKENS, r);
    r->tokens_input.ids = r->ids.data();
    r->tokens_input.n_ids = r->ids.size();
    return;
  }
  read_prompt(o, r);
  set_head(&r->text_input, DS_INPUT_TEXT, r);
  r->text_input.text = text(r->prompt);
  r->text_input.flags = o.special ? DS_TEXT_PARSE_SPECIAL : 0;
}

// `user` is a bool: whether all that was to be printed has been.
int32_t DS_CALL print_text(void *user, const ds_text_event *event) {
  end_progress();
  bool *printed = static_cast<bool *>(user);
  if (event->choice == 0) *printed = *printed && try_write_out(text(event->text));
  return *printed ? DS_CONTINUE : DS_STOP;
}

void fill_params(const Host &host, const Options &o, Request *r) {
  ds_params &p = r->params;
  p.struct_size = sizeof p;
  p.temperature = o.temperature;
  p.top_p = o.top_p;
  p.top_k = o.top_k;
  p.min_p = o.min_p;
  p.repetition_penalty = o.repetition_penalty;
  p.seed = o.seed;
  p.flags = (o.random_seed ? DS_SAMPLING_RANDOM_SEED : 0) | (o.model_defaults ? DS_SAMPLING_MODEL_DEFAULTS : 0);
  p.max_tokens = o.max_tokens;
  p.n_choices = o.choices;
  p.n_logprobs = o.json ? o.logprobs : 0;
  for (const std::string &stop : o.stops) r->stops.push_back(text(stop));
  p.stops = r->stops.data();
  p.n_stops = r->stops.size();
  p.cache_salt = text(o.salt);
  p.cancel = host.cancel();
  if (!o.json) p.on_text = print_text;
  p.callback_user = &r->printed;
  if (!o.quiet)
    p.on_progress = [](void *user, const ds_progress *progress) -> int32_t {
      return progress->stage == DS_STAGE_PREFILL ? show_progress(user, progress) : DS_CONTINUE;
    };
}

const char *finish_name(uint32_t reason) {
  switch (reason) {
    case DS_FINISH_END:
      return "end";
    case DS_FINISH_STOP:
      return "stop";
    case DS_FINISH_LENGTH:
      return "length";
    case DS_FINISH_CONTEXT:
      return "context";
    case DS_FINISH_CANCELLED:
      return "cancelled";
    case DS_FINISH_DEADLINE:
      return "deadline";
    case DS_FINISH_CALLBACK:
      return "callback";
    case DS_FINISH_ERROR:
      return "error";
    default:
      return "other";
  }
}

void write_choice(Writer *json, const ds_result *result, uint32_t choice) {
  Error error;
  ds_text view{};
  const uint32_t *ids = nullptr;
  uint64_t n_ids = 0, n = 0;
  uint32_t reason = 0, width = 0;
  const ds_token_logprob *entries = nullptr;
  check(ds_result_text(result, choice, &view, &error), error);
  check(ds_result_ids(result, choice, &ids, &n_ids, &error), error);
  check(ds_result_finish_reason(result, choice, &reason, &error), error);
  check(ds_result_logprobs(result, choice, &entries, &n, &width, &error), error);
  json->Key("text");
  json->String(view.data ? view.data : "", static_cast<rapidjson::SizeType>(view.size));
  json->Key("ids");
  json->StartArray();
  for (uint64_t i = 0; i < n_ids; ++i) json->Uint(ids[i]);
  json->EndArray();
  json->Key("finish_reason");
  json->String(finish_name(reason));
  if (!width) return;
  json->Key("logprobs");
  json->StartArray();
  for (uint64_t row = 0; row < n; ++row) {
    json->StartArray();
    for (uint32_t i = 0; i < width; ++i) {
      json->StartObject();
      json->Key("id");
      json->Uint(entries[row * width + i].id);
      json->Key("logprob");
      json->Double(static_cast<double>(entries[row * width + i].logprob));
      json->EndObject();
    }
    json->EndArray();
  }
  json->EndArray();
}

void number(Writer *json, const char *key, double value) {
  json->Key(key);
  json->Double(value);
}

std::string as_json(const ds_result *result, double load_ms) {
  Error error;
  ds_info *raw = nullptr;
  check(ds_result_info(result, &raw, &error), error);
  const Handle<ds_info> info(raw);
  const uint32_t choices = static_cast<uint32_t>(info_u64(info.get(), "choices", 1));
  rapidjson::StringBuffer buffer;
  Writer json(buffer);
  json.SetMaxDecimalPlaces(6);
  json.StartObject();
  write_choice(&json, result, 0);
  if (choices > 1) {
    json.Key("choices");
    json.StartArray();
    for (uint32_t i = 0; i < choices; ++i) {
      json.StartObject();
      write_choice(&json, result, i);
      json.EndObject();
    }
    json.EndArray();
  }
  json.Key("seed");
  json.Uint64(info_u64(info.get(), "seed"));
  json.Key("usage");
  json.StartObject();
  for (const char *key : {"prompt_tokens", "cached_tokens", "completion_tokens"}) {
    json.Key(key);
    json.Uint64(info_u64(info.get(), (std::string("usage.") + key).c_str()));
  }
  json.EndObject();
  json.Key("timings");
  json.StartObject();
  number(&json, "load_ms", load_ms);
  for (const char *key : {"prefill_ms", "decode_ms", "ttft_ms", "tokens_per_second"})
    number(&json, key, info_f64(info.get(), (std::string("timings.") + key).c_str()));
  json.EndObject();
  json.EndObject();
  return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

// One line for people: what opening, the prompt and the answer took.
void print_timings(const ds_result *result, double load_ms) {
  Error error;
  ds_info *raw = nullptr;
  check(ds_result_info(result, &raw, &error), error);
  const Handle<ds_info> info(raw);
  std::fprintf(
      stderr, "opened in %.0f ms; first token after %.0f ms (%llu prompt tokens); %llu tokens at %.0f a second\n",
      load_ms, info_f64(raw, "timings.ttft_ms"), static_cast<unsigned long long>(info_u64(raw, "usage.prompt_tokens")),
      static_cast<unsigned long long>(info_u64(raw, "usage.completion_tokens")),
      info_f64(raw, "timings.tokens_per_second"));
}

}  // namespace

int run_generate(const Options &options) {
  Request request;
  fill_input(options, &request);
  const Host host(options);
  const auto start = std::chrono::steady_clock::now();
  const Handle<ds_model> model = open_model(host, options);
  const Handle<ds_model_adapter> adapter = load_adapter(model.get(), options);
  const double load_ms = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  const Handle<ds_session> session = new_session(model.get());
  fill_params(host, options, &request);
  request.params.adapter = adapter.get();
  Error error;
  ds_result *raw = nullptr;
  const ds_status status = ds_generate(session.get(), request.input, &request.params, &raw, &error);
  const Handle<ds_result> result(raw);
  end_progress();
  check(status, error);
  if (!request.printed) throw Failure("standard output: cannot be written");
  write_out(options.json ? as_json(result.get(), load_ms) : "\n");
  if (options.timings) print_timings(result.get(), load_ms);
  uint32_t reason = 0;
  check(ds_result_finish_reason(result.get(), 0, &reason, &error), error);
  if (reason == DS_FINISH_CANCELLED) throw Failure("interrupted");
  return 0;
}

}  // namespace ds_cli
