// See model.h.
#include "session/model.h"

#include <map>
#include <set>

#include "base/own_thread.h"
#include "session/adapter_slots.h"
#include "session/device_model.h"
#include "session/engine.h"
#include "session/job_feed.h"
#include "session/vocabulary.h"
#include "text/utf8_stream.h"

namespace deepseam::session {

Model::Model(std::shared_ptr<RuntimeState> runtime) : runtime_(std::move(runtime)) {}

Model::~Model() { close(UINT64_MAX); }

Result<std::shared_ptr<Model>> Model::open(const std::shared_ptr<RuntimeState> &runtime, const OpenOptions &options) {
  DS_TRY(runtime->check_open());
  std::shared_ptr<Model> model = retiring(std::unique_ptr<Model>(new Model(runtime)), runtime->service());
  DS_TRY(model->load(options));
  if (Status status = runtime->add_model(model); !status.ok()) {
    model->close(UINT64_MAX);
    return status;
  }
  return model;
}

Status Model::load(const OpenOptions &options) {
  const uint64_t start = now_ns();
  if (options.progress && !options.progress({Stage::kRead, 0, 1})) return Status(DS_E_STOPPED);
  DS_TRY_VALUE(PlannedModel planned, plan_model(*runtime_, options, true));
  take_facts(planned);
  if (options.no_weights) {
    has_fingerprint_ = planned.files.dsm != nullptr;  // of a folder it would be read from the weights
    if (has_fingerprint_) identity_.model_fingerprint = planned.files.dsm->fingerprint;
    load_ms_ = static_cast<double>(now_ns() - start) * 1e-6;
    return {};
  }
  if (!planned.plan.fits) {
    const bool stated = planned.plan.device_is_cpu ? options.ram_budget : options.vram_budget;
    return fail(stated ? DS_E_BUDGET : DS_E_MEMORY, "session", "%s", planned.plan.reason.c_str())
        .at(planned.files.path)
        .bytes(planned.plan.total_bytes, 0);
  }
  if (!planned.fingerprint) {
    DS_TRY_VALUE(planned.fingerprint, model_fingerprint(planned.files, options.cancel.get()));
  }
  identity_.model_fingerprint = *planned.fingerprint;
  DS_TRY_VALUE(auto device, load_device_model(*runtime_, planned, options));
  packed_ = device->packed;
  device->profile = profile_ = options.profile;
  identity_.kv_format = plan_.options.kv_format;
  identity_.numerics_id = device->layout->summary().numerics_id;
  kv::KvOptions kv;
  kv.block_tokens = plan_.options.block_tokens;
  kv.n_blocks = plan_.n_blocks;
  kv.bytes_per_block = plan_.kv_bytes_per_token * plan_.options.block_tokens;
  kv.keep = !options.no_cache;
  store_ = std::make_shared<kv::KvStore>(kv);
  cache_ = options.cache ? options.cache : std::make_shared<kv::Cache>(kv::CacheOptions{});
  cache_->attach(store_);
  source_alive_ = options.source_alive;
  adapters_ = device->adapters;
  DS_TRY_VALUE(engine_, Engine::start(runtime_->service(), std::move(device), store_));
  load_ms_ = static_cast<double>(now_ns() - start) * 1e-6;
  return {};
}

void Model::take_facts(const PlannedModel &planned) {
  config_ = planned.config;
  defaults_ = planned.files.generation;
  for (int64_t id : planned.files.config.eos_token_ids) defaults_.eos_token_ids.push_back(id);
  tokenizer_ = planned.tokenizer;
  n_vocab_ = planned.n_vocab;
  plan_ = planned.plan;
  family_name_ = config_.family == model::Family::kV3 ? "deepseek_v3" : "deepseek_v2";
  if (planned.files.dsm) {
    card_ = text::to_valid_utf8(planned.files.dsm->card);
    std::set<std::string> packed_for;
    for (const DsmHint &hint : planned.files.dsm->hints) packed_for.insert(hint.backend + " " + hint.isa);
    for (const std::string &each : packed_for) packed_for_ += (packed_for_.empty() ? "" : ", ") + each;
    packed_for_ = text::to_valid_utf8(packed_for_);
  }
  std::map<DType, uint64_t> counts;
  std::set<std::string> repacked_as;
  uint64_t most = 0;
  for (const model::WeightBinding &binding : planned.weights.bindings) {
    if (binding.is_remade()) repacked_as.insert(dtype_info(binding.compute()).name);
    uint64_t n = 1;
    for (uint64_t dim : binding.spec.shape) n *= dim;
    n_parameters_ += n;
    uint64_t &count = counts[binding.dtype];
    count += n;
    if (count <= most) continue;  // the type of most numbers
    most = count;
    weight_type_ = binding.is_int4() ? binding.parts[0]->stored_type : dtype_info(binding.dtype).name;
  }
  for (const std::string &each : repacked_as) repacked_as_ += (repacked_as_.empty() ? "" : ", ") + each;
}

bool Model::close(uint64_t deadline_ns) {
  if (!engine_) return true;
  engine_->ask_stop();
  return engine_->join(deadline_ns);
}

Result<const text::Tokenizer *> Model::need_tokenizer() const {
  if (tokenizer_) return tokenizer_.get();
  return fail(DS_E_UNSUPPORTED, "session", "the model's files hold no tokenizer; give token ids instead of text");
}

namespace {

std::string hex(std::span<const uint8_t> bytes) {
  std::string text;
  for (uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

}  // namespace

Facts Model::facts() const {
  Facts facts;
  facts.add("architecture", family_name_);
  facts.add("vocab", uint64_t{vocab()});
  facts.add("tokens.count", uint64_t{n_vocab_});
  facts.add("hidden", static_cast<uint64_t>(config_.hidden_size));
  facts.add("layers", static_cast<uint64_t>(config_.num_hidden_layers));
  facts.add("heads", static_cast<uint64_t>(config_.num_attention_heads));
  facts.add("experts", static_cast<uint64_t>(config_.n_routed_experts));
  facts.add("experts_per_token", static_cast<uint64_t>(config_.num_experts_per_tok));
  facts.add("parameters", n_parameters_);
  facts.add("context_limit", static_cast<uint64_t>(config_.max_position_embeddings));
  if (has_fingerprint_) facts.add("fingerprint", hex(identity_.model_fingerprint));
  facts.add("weights.type", weight_type_);
  facts.add("weights.stored_bytes", plan_.stored_bytes);
  facts.add("weights.repacked_bytes", plan_.remade_bytes);
  if (!repacked_as_.empty()) facts.add("weights.repacked_as", repacked_as_);
  if (!packed_for_.empty()) facts.add("weights.packed_for", packed_for_);
  facts.add("bytes_per_token", plan_.bytes_per_token);
  if (!plan_.backend.empty()) {
    facts.add("context_length", uint64_t{plan_.context_length});
    facts.add("numerics_id", plan_.numerics_id);
    facts.add("backend", plan_.backend);
    facts.add("device", plan_.device_name);
    facts.add("weights.bytes", plan_.weight_bytes + plan_.mapped_bytes);
    facts.add("weights.mapped_bytes", plan_.mapped_bytes);
    facts.add("weights.anonymous_bytes", plan_.weight_bytes);
    facts.add("weights.packed_bytes", engine_ ? packed_.bytes : plan_.packed_bytes);
    if (!packed_.folder.empty()) facts.add("weights.pack_cache", packed_.folder);
    facts.add("kv.bytes_per_token", plan_.kv_bytes_per_token);
    facts.add("bytes.total", plan_.total_bytes);
  }
  add_token_facts(tokenizer_.get(), &facts);
  facts.add("load_ms", load_ms_);
  if (adapters_) facts.add("adapters", uint64_t{adapters_->n_loaded()});
  if (engine_) {
    const EngineFacts engine = engine_->facts();
    facts.add("engine.steps", engine.steps);
    facts.add("engine.rows", engine.rows);
    facts.add("engine.decode_rows", engine.decode_rows);
    facts.add("engine.shared_steps", engine.shared_steps);
    facts.add("engine.cancelled_steps", engine.cancelled_steps);
    facts.add("engine.preemptions", engine.preemptions);
    facts.add("engine.step_ns", engine.step_ns);
    for (uint32_t i = 0; profile_ && i < DSB_OP_TIMES; ++i)
      if (const auto op = graph::op_info(static_cast<graph::Op>(i)); op.op != graph::Op::kNone)
        facts.add("profile." + std::string(op.name) + "_ns", engine.op_ns[i]);
  }
  if (!card_.empty()) facts.add("card", card_);
  return facts;
}

// ---- Opening in the background

namespace {

// The thread of one open. Hands itself to the service thread when done, which joins it.
struct OpenThread : Retirable {
  std::shared_ptr<RuntimeState> runtime;
  std::shared_ptr<Job> job;
  OpenOptions options;
  std::mutex gate;  // held until `thread` is set
  std::thread thread;
  ~OpenThread() override {
    if (thread.joinable()) thread.join();
  }

  void run() noexcept {
    { const std::lock_guard lock(gate); }
    try {
      JobFeed::running(*job);
      auto opened = Model::open(runtime, options);
      options = OpenOptions{};
      Status status = std::move(opened).status();
      JobFeed::finish_model(*job, status, status.ok() ? std::move(opened).value() : nullptr);
    } catch (...) {
      options = OpenOptions{};
      JobFeed::finish_model(*job, Status(DS_E_MEMORY), nullptr);
    }
    job.reset();
    const std::shared_ptr<Service> service = runtime->service();
    // After leave_thread a shutdown may join the service thread, which ends with what was handed over by then.
    const std::shared_ptr<RuntimeState> kept = runtime;
    service->retire(this);
    kept->leave_thread();
  }
};

// One word for two: the job's own and the host's.
struct BothWords : CancelWord, Watcher {
  std::shared_ptr<Service> service;
  std::weak_ptr<Job> job;
  std::shared_ptr<const CancelWord> host;
  ~BothWords() override {
    if (service) service->unwatch(this);
  }
  void tick(uint64_t) override {
    const auto alive = job.lock();
    if (!alive || alive->host_cancelled() || (host && host->is_set())) set();
  }
};

}  // namespace

Result<std::shared_ptr<Job>> Model::open_start(const std::shared_ptr<RuntimeState> &runtime, OpenOptions options,
                                               JobCallbacks callbacks, Delivery delivery) {
  GenerateOptions outer;
  outer.callbacks = std::move(callbacks);
  if (!outer.callbacks.on_progress) outer.callbacks.on_progress = options.progress;
  outer.delivery = delivery;
  outer.cancel = options.cancel;
  outer.keep_alive = options.keep_alive;
  DS_TRY_VALUE(std::shared_ptr<Job> job, JobFeed::make(runtime, &outer, true));
  auto words = std::make_shared<BothWords>();
  words->job = job;
  words->host = options.cancel;
  runtime->service()->watch(words.get());
  words->service = runtime->service();
  options.cancel = words;
  options.keep_alive.reset();
  options.progress = [job = job.get()](const Progress &progress) {  // the thread that calls it holds the job
    JobFeed::progress(*job, progress);
    return !JobFeed::stop_asked(*job);
  };
  auto opening = std::make_unique<OpenThread>();
  opening->runtime = runtime;
  opening->job = job;
  opening->options = std::move(options);
  DS_TRY(runtime->enter_thread());
  std::unique_lock gate(opening->gate);
  auto started = start_own_thread([self = opening.get()] { self->run(); });
  if (!started.ok()) {
    gate.unlock();
    runtime->leave_thread();
    return std::move(started).status();
  }
  opening->thread = std::move(started).value();
  static_cast<void>(opening.release());  // the thread hands it over
  return job;
}

}  // namespace deepseam::session
