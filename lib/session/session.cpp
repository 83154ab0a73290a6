// See session.h.
#include "session/session.h"

#include <algorithm>
#include <cmath>

#include "session/adapter.h"
#include "session/engine.h"
#include "session/job_feed.h"
#include "session/model.h"
#include "session/work.h"

namespace deepseam::session {
namespace {

constexpr uint32_t kMostChoices = 64, kMostLogprobs = 20;

Status check_settings(const SessionSettings &settings, uint32_t most_context) {
  if (!(settings.tokens_per_second >= 0) || !std::isfinite(settings.tokens_per_second))
    return fail(DS_E_ARGUMENT, "session", "tokens_per_second is %g, expected a finite number of at least 0",
                settings.tokens_per_second);
  if (settings.context_length > most_context)
    return fail(DS_E_ARGUMENT, "session", "context_length is %u, and the model was opened for %u tokens",
                settings.context_length, most_context);
  if (settings.priority > Priority::kInteractive)
    return fail(DS_E_ARGUMENT, "session", "priority is %u, expected at most 2",
                static_cast<uint32_t>(settings.priority));
  return {};
}

// 0: the files do not say.
uint32_t default_max_tokens(const GenerationDefaults &defaults) {
  const int64_t most = defaults.max_new_tokens.value_or(0);
  return most > 0 && most < INT32_MAX ? static_cast<uint32_t>(most) : 0;
}

// Names the first id that the vocabulary does not have.
Status check_ids(const char *what, std::span<const uint32_t> ids, uint32_t n_vocab) {
  for (size_t i = 0; i < ids.size(); ++i)
    if (ids[i] >= n_vocab)
      return fail(DS_E_ARGUMENT, "session", "%s %zu is %u, and the vocabulary has %u tokens", what, i, ids[i], n_vocab);
  return {};
}

// What a request's prefixes are found by.
Status set_identity(const Model &model, const std::string &salt, const std::shared_ptr<const Adapter> &adapter,
                    kv::Identity *identity) {
  if (adapter && adapter->model().get() != &model)
    return fail(DS_E_ARGUMENT, "session", "the adapter was loaded beside another model than the session's");
  *identity = model.identity();
  identity->salt = salt;
  if (adapter) identity->adapter = adapter->identity();
  return {};
}

}  // namespace

Session::Session(std::shared_ptr<Model> model, const SessionSettings &settings)
    : model_(std::move(model)), settings_(settings) {}

Result<std::shared_ptr<Session>> Session::create(std::shared_ptr<Model> model, const SessionSettings &settings) {
  DS_TRY(model->runtime()->check_open());
  if (!model->engine())
    return fail(DS_E_UNSUPPORTED, "session", "the model was opened without its weights; open it without NO_WEIGHTS");
  DS_TRY(check_settings(settings, model->context_length()));
  return std::shared_ptr<Session>(new Session(std::move(model), settings));
}

// ---- Generating

Result<std::shared_ptr<Job>> Session::start(Prompt prompt, GenerateOptions options) {
  DS_TRY(model_->runtime()->check_open());
  auto work = std::make_unique<Work>();
  work->context = settings().context_length ? settings().context_length : model_->context_length();
  const size_t n = prompt.ids.size();
  if (n == 0) return fail(DS_E_ARGUMENT, "session", "the prompt has no tokens");
  DS_TRY(check_ids("prompt token", prompt.ids, model_->vocab()));
  if (n > work->context || (n == work->context && !options.prefill_only))
    return fail(DS_E_CONTEXT_FULL, "session", "the prompt has %zu tokens, and the context holds %u", n, work->context);
  if (options.n_choices == 0) options.n_choices = 1;
  if (options.n_choices > kMostChoices || options.n_logprobs > kMostLogprobs)
    return fail(DS_E_ARGUMENT, "session", "n_choices is %u and n_logprobs %u, expected at most %u and %u",
                options.n_choices, options.n_logprobs, kMostChoices, kMostLogprobs);
  options.n_logprobs = std::min(options.n_logprobs, model_->vocab());
  DS_TRY(complete_sampling(&options.sampling, model_->defaults(), model_->vocab()));
  if (options.sampling.model_defaults && options.max_tokens == 0)
    options.max_tokens = default_max_tokens(model_->defaults());
  std::vector<std::string_view> stops(options.stops.begin(), options.stops.end());
  if (options.sampling.model_defaults && model_->tokenizer())
    for (const std::string &stop : model_->defaults().stop_strings)
      if (!stop.empty()) stops.push_back(stop);
  if (!stops.empty()) DS_TRY(model_->need_tokenizer().status());
  DS_TRY_VALUE(work->stops, text::StopSet::make(stops));
  if (!options.ignore_end) {
    work->end_ids = prompt.stop_ids;
    for (int64_t id : model_->defaults().eos_token_ids)
      if (id >= 0 && id < model_->vocab()) work->end_ids.push_back(static_cast<uint32_t>(id));
  }
  work->session = shared_from_this();
  DS_TRY(set_identity(*model_, options.salt, options.adapter, &work->identity));
  work->submitted_ns = now_ns();
  if (!take()) return fail(DS_E_BUSY, "session", "the session runs another call");
  struct GiveBack {
    Session *session;
    ~GiveBack() {
      if (session) session->give_back();
    }
  } guard{this};
  DS_TRY_VALUE(work->job, JobFeed::make(model_->runtime(), &options, false));
  options.callbacks = JobCallbacks{};
  options.cancel.reset();
  work->prompt = std::move(prompt);
  work->options = std::move(options);
  const std::shared_ptr<Job> job = work->job;
  JobFeed::set_engine(*job, model_->engine());
  DS_TRY(model_->engine()->submit(std::move(work)));
  guard.session = nullptr;
  return job;
}

void wait_all(std::span<const std::shared_ptr<Job>> jobs) {
  // Callbacks of one job must not wait for the end of another: look at all of them, in turn, while any runs.
  bool running = jobs.size() > 1;
  while (running) {
    running = false;
    for (const auto &job : jobs)
      if (job && job->wait(jobs.size() > 1 ? 2'000'000 : UINT64_MAX).code() == DS_E_TIMEOUT) running = true;
  }
  for (const auto &job : jobs)
    if (job) static_cast<void>(job->wait(UINT64_MAX));
}

// ---- Evaluating

Result<EvalResult> Session::eval(const EvalRequest &request) {
  DS_TRY(model_->runtime()->check_open());
  if (request.ids.empty()) return fail(DS_E_ARGUMENT, "session", "eval was given no tokens");
  DS_TRY(check_ids("token", request.ids, model_->vocab()));
  if (!take()) return fail(DS_E_BUSY, "session", "the session runs another call");
  struct GiveBack {
    Session *session;
    ~GiveBack() { session->give_back(); }
  } guard{this};

  auto work = std::make_unique<Work>();
  work->prompt.ids = tokens();
  const size_t before = work->prompt.ids.size();
  work->context = settings().context_length ? settings().context_length : model_->context_length();
  if (request.ids.size() > work->context - std::min<size_t>(before, work->context))
    return fail(DS_E_CONTEXT_FULL, "session", "%zu tokens after %zu, and the context holds %u", request.ids.size(),
                before, work->context);
  const uint64_t vocab = model_->vocab();
  const uint64_t rows = request.want == Want::kAll ? request.ids.size() : request.want == Want::kLast ? 1 : 0;
  float *logits = request.logits;
  if (logits && request.capacity < rows * vocab)
    return fail(DS_E_BUFFER, "session", "%llu rows of %llu logits do not fit into %llu floats",
                static_cast<unsigned long long>(rows), static_cast<unsigned long long>(vocab),
                static_cast<unsigned long long>(request.capacity))
        .bytes(rows * vocab * 4, request.capacity * 4);
  if (!logits && rows) {
    if (logits_.size() < rows * vocab * 4) {
      DS_TRY_VALUE(logits_, Buffer::make(model_->runtime()->allocator(), rows * vocab * 4, MemoryTag::kResult));
    }
    logits = reinterpret_cast<float *>(logits_.data());
  }
  work->prompt.ids.insert(work->prompt.ids.end(), request.ids.begin(), request.ids.end());
  std::vector<uint32_t> all = work->prompt.ids;
  work->eval = true;
  work->want = request.want;
  work->n_given = static_cast<uint32_t>(request.ids.size());
  work->chunk = request.chunk;
  work->logits = logits;
  work->options.no_store = request.no_store;
  work->options.no_reuse = request.no_reuse;
  work->options.cancel = request.cancel;
  work->options.adapter = request.adapter;
  work->eval_out = std::make_shared<EvalOut>();
  work->session = shared_from_this();
  DS_TRY(set_identity(*model_, request.salt, request.adapter, &work->identity));
  work->submitted_ns = now_ns();
  DS_TRY_VALUE(const std::shared_ptr<Job> job, JobFeed::make(model_->runtime(), &work->options, false));
  work->job = job;
  JobFeed::set_engine(*job, model_->engine());
  const std::shared_ptr<EvalOut> out = work->eval_out;
  DS_TRY(model_->engine()->submit(std::move(work)));
  DS_TRY(job->wait(UINT64_MAX));
  std::unique_ptr<ResultData> unused;
  DS_TRY(job->take_result(&unused));
  const std::lock_guard lock(mutex_);
  tokens_ = std::move(all);
  return EvalResult{rows ? logits : nullptr, rows, vocab, out->n_computed};
}

Status Session::rewind(uint64_t length) {
  DS_TRY(model_->runtime()->check_open());
  if (!take()) return fail(DS_E_BUSY, "session", "the session runs another call");
  Status status;
  {
    const std::lock_guard lock(mutex_);
    if (length > tokens_.size())
      status = fail(DS_E_ARGUMENT, "session", "rewind to %llu tokens, and the sequence has %zu",
                    static_cast<unsigned long long>(length), tokens_.size());
    else
      tokens_.resize(length);
  }
  give_back();
  return status;
}

// ---- Settings and facts

Status Session::set(const SessionSettings &settings) {
  DS_TRY(check_settings(settings, model_->context_length()));
  {
    const std::lock_guard lock(mutex_);
    if (settings.context_length != settings_.context_length)
      return fail(DS_E_ARGUMENT, "session", "context_length is fixed when a session is created");
    settings_ = settings;
  }
  if (model_->engine()) model_->engine()->wake();
  return {};
}

SessionSettings Session::settings() const {
  const std::lock_guard lock(mutex_);
  return settings_;
}

std::vector<uint32_t> Session::tokens() const {
  const std::lock_guard lock(mutex_);
  return tokens_;
}

uint64_t Session::length() const {
  const std::lock_guard lock(mutex_);
  return tokens_.size();
}

Facts Session::facts() const {
  const std::lock_guard lock(mutex_);
  Facts facts;
  facts.add("length", uint64_t{tokens_.size()});
  facts.add("context_length", uint64_t{settings_.context_length ? settings_.context_length : model_->context_length()});
  facts.add("tokens_computed", n_computed_);
  facts.add("tokens_cached", n_cached_);
  return facts;
}

}  // namespace deepseam::session
