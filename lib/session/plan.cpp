// See plan.h. Candidates are tried from the best score down; the first that can run every node is taken, and only then
// is asked whether it fits.
#include "session/plan.h"

#include <algorithm>

#include "base/shared_library.h"
#include "model/deepseek.h"
#include "runtime/layout.h"
#include "runtime/pool.h"
#include "runtime/registry.h"
#include "session/adapter_slots.h"
#include "session/machine.h"
#include "session/packed_weights.h"
#include "session/runtime_state.h"
#include "session/vocabulary.h"

namespace deepseam::session {
namespace {

constexpr uint32_t kDefaultSequences = 8, kMostLogitRows = 64;
constexpr uint32_t kMostContext = 1u << 24;

struct Candidate {
  std::shared_ptr<runtime::Backend> backend;
  runtime::DeviceInfo device;
  uint32_t index = 0;  // over all backends
};

Status read_files(const OpenOptions &options, PlannedModel *model) {
  DS_TRY_VALUE(model->files, open_source(options.source, options.map));
  DS_TRY_VALUE(model->config, model::make_config(model->files.config, model->files.path));
  DS_TRY_VALUE(model->weights, model::bind_weights(model->config, model->files.tensors, model->files.path));
  return {};
}

// The tokenizer says which rows of lm_head are tokens; without one all are.
Status read_vocabulary(PlannedModel *model) {
  DS_TRY_VALUE(model->tokenizer, load_tokenizer(model->files));
  if (model->tokenizer && model->tokenizer->vocab_size() < model->n_vocab)
    model->n_vocab = model->tokenizer->vocab_size();
  return {};
}

Result<std::vector<Candidate>> candidates(RuntimeState &runtime, const OpenOptions &options) {
  DS_TRY_VALUE(runtime::Registry * registry, runtime.registry());
  std::vector<Candidate> list;
  uint32_t index = 0;
  for (const auto &backend : registry->backends())
    for (const runtime::DeviceInfo &device : backend->devices()) {
      const uint32_t here = index++;
      if (!options.backend.empty() && options.backend != "auto" && options.backend != backend->name()) continue;
      if (!options.devices.empty() && options.devices[0] != here) continue;
      list.push_back({backend, device, here});
    }
  if (!options.devices.empty() && options.devices[0] >= index)
    return fail(DS_E_NO_DEVICE, "session", "device %u: there are %u", options.devices[0], index);
  if (list.empty()) {
    Status why = registry->choose(options.backend).status();
    if (!why.ok()) return why;
    return fail(DS_E_NO_DEVICE, "session", "device %u is not one of backend \"%s\"", options.devices[0],
                options.backend.c_str());
  }
  std::stable_sort(list.begin(), list.end(),
                   [](const Candidate &a, const Candidate &b) { return a.device.score > b.device.score; });
  return list;
}

// Rows of a step without a wish: fewer than 512 leave the kernels short of work. Where a row costs little, more of them
// still make a short step, and what is done once a step (expanding the cached latents) is done less often.
uint32_t default_rows(int64_t hidden_size) {
  constexpr int64_t kRows = 512, kHidden = 2048, kMost = 2048;
  return static_cast<uint32_t>(std::clamp(kRows * kHidden / std::max<int64_t>(hidden_size, 1), kRows, kMost));
}

runtime::PlanOptions plan_options(const OpenOptions &options, const Candidate &candidate, uint32_t context,
                                  int64_t hidden_size) {
  runtime::PlanOptions plan;
  plan.deterministic = options.deterministic;
  plan.max_rows = options.max_rows ? options.max_rows : default_rows(hidden_size);
  plan.max_seqs = options.max_sequences ? options.max_sequences : kDefaultSequences;
  plan.max_blocks_per_seq = (context + options.block_tokens - 1) / options.block_tokens;
  plan.max_logit_rows = std::max(plan.max_seqs, std::min(plan.max_rows, kMostLogitRows));
  plan.block_tokens = options.block_tokens;
  if (candidate.backend->features() & DSB_FEATURE_ADAPTERS)
    plan.max_adapters = kMostAdapters, plan.max_lora_rank = kMostLoraRank;
  plan.kv_format = options.kv_format;
  if (!plan.kv_format) plan.kv_format = candidate.device.kind == DSB_DEVICE_GPU ? DSB_KV_BF16 : DSB_KV_F32;
  return plan;
}

// Whether every number of the files can be used where it lies.
bool is_viewable(const ModelFiles &files) {
  return std::ranges::all_of(files.tensors.sources, [](const auto &source) { return !source->view().empty(); });
}

void count_weights(const runtime::Layout &layout, bool viewable, const model::WeightMap &weights,
                   const PackedPlaces &packed, ModelPlan *plan) {
  plan->weight_bytes = plan->mapped_bytes = plan->packed_bytes = 0;
  for (size_t i = 0; i < layout.weights().size(); ++i) {
    const runtime::PackedWeight &weight = layout.weights()[i];
    if (const PackedPlace &place = packed.places[i]; place.source) {
      (place.is_mapped() ? plan->mapped_bytes : plan->weight_bytes) += place.range.bytes;
      plan->packed_bytes += place.range.bytes;
      continue;
    }
    plan->weight_bytes += weight.bytes;
    if (!weight.mappable) continue;
    const bool mapped = viewable && packed.keys[i].empty();
    (mapped ? plan->mapped_bytes : plan->weight_bytes) += weight.source_bytes;
  }
  plan->stored_bytes = plan->remade_bytes = 0;
  for (const model::WeightBinding &binding : weights.bindings) {
    for (const TensorInfo *part : binding.parts) plan->stored_bytes += part->stored_bytes();
    if (binding.is_remade()) plan->remade_bytes += binding.compute_bytes();
  }
}

// Bytes of weights that one token's decoding reads: all but the embedding, and of the experts those that are chosen.
uint64_t token_bytes(const model::Config &config, const model::WeightMap &weights) {
  uint64_t sum = 0;
  const bool tied = !weights.find("lm_head");
  for (const model::WeightBinding &binding : weights.bindings) {
    uint64_t bytes = binding.compute_bytes();
    const std::string &role = binding.spec.role;
    if (role.starts_with("mtp.") || (role == "embed" && !tied)) continue;
    if (role.starts_with("layers." + std::to_string(config.num_hidden_layers))) continue;
    if (binding.spec.stacked && config.n_routed_experts > 0)
      bytes =
          bytes / static_cast<uint64_t>(config.n_routed_experts) * static_cast<uint64_t>(config.num_experts_per_tok);
    sum += bytes;
  }
  return sum;
}

uint64_t budget_of(const OpenOptions &options, const Candidate &candidate, bool *stated) {
  const bool gpu = candidate.device.kind == DSB_DEVICE_GPU;
  const uint64_t given = gpu ? options.vram_budget : options.ram_budget;
  *stated = given != 0;
  if (given) return given;
  if (!gpu) return available_ram();
  return candidate.device.memory_bytes ? candidate.device.memory_bytes / 100 * 95 : UINT64_MAX;
}

// How long the context may be and how many blocks the pool gets. Beyond one whole context there are blocks for forks,
// and as far as the budget goes for prefixes that the cache keeps. Those are no part of what opening takes: their
// memory is used when there are such prefixes, and a smaller budget does with fewer.
void size_pool(const OpenOptions &options, uint64_t block_bytes, uint64_t budget, uint32_t most, ModelPlan *plan) {
  const uint64_t fixed = plan->weight_bytes + plan->mapped_bytes + plan->scratch_bytes;
  const uint64_t left = budget > fixed ? budget - fixed : 0;
  const uint64_t affordable = block_bytes ? left / block_bytes : UINT32_MAX;
  const uint64_t spare = plan->options.max_seqs + 1;
  uint64_t blocks = (most + options.block_tokens - 1) / options.block_tokens;
  if (blocks + spare > affordable && !options.context_length) blocks = affordable > spare ? affordable - spare : 0;
  plan->context_length = static_cast<uint32_t>(std::min<uint64_t>(most, blocks * options.block_tokens));
  uint64_t extra = 0;
  if (!options.no_cache) {
    const uint64_t wish = options.cache ? options.cache->options().ram_bytes : kv::CacheOptions{}.ram_bytes;
    extra = std::min(block_bytes ? wish / block_bytes : 0, std::max<uint64_t>(4 * blocks, 64));
  }
  uint64_t total = blocks + spare + extra;
  if (total > affordable) total = std::max(blocks + spare, affordable);
  plan->n_blocks = static_cast<uint32_t>(std::min<uint64_t>(total, UINT32_MAX / 2));
  const uint64_t needed = std::min<uint64_t>(blocks + spare, plan->n_blocks);
  plan->kv_bytes = needed * block_bytes;
  plan->cache_bytes = (plan->n_blocks - needed) * block_bytes;
  plan->total_bytes = fixed + plan->kv_bytes;
}

void judge(const OpenOptions &options, uint64_t budget, bool stated, ModelPlan *plan) {
  char text[256];
  plan->fits = plan->total_bytes <= budget && plan->context_length > 0;
  const char *whose = stated ? "the budget" : "this machine";
  if (plan->fits && options.context_length == 0)
    std::snprintf(text, sizeof text, "context of %u tokens: what the model was made for, as far as %s holds it",
                  plan->context_length, whose);
  else if (plan->fits)
    std::snprintf(text, sizeof text, "context of %u tokens as asked for", plan->context_length);
  else
    std::snprintf(
        text, sizeof text,
        "%llu bytes of weights, %llu of KV rows for %u tokens and %llu of scratch are more than the %llu that "
        "%s has",
        static_cast<unsigned long long>(plan->weight_bytes + plan->mapped_bytes),
        static_cast<unsigned long long>(plan->kv_bytes), plan->context_length,
        static_cast<unsigned long long>(plan->scratch_bytes), static_cast<unsigned long long>(budget), whose);
  plan->reason = text;
}

void copy_options(const runtime::PlanOptions &from, dsb_plan_options *to) {
  to->struct_size = sizeof *to;
  to->flags = from.deterministic ? DSB_PLAN_DETERMINISTIC : 0;
  to->max_rows = from.max_rows;
  to->max_seqs = from.max_seqs;
  to->max_blocks_per_seq = from.max_blocks_per_seq;
  to->max_logit_rows = from.max_logit_rows;
  to->max_adapters = from.max_adapters;
  to->max_lora_rank = from.max_lora_rank;
  to->kv_format = from.kv_format;
  to->block_tokens = from.block_tokens;
}

// One candidate's plan. Fails if it cannot run the graph; a plan that does not fit is a value.
Status plan_on(const Candidate &candidate, const OpenOptions &options, uint32_t most, PlannedModel *model) {
  ModelPlan &plan = model->plan;
  bool stated = false;
  if (options.profile && !(candidate.backend->features() & DSB_FEATURE_OP_TIMES))
    return fail(DS_E_UNSUPPORTED, "session", "profile: backend %s does not measure its ops",
                candidate.backend->name().c_str());
  const uint64_t budget = budget_of(options, candidate, &stated);
  uint32_t context = most;
  for (int round = 0; round < 2; ++round) {  // a context cut to the budget is planned again with its own tables
    const runtime::PlanOptions wish = plan_options(options, candidate, context, model->config.hidden_size);
    DS_TRY_VALUE(const auto layout,
                 runtime::Layout::plan(candidate.backend, candidate.device.index, model->graph, wish));
    DS_TRY(layout->check_nodes());
    plan = ModelPlan{};
    plan.backend = candidate.backend->name();
    plan.device_name = candidate.device.name;
    plan.device = candidate.index;
    plan.device_is_cpu = candidate.device.kind != DSB_DEVICE_GPU;
    copy_options(wish, &plan.options);
    const PackedPlaces packed =
        find_packed(model->files, model->weights, *layout, candidate.device, model->fingerprint.value_or(Fingerprint{}),
                    options.pack_folder, options.map);
    count_weights(*layout, is_viewable(model->files), model->weights, packed, &plan);
    const uint64_t logits = uint64_t{wish.max_logit_rows} * static_cast<uint64_t>(model->config.vocab_size) * 4;
    plan.scratch_bytes = layout->summary().scratch_bytes + layout->summary().program_bytes + logits;
    plan.numerics_id = layout->summary().numerics_id;
    plan.kv_bytes_per_token = layout->summary().kv_bytes_per_block / options.block_tokens;
    for (const runtime::NodeVerdict &node : layout->nodes()) plan.verdicts.push_back(node.node + ": " + node.reason);
    size_pool(options, layout->summary().kv_bytes_per_block, budget, most, &plan);
    if (plan.context_length == context || plan.context_length == 0) break;
    context = plan.context_length;
  }
  judge(options, budget, stated, &plan);
  return {};
}

// The graph with its weights in every format that backends may know, or in those that each knows.
Status build_graph(bool basic, PlannedModel *model) {
  for (model::WeightBinding &binding : model->weights.bindings) binding.basic = basic;
  DS_TRY_VALUE(model->graph, model::build_forward(model->config, model->weights, {model->n_vocab}));
  return {};
}

// A backend that refuses the graph, as one does that is older than a format, gets another: the loader can make it.
Status plan_on_either(const Candidate &candidate, const OpenOptions &options, uint32_t most, PlannedModel *model) {
  Status status = plan_on(candidate, options, most, model);
  const bool has_other = std::ranges::any_of(model->weights.bindings, [](const model::WeightBinding &binding) {
    return !binding.fine_scales && basic_dtype(binding.dtype) != compute_dtype(binding.dtype);
  });
  if (status.ok() || !has_other) return status;
  DS_TRY(build_graph(true, model));
  if (plan_on(candidate, options, most, model).ok()) return {};
  DS_TRY(build_graph(false, model));
  return status;
}

Status plan_on_best(RuntimeState &runtime, const OpenOptions &options, PlannedModel *model) {
  const auto most = static_cast<uint32_t>(std::min<int64_t>(
      options.context_length ? options.context_length : model->config.max_position_embeddings, kMostContext));
  DS_TRY_VALUE(const auto list, candidates(runtime, options));
  Status first;
  for (const Candidate &candidate : list) {
    Status status = plan_on_either(candidate, options, most, model);
    if (status.ok()) return status;
    if (first.ok()) first = std::move(status);
  }
  model->plan = ModelPlan{};
  return first;
}

Status check_options(const OpenOptions &options, const model::Config &config) {
  if (options.devices.size() > 1)
    return fail(DS_E_UNSUPPORTED, "session", "%zu devices: a model runs on one device", options.devices.size());
  if (!options.weight_type.empty() && options.weight_type != "native")
    return fail(DS_E_UNSUPPORTED, "session",
                "weight_type \"%s\": weights are used as the file stores them; pack the model to another type",
                options.weight_type.c_str());
  if (!options.compute_type.empty() && options.compute_type != "native" && options.compute_type != "f32")
    return fail(DS_E_UNSUPPORTED, "session", "compute_type \"%s\", expected native or f32",
                options.compute_type.c_str());
  const uint64_t limit = std::min<uint64_t>(static_cast<uint64_t>(config.max_position_embeddings), kMostContext);
  if (options.context_length > limit)
    return fail(DS_E_ARGUMENT, "session", "context_length is %u, and the model was made for %llu tokens",
                options.context_length, static_cast<unsigned long long>(limit));
  if (options.max_rows > 65536 || options.max_sequences > 4096)
    return fail(DS_E_ARGUMENT, "session", "max_rows is %u and max_sequences %u, expected at most 65536 and 4096",
                options.max_rows, options.max_sequences);
  return {};
}

}  // namespace

Result<ModelFiles> open_source(const ModelSource &source, MapMode map) {
  if (source.file || source.folder) {
    auto files = source.file ? open_model_files(source.file, source.folder.get()) : open_model_files(source.folder);
    if (files.ok()) files->host_reads = true;
    return files;
  }
  if (source.path != "embedded") return open_model_files(source.path, map);
  const std::string path = own_folder() + "/deepseam/embedded.dsm";
  auto files = open_model_files(path, map);
  if (files.ok() || files.status().code() != DS_E_NOT_FOUND) return files;
  return fail(DS_E_NOT_FOUND, "session",
              "the embedded model is not installed: there is no %s; install it there, or link deepseam-embedded and "
              "open "
              "what ds_embedded_model gives",
              path.c_str())
      .at(path);
}

Result<PlannedModel> plan_model(RuntimeState &runtime, const OpenOptions &options, bool for_open) {
  DS_TRY(runtime.check_open());
  PlannedModel model;
  DS_TRY(read_files(options, &model));
  DS_TRY(check_options(options, model.config));
  if (is_cancelled(options.cancel.get())) return Status(DS_E_CANCELLED);
  model.n_vocab = static_cast<uint32_t>(model.config.vocab_size);
  if (for_open) DS_TRY(read_vocabulary(&model));
  if (model.files.dsm || !options.pack_folder.empty()) {
    DS_TRY_VALUE(model.fingerprint, model_fingerprint(model.files, options.cancel.get()));
  }
  DS_TRY(build_graph(false, &model));
  Status planned = plan_on_best(runtime, options, &model);
  if (!planned.ok() && !(for_open && options.no_weights && options.backend.empty())) return planned;
  model.plan.bytes_per_token = token_bytes(model.config, model.weights);
  if (!for_open && model.plan.device_is_cpu && model.plan.bytes_per_token) {
    DS_TRY_VALUE(TaskRunner * runner, runtime.task_runner());
    model.plan.tokens_per_second = read_bandwidth(*runner) / static_cast<double>(model.plan.bytes_per_token);
  }
  return model;
}

Facts ModelPlan::facts() const {
  Facts facts;
  facts.add("fits", uint64_t{fits});
  facts.add("reason", reason);
  facts.add("context_length", uint64_t{context_length});
  facts.add("bytes.weights", weight_bytes + mapped_bytes);
  facts.add("bytes.mapped", mapped_bytes);
  facts.add("bytes.anonymous", weight_bytes);
  facts.add("bytes.packed", packed_bytes);
  facts.add("bytes.stored", stored_bytes);
  facts.add("bytes.repacked", remade_bytes);
  facts.add("bytes.kv", kv_bytes);
  facts.add("bytes.cache", cache_bytes);
  facts.add("bytes.scratch", scratch_bytes);
  facts.add("bytes.total", total_bytes);
  facts.add("devices.0.name", device_name);
  facts.add("devices.0.bytes", total_bytes);
  facts.add("tokens_per_second", tokens_per_second);
  facts.add("bytes_per_token", bytes_per_token);
  facts.add("kv.bytes_per_token", kv_bytes_per_token);
  facts.add("backend", backend);
  for (size_t i = 0; i < verdicts.size(); ++i) facts.add("nodes." + std::to_string(i), verdicts[i]);
  return facts;
}

}  // namespace deepseam::session
