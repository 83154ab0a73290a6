#include "capi/requests.h"

#include "capi/wall.h"

namespace deepseam::capi {
namespace {

// Shares of several users as one thing to keep alive.
std::shared_ptr<void> keep_alive(const HostUsers &users) {
  return std::make_shared<std::vector<std::shared_ptr<HostUser>>>(users.list());
}

Status check_number(float value, const char *field) {
  if (value >= 0 && value <= 3.4e38f) return Status();  // false for NaN
  return fail(DS_E_ARGUMENT, "capi", "ds_params.%s is %g, expected a finite number of at least 0", field,
              static_cast<double>(value));
}

Status check_sampling(const ds_params &params) {
  DS_TRY(check_number(params.temperature, "temperature"));
  DS_TRY(check_number(params.top_p, "top_p"));
  DS_TRY(check_number(params.min_p, "min_p"));
  DS_TRY(check_number(params.repetition_penalty, "repetition_penalty"));
  DS_TRY(check_number(params.presence_penalty, "presence_penalty"));
  DS_TRY(check_number(params.frequency_penalty, "frequency_penalty"));
  if (params.n_choices > 64)
    return fail(DS_E_ARGUMENT, "capi", "ds_params.n_choices is %u, expected at most 64", params.n_choices);
  if (params.n_logprobs > 20)
    return fail(DS_E_ARGUMENT, "capi", "ds_params.n_logprobs is %u, expected at most 20", params.n_logprobs);
  return Status();
}

void copy_sampling(const ds_params &params, session::SamplingParams *into) {
  into->temperature = params.temperature;
  into->top_p = params.top_p;
  into->min_p = params.min_p;
  into->repetition_penalty = params.repetition_penalty;
  into->presence_penalty = params.presence_penalty;
  into->frequency_penalty = params.frequency_penalty;
  into->top_k = params.top_k;
  into->seed = params.seed;
  into->random_seed = params.flags & DS_SAMPLING_RANDOM_SEED;
  into->model_defaults = params.flags & DS_SAMPLING_MODEL_DEFAULTS;
}

Status copy_lists(const ds_params &params, session::GenerateOptions *into) {
  DS_TRY(check_array(params.logit_bias, params.n_logit_bias, sizeof(ds_logit_bias), "ds_params.logit_bias"));
  DS_TRY(check_array(params.stops, params.n_stops, sizeof(ds_text), "ds_params.stops"));
  DS_TRY(check_array(params.stop_ids, params.n_stop_ids, sizeof(uint32_t), "ds_params.stop_ids"));
  for (uint64_t i = 0; i < params.n_logit_bias; ++i) {
    dsb_bias bias{};
    bias.token = params.logit_bias[i].id;
    bias.value = params.logit_bias[i].bias;
    into->sampling.bias.push_back(bias);
  }
  for (uint64_t i = 0; i < params.n_stops; ++i) {
    std::string_view stop;
    DS_TRY(read_text(params.stops[i], "ds_params.stops", &stop));
    if (stop.empty()) return fail(DS_E_ARGUMENT, "capi", "ds_params.stops[%llu] is empty", (unsigned long long)i);
    into->stops.emplace_back(stop);
  }
  into->stop_ids.assign(params.stop_ids, params.stop_ids + params.n_stop_ids);
  std::string_view salt;
  DS_TRY(read_text(params.cache_salt, "ds_params.cache_salt", &salt));
  into->salt = salt;
  return Status();
}

// The callbacks of ds_params as functions. `user` outlives them through keep_alive.
void copy_callbacks(const ds_params &params, session::JobCallbacks *into) {
  void *user = params.callback_user;
  if (const ds_text_fn call = params.on_text)
    into->on_text = [call, user](const session::TextEvent &event) {
      ds_text_event record{};
      record.struct_size = sizeof record;
      record.choice = event.choice;
      record.text = {event.text.data(), event.text.size()};
      record.ids = event.ids.data();
      record.n_ids = event.ids.size();
      record.finish_reason = static_cast<uint32_t>(event.finish);
      const CallbackScope scope;
      return call(user, &record) == DS_CONTINUE;
    };
  if (const ds_logits_fn call = params.on_logits)
    into->on_logits = [call, user](uint32_t choice, std::span<float> logits, std::span<const uint32_t> ids) {
      ds_logits_event record{};
      record.struct_size = sizeof record;
      record.choice = choice;
      record.logits = logits.data();
      record.vocab = logits.size();
      record.ids = ids.data();
      record.n_ids = ids.size();
      const CallbackScope scope;
      return call(user, &record) == DS_CONTINUE;
    };
  if (const ds_mask_fn call = params.on_mask)
    into->on_mask = [call, user](uint32_t choice, std::span<uint32_t> mask, std::span<const uint32_t> ids) {
      ds_mask_event record{};
      record.struct_size = sizeof record;
      record.choice = choice;
      record.mask = mask.data();
      record.n_words = mask.size();
      record.ids = ids.data();
      record.n_ids = ids.size();
      const CallbackScope scope;
      return call(user, &record) == DS_CONTINUE;
    };
  into->on_progress = progress_function(params.on_progress, user);
}

Status unknown_options(const ds_option *options, uint64_t n) {
  return read_options(options, n, [](const OptionView &, bool *known) {
    *known = false;
    return Status();
  });
}

template <typename Type>
Status read_io_source(const Type &record, HostUsers *users, session::ModelSource *into) {
  DS_TRY_VALUE(auto folder, host_folder(record, users->add(record.user, record.user_free)));
  auto single = folder->open("");
  if (single.ok()) {
    into->file = std::move(single).value();
  } else if (Status status = std::move(single).status(); status.code() != DS_E_NOT_FOUND) {
    return status;
  }
  into->folder = std::move(folder);
  return Status();
}

Result<text::ChatFamily> chat_family(std::string_view name) {
  if (name.empty()) return text::ChatFamily::kNone;
  if (name == "v2") return text::ChatFamily::kV2;
  if (name == "v2.5") return text::ChatFamily::kV25;
  if (name == "v3") return text::ChatFamily::kV3;
  if (name == "r1") return text::ChatFamily::kR1;
  if (name == "v3.1") return text::ChatFamily::kV31;
  return fail(DS_E_ARGUMENT, "capi", "ds_chat_input.chat_template is \"%.*s\", expected v2, v2.5, v3, r1 or v3.1",
              static_cast<int>(std::min<size_t>(name.size(), 64)), name.data());
}

Result<session::Prompt> read_text_input(const session::Model &model, const ds_input *head, const CancelWord *cancel) {
  ds_text_input input;
  DS_TRY(read_tagged(head, &input));
  DS_TRY(check_flags(input.flags, DS_TEXT_PARSE_SPECIAL | DS_TEXT_NO_BOS, "ds_text_input.flags"));
  DS_TRY(check_reserved(input.reserved, "ds_text_input.reserved"));
  std::string_view text;
  DS_TRY(read_text(input.text, "ds_text_input.text", &text));
  session::TextOptions options;
  options.parse_special = input.flags & DS_TEXT_PARSE_SPECIAL;
  options.add_bos = !(input.flags & DS_TEXT_NO_BOS);
  return session::text_prompt(model, text, options, cancel);
}

Result<session::Prompt> read_tokens_input(const session::Model &model, const ds_input *head) {
  ds_tokens_input input;
  DS_TRY(read_tagged(head, &input));
  DS_TRY(check_array(input.ids, input.n_ids, sizeof(uint32_t), "ds_tokens_input.ids"));
  return session::tokens_prompt(model, {input.ids, static_cast<size_t>(input.n_ids)});
}

}  // namespace

Status read_options(const ds_option *options, uint64_t n,
                    const std::function<Status(const OptionView &option, bool *known)> &visit) {
  DS_TRY(check_array(options, n, sizeof(ds_option), "options"));
  for (uint64_t i = 0; i < n; ++i) {
    const ds_option &option = options[i];
    if (!option.key) return fail(DS_E_ARGUMENT, "capi", "options[%llu].key is NULL", (unsigned long long)i);
    DS_TRY(check_flags(option.flags, DS_OPTION_IGNORABLE, "ds_option.flags"));
    DS_TRY(check_reserved(option.reserved, "ds_option.reserved"));
    OptionView view;
    view.key = option.key;
    view.value = option.value;
    DS_TRY(read_text(static_cast<const char *>(option.data), option.size, option.key, &view.text));
    bool known = true;
    DS_TRY(visit(view, &known));
    if (!known && !(option.flags & DS_OPTION_IGNORABLE))
      return fail(DS_E_UNKNOWN_FIELD, "capi", "there is no option \"%.100s\" here", option.key);
  }
  return Status();
}

Status read_cancel(ds_cancel *cancel, std::shared_ptr<const CancelWord> *word) {
  if (!cancel) return Status();
  const Pinned<CancelObject> object(cancel);
  DS_TRY(object.status());
  *word = object->word;
  return Status();
}

Status read_adapter(ds_model_adapter *adapter, std::shared_ptr<const session::Adapter> *into) {
  if (!adapter) return Status();
  const Pinned<AdapterObject> object(adapter);
  DS_TRY(usable(object));
  *into = object->adapter;
  return Status();
}

session::ProgressFunction progress_function(ds_progress_fn progress, void *user) {
  if (!progress) return nullptr;
  return [progress, user](const session::Progress &now) {
    ds_progress record{};
    record.struct_size = sizeof record;
    record.stage = static_cast<uint32_t>(now.stage);
    record.done = now.done;
    record.total = now.total;
    const CallbackScope scope;
    return progress(user, &record) == DS_CONTINUE;
  };
}

Status read_source(const ds_source *source, HostUsers *users, session::ModelSource *into) {
  if (!source) return fail(DS_E_ARGUMENT, "capi", "source is NULL");
  if (source->tag == DS_SOURCE_PATH) {
    ds_source_path record;
    DS_TRY(read_tagged(source, &record));
    std::string_view path;
    DS_TRY(read_text(record.path, "ds_source_path.path", &path));
    if (path.empty() || path.find('\0') != path.npos)
      return fail(DS_E_ARGUMENT, "capi", "ds_source_path.path is empty or has a NUL inside");
    into->path = path;
    return Status();
  }
  if (source->tag == DS_SOURCE_MEMORY) {
    ds_source_memory record;
    DS_TRY(read_tagged(source, &record));
    DS_TRY_VALUE(into->file, host_memory(record, users->add(record.user, record.user_free)));
    return Status();
  }
  if (source->tag == DS_SOURCE_IO) {
    ds_source_io record;
    DS_TRY(read_tagged(source, &record));
    return read_io_source(record, users, into);
  }
  return fail(DS_E_ARGUMENT, "capi", "ds_source.tag is %u, expected DS_SOURCE_PATH, _MEMORY or _IO", source->tag);
}

Status read_open(const ds_model_options *given, OpenRequest *into) {
  ds_model_options from;
  DS_TRY(read_struct(given, &from));
  constexpr uint32_t kFlags = DS_MODEL_DETERMINISTIC | DS_MODEL_NO_CACHE | DS_MODEL_NO_WEIGHTS;
  DS_TRY(check_flags(from.flags, kFlags, "ds_model_options.flags"));
  DS_TRY(check_choice(from.map_mode, DS_MAP_ALWAYS, "ds_model_options.map_mode"));
  DS_TRY(check_choice(from.kv_format, DS_KV_Q8, "ds_model_options.kv_format"));
  DS_TRY(check_array(from.devices, from.n_devices, sizeof(uint32_t), "ds_model_options.devices"));
  session::OpenOptions &to = into->options;
  DS_TRY(read_options(from.options, from.n_options, [&](const OptionView &option, bool *known) {
    if (option.key == "weight_type") {
      to.weight_type = option.text;
    } else if (option.key == "compute_type") {
      to.compute_type = option.text;
    } else if (option.key == "profile") {
      to.profile = option.value != 0;
    } else {
      *known = false;
    }
    return Status();
  }));
  std::string_view backend, pack_dir;
  DS_TRY(read_text(from.backend, "ds_model_options.backend", &backend));
  DS_TRY(read_text(from.pack_cache_dir, "ds_model_options.pack_cache_dir", &pack_dir));
  if (pack_dir.find('\0') != pack_dir.npos)
    return fail(DS_E_ARGUMENT, "capi", "ds_model_options.pack_cache_dir has a NUL inside, expected a path");
  to.pack_folder = pack_dir;
  to.backend = backend;
  to.devices.assign(from.devices, from.devices + from.n_devices);
  to.map = static_cast<MapMode>(from.map_mode);
  to.kv_format = from.kv_format;
  to.context_length = from.context_length;
  to.max_rows = from.max_rows;
  to.max_sequences = from.max_sequences;
  to.ram_budget = from.ram_budget;
  to.vram_budget = from.vram_budget;
  to.deterministic = from.flags & DS_MODEL_DETERMINISTIC;
  to.no_cache = from.flags & DS_MODEL_NO_CACHE;
  to.no_weights = from.flags & DS_MODEL_NO_WEIGHTS;
  if (from.cache) {
    const Pinned<CacheObject> cache(from.cache);
    DS_TRY(usable(cache));
    to.cache = cache->cache;
  }
  DS_TRY(read_cancel(from.cancel, &to.cancel));
  to.progress = progress_function(from.progress, from.progress_user);
  to.keep_alive = into->users.add(from.progress_user, from.progress_free);
  return read_source(from.source, &into->users, &to.source);
}

Status read_job_options(const ds_job_options *given, JobRequest *into) {
  ds_job_options from;
  DS_TRY(read_optional(given, &from));
  DS_TRY(check_flags(from.flags, DS_JOB_SPONTANEOUS, "ds_job_options.flags"));
  into->spontaneous = from.flags & DS_JOB_SPONTANEOUS;
  const auto user = into->users.add(from.wake_user, from.wake_free);
  if (from.wake)
    into->wake = [wake = from.wake, user] {
      const CallbackScope scope;
      wake(user->user());
    };
  return Status();
}

Status read_params(const ds_params *given, GenerateRequest *into) {
  constexpr uint32_t kFlags = DS_SAMPLING_RANDOM_SEED | DS_SAMPLING_MODEL_DEFAULTS | DS_SAMPLING_LOGPROBS |
                              DS_GEN_PREFILL_ONLY | DS_GEN_NO_STORE | DS_GEN_NO_PERSIST | DS_GEN_NO_REUSE |
                              DS_GEN_IGNORE_END;
  ds_params from;
  DS_TRY(read_optional(given, &from));
  DS_TRY(check_flags(from.flags, kFlags, "ds_params.flags"));
  DS_TRY(check_sampling(from));
  DS_TRY(unknown_options(from.options, from.n_options));
  session::GenerateOptions &to = into->options;
  DS_TRY(read_adapter(from.adapter, &to.adapter));
  copy_sampling(from, &to.sampling);
  DS_TRY(copy_lists(from, &to));
  to.n_choices = into->n_choices = from.n_choices ? from.n_choices : 1;
  to.max_tokens = from.max_tokens;
  to.n_logprobs = from.n_logprobs;
  to.logprobs = from.flags & DS_SAMPLING_LOGPROBS;
  to.deadline_ns = from.deadline_ns;
  to.prefill_only = from.flags & DS_GEN_PREFILL_ONLY;
  to.no_store = from.flags & DS_GEN_NO_STORE;
  to.no_reuse = from.flags & DS_GEN_NO_REUSE;
  to.ignore_end = from.flags & DS_GEN_IGNORE_END;
  DS_TRY(read_cancel(from.cancel, &to.cancel));
  copy_callbacks(from, &to.callbacks);
  into->users.add(from.callback_user, from.callback_free);
  to.keep_alive = keep_alive(into->users);
  return Status();
}

Result<session::Prompt> read_chat(const session::Model &model, const ds_chat_input *given, const CancelWord *cancel) {
  ds_chat_input input;
  DS_TRY(read_struct(given, &input));
  DS_TRY(check_flags(input.flags, DS_CHAT_CONTINUE | DS_CHAT_THINK, "ds_chat_input.flags"));
  DS_TRY(check_reserved(input.reserved, "ds_chat_input.reserved"));
  DS_TRY(check_array(input.messages, input.n_messages, sizeof(ds_message), "ds_chat_input.messages"));
  std::vector<text::ChatMessage> messages(input.n_messages);
  for (uint64_t i = 0; i < input.n_messages; ++i) {
    DS_TRY(read_text(input.messages[i].role, "ds_message.role", &messages[i].role));
    DS_TRY(read_text(input.messages[i].content, "ds_message.content", &messages[i].content));
  }
  std::string_view name;
  DS_TRY(read_text(input.chat_template, "ds_chat_input.chat_template", &name));
  text::ChatRequest request;
  DS_TRY_VALUE(request.family, chat_family(name));
  request.messages = messages;
  request.thinking = input.flags & DS_CHAT_THINK;
  request.cancel = cancel;
  if (!(input.flags & DS_CHAT_CONTINUE)) return session::chat_prompt(model, request);
  if (messages.empty() || messages.back().role != "assistant")
    return fail(DS_E_ARGUMENT, "capi", "DS_CHAT_CONTINUE needs a last message of the assistant");
  request.add_generation_prompt = false;
  DS_TRY_VALUE(session::Prompt prompt, session::chat_prompt(model, request));
  DS_TRY_VALUE(const text::Tokenizer *tokenizer, model.need_tokenizer());
  if (!prompt.ids.empty() && prompt.ids.back() == tokenizer->role(text::Role::kEos)) prompt.ids.pop_back();
  return prompt;
}

Result<session::Prompt> read_fim(const session::Model &model, const ds_fim_input *given, uint32_t max_tokens,
                                 const CancelWord *cancel) {
  ds_fim_input input;
  DS_TRY(read_struct(given, &input));
  DS_TRY(check_flags(input.flags, 0, "ds_fim_input.flags"));
  DS_TRY(check_choice(input.layout, DS_FIM_ANCHORED, "ds_fim_input.layout"));
  DS_TRY(check_array(input.snippets, input.n_snippets, sizeof(ds_snippet), "ds_fim_input.snippets"));
  text::FimRequest request;
  DS_TRY(read_text(input.prefix, "ds_fim_input.prefix", &request.prefix));
  DS_TRY(read_text(input.suffix, "ds_fim_input.suffix", &request.suffix));
  DS_TRY(read_text(input.file_name, "ds_fim_input.file_name", &request.file_name));
  if (input.typed.data || input.typed.size) {
    std::string_view typed;
    DS_TRY(read_text(input.typed, "ds_fim_input.typed", &typed));
    request.typed = typed;
  }
  std::vector<text::Snippet> snippets(input.n_snippets);
  for (uint64_t i = 0; i < input.n_snippets; ++i) {
    DS_TRY(read_text(input.snippets[i].file_name, "ds_snippet.file_name", &snippets[i].file_name));
    DS_TRY(read_text(input.snippets[i].text, "ds_snippet.text", &snippets[i].text));
  }
  request.snippets = snippets;
  request.layout = input.layout == DS_FIM_ANCHORED ? text::FimLayout::kAnchored : text::FimLayout::kPlain;
  request.cancel = cancel;
  return session::fim_prompt(model, request, max_tokens);
}

Result<session::Prompt> read_input(const session::Model &model, const ds_input *input,
                                   const session::GenerateOptions &options) {
  if (!input) return fail(DS_E_ARGUMENT, "capi", "input is NULL");
  const CancelWord *cancel = options.cancel.get();
  switch (input->tag) {
    case DS_INPUT_TEXT:
      return read_text_input(model, input, cancel);
    case DS_INPUT_TOKENS:
      return read_tokens_input(model, input);
    case DS_INPUT_FIM:
      return read_fim(model, reinterpret_cast<const ds_fim_input *>(input), options.max_tokens, cancel);
    case DS_INPUT_CHAT:
      return read_chat(model, reinterpret_cast<const ds_chat_input *>(input), cancel);
  }
  return fail(DS_E_ARGUMENT, "capi", "ds_input.tag is %u, expected DS_INPUT_TEXT, _TOKENS, _FIM or _CHAT", input->tag);
}

Status read_session_settings(const ds_session_options *given, session::SessionSettings *into) {
  ds_session_options from;
  DS_TRY(read_optional(given, &from));
  DS_TRY(check_flags(from.flags, 0, "ds_session_options.flags"));
  DS_TRY(check_choice(from.priority, DS_PRIORITY_INTERACTIVE, "ds_session_options.priority"));
  DS_TRY(check_reserved(from.reserved, "ds_session_options.reserved"));
  if (!(from.tokens_per_second >= 0 && from.tokens_per_second < 1e12))
    return fail(DS_E_ARGUMENT, "capi", "ds_session_options.tokens_per_second is %g, expected 0 to 1e12",
                from.tokens_per_second);
  into->priority = static_cast<session::Priority>(from.priority);
  into->max_slice_us = from.max_gpu_slice_us;
  into->context_length = from.context_length;
  into->tokens_per_second = from.tokens_per_second;
  return apply_session_options(from.options, from.n_options, into);
}

Status apply_session_options(const ds_option *options, uint64_t n, session::SessionSettings *settings) {
  return read_options(options, n, [&](const OptionView &option, bool *known) {
    uint32_t most = UINT32_MAX;
    if (option.key == "priority") most = DS_PRIORITY_INTERACTIVE;
    if (option.key == "suspended") most = 1;
    if (option.value < 0 || option.value > most)
      return fail(DS_E_ARGUMENT, "capi", "option \"%.*s\" is %lld, expected 0 to %u",
                  static_cast<int>(option.key.size()), option.key.data(), static_cast<long long>(option.value), most);
    const auto value = static_cast<uint32_t>(option.value);
    if (option.key == "priority") {
      settings->priority = static_cast<session::Priority>(value);
    } else if (option.key == "max_gpu_slice_us") {
      settings->max_slice_us = value;
    } else if (option.key == "tokens_per_second") {
      settings->tokens_per_second = value;
    } else if (option.key == "suspended") {
      settings->suspended = value != 0;
    } else {
      *known = false;
    }
    return Status();
  });
}

}  // namespace deepseam::capi
