// See device_model.h.
#include "session/device_model.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "base/parallel_read.h"
#include "format/tensor_read.h"
#include "model/weight_rows.h"
#include "runtime/registry.h"
#include "session/runtime_state.h"

namespace deepseam::session {
namespace {

// Memory that weights are read into or made in. It stays from one weight to the next: pages taken from the system anew
// are zeroed before they are filled. Lives on the loading thread.
class Staging {
 public:
  explicit Staging(const Allocator &allocator) : allocator_(allocator) {}
  // At least `size` bytes: the smallest spare buffer that holds them, else a new one in place of all. Each is given
  // back or goes with this.
  Result<Buffer> take(uint64_t size) {
    spare_.reserve(spare_.size() + ++n_taken_);  // giving back happens in destructors, which cannot fail
    const auto fits = std::ranges::find_if(spare_, [&](const Buffer &each) { return each.size() >= size; });
    if (fits == spare_.end()) {
      spare_.clear();
      return Buffer::make(allocator_, size, MemoryTag::kStaging);
    }
    Buffer buffer = std::move(*fits);
    spare_.erase(fits);
    return buffer;
  }
  void give(Buffer buffer) noexcept {
    --n_taken_;
    const auto larger = std::ranges::find_if(spare_, [&](const Buffer &each) { return each.size() > buffer.size(); });
    spare_.insert(larger, std::move(buffer));
  }

 private:
  Allocator allocator_;
  std::vector<Buffer> spare_;  // small to large
  size_t n_taken_ = 0;         // at least as many as are out: a take that failed counts on
};

// What loading a weight's sources takes beside its files.
struct Loading {
  const ModelFiles &files;
  TaskRunner &runner;
  const CancelWord *cancel;
  std::shared_ptr<Staging> staging;
};

// What a weight's parts point into. Mapped pages that a backend has copied from, or that a closed model no longer
// reads, leave memory with it: otherwise a packed model would count twice.
struct Kept {
  struct Viewed {
    std::shared_ptr<Source> source;
    ByteRange range;
  };
  explicit Kept(std::shared_ptr<Staging> from) : staging(std::move(from)) {}
  Kept(const Kept &) = delete;
  Kept &operator=(const Kept &) = delete;
  ~Kept() {
    for (const Viewed &viewed : views) viewed.source->forget(viewed.range.offset, viewed.range.bytes);
    for (Buffer &buffer : buffers) staging->give(std::move(buffer));
  }
  // Memory for `size` bytes, as long as this lives.
  Result<std::span<uint8_t>> make(uint64_t size) {
    DS_TRY_VALUE(Buffer buffer, staging->take(size));
    buffers.push_back(std::move(buffer));
    return std::span<uint8_t>(buffers.back().data(), size);
  }
  std::shared_ptr<Staging> staging;
  std::vector<Viewed> views;
  std::vector<Buffer> buffers;
  std::vector<std::vector<float>> scales;
};

uint32_t element_alignment(DType dtype) {
  switch (dtype) {
    case DType::kF32:
    case DType::kI32:
      return 4;
    case DType::kF8E4M3:
      return 1;
    default:
      return 2;
  }
}

Status take_part(const Loading &loading, const TensorInfo &part, Kept *kept, runtime::WeightSource *source) {
  const TensorDirectory &tensors = loading.files.tensors;
  const std::shared_ptr<Source> &file = tensors.sources[part.range.source];
  runtime::WeightSource::Part out;
  out.data = view_range(tensors, part.range);
  const bool aligned = reinterpret_cast<uintptr_t>(out.data.data()) % element_alignment(part.dtype) == 0;
  if (out.data.size() != part.range.bytes || !aligned) {
    DS_TRY_VALUE(const std::span<uint8_t> bytes, kept->make(part.range.bytes));
    DS_TRY(parallel_read(*file, part.range.offset, bytes, loading.runner, loading.cancel));
    out.data = bytes;
    source->lasting = false;
  } else {
    kept->views.push_back({file, part.range});
  }
  if (part.has_scales) {
    DS_TRY_VALUE(std::vector<float> scales, read_scales(tensors, part));
    source->scale_block_rows = part.scales.block_rows;
    source->scale_block_cols = part.scales.block_cols;
    kept->scales.push_back(std::move(scales));
    out.scales = kept->scales.back();
  }
  source->parts.push_back(out);
  return {};
}

// Whether any part must be read, and none has scales beside it. Hosts are asked for few and large pieces: behind their
// functions may be an archive that unpacks, or a network.
bool is_for_backend(const ModelFiles &files, const model::WeightBinding &binding) {
  const TensorDirectory &tensors = files.tensors;
  const auto scaled = [](const TensorInfo *part) { return part->has_scales; };
  const auto unseen = [&](const TensorInfo *part) { return view_range(tensors, part->range).empty(); };
  return !files.host_reads && std::ranges::none_of(binding.parts, scaled) && std::ranges::any_of(binding.parts, unseen);
}

// The backend reads the parts in pieces that stay in a core's cache until they are packed.
void read_by_backend(const Loading &loading, const model::WeightBinding &binding, runtime::WeightSource *source) {
  source->lasting = false;
  source->parts.resize(binding.parts.size());
  source->read = [&tensors = loading.files.tensors, &binding](uint32_t part, uint64_t offset, std::span<uint8_t> into) {
    return read_range(tensors, binding.parts[part]->range, offset, into);
  };
}

// A weight that lies in the file in another form than backends take: made here, by all threads, one piece each.
struct Remake {
  const ModelFiles &files;
  const model::WeightBinding &binding;
  const CancelWord *cancel;
  uint8_t *out;
  uint64_t row_bytes, rows_per_piece;
  std::mutex lock;
  Status failure;

  static void run(void *user, uint32_t piece) {
    auto *self = static_cast<Remake *>(user);
    Status status = is_cancelled(self->cancel) ? Status(DS_E_CANCELLED) : self->make(piece);
    const std::lock_guard guard(self->lock);
    if (self->failure.ok()) self->failure = std::move(status);
  }
  Status make(uint64_t piece) const {
    const uint64_t first = piece * rows_per_piece, count = std::min(rows_per_piece, binding.rows() - first);
    DS_TRY_VALUE(model::WeightRows rows, model::WeightRows::open(files.tensors, binding));
    return rows.read_computed(first, count, out + first * row_bytes);
  }
};

Status remake(const Loading &loading, const model::WeightBinding &binding, Kept *kept, runtime::WeightSource *source) {
  constexpr uint64_t kPieceElements = 1u << 18;
  const uint64_t cols = binding.spec.shape.back();
  DS_TRY_VALUE(const std::span<uint8_t> made, kept->make(binding.compute_bytes()));
  // Whole heads or matrices where they are small, so that an absorbed one is not read twice.
  uint64_t per_piece = std::max<uint64_t>(1, kPieceElements / std::max<uint64_t>(cols, 1));
  // Packed integers are read in strips across their rows: wide ones, and of an expert all.
  if (binding.is_int4()) per_piece = binding.parts.size() > 1 ? binding.parts[0]->rows() : 8 * per_piece;
  if (binding.absorbed) per_piece = binding.rows() / std::max<uint64_t>(1, binding.parts[0]->rows() / cols);
  Remake work{
      loading.files, binding, loading.cancel, made.data(), row_bytes(binding.compute(), cols), per_piece, {}, {}};
  loading.runner.run(static_cast<uint32_t>((binding.rows() + per_piece - 1) / per_piece), Remake::run, &work);
  DS_TRY(std::move(work.failure));
  for (const TensorInfo *part : binding.parts) {  // read once and not again
    const auto &sources = loading.files.tensors.sources;
    sources[part->range.source]->forget(part->range.offset, part->range.bytes);
    if (!part->int4) continue;
    const ByteRange &scales = part->int4->scales;
    sources[scales.source]->forget(scales.offset, scales.bytes);
  }
  source->lasting = false;
  source->parts.push_back({made, {}});
  return {};
}

}  // namespace

runtime::SourceCallback weight_source(const ModelFiles &files, const model::WeightMap &weights, TaskRunner &runner,
                                      const CancelWord *cancel, Allocator allocator) {
  const Loading loading{files, runner, cancel, std::make_shared<Staging>(allocator)};
  return [loading, &weights](const graph::Tensor &tensor, bool pulled) -> Result<runtime::WeightSource> {
    const model::WeightBinding *binding = weights.find(tensor.name);
    if (!binding)
      return fail(DS_E_INTERNAL, "session", "the graph asks for weight %s, which nothing is bound to",
                  tensor.name.c_str());
    runtime::WeightSource source;
    source.lasting = true;
    auto kept = std::make_shared<Kept>(loading.staging);
    kept->scales.reserve(binding->parts.size());  // spans into it stay valid
    if (binding->is_remade())
      DS_TRY(remake(loading, *binding, kept.get(), &source));
    else if (pulled && is_for_backend(loading.files, *binding))
      read_by_backend(loading, *binding, &source);
    else
      for (const TensorInfo *part : binding->parts) DS_TRY(take_part(loading, *part, kept.get(), &source));
    source.keep = std::move(kept);
    return source;
  };
}

Result<std::shared_ptr<runtime::Device>> open_device(RuntimeState &runtime, const ModelPlan &plan) {
  DS_TRY_VALUE(runtime::Registry * registry, runtime.registry());
  uint32_t left = plan.device;
  for (const auto &backend : registry->backends()) {
    if (left < backend->devices().size())
      return runtime::Device::open(backend, backend->devices()[left].index, runtime::DeviceOptions{});
    left -= static_cast<uint32_t>(backend->devices().size());
  }
  return fail(DS_E_NO_DEVICE, "session", "device %u is gone", plan.device);
}

namespace {

runtime::PlanOptions layout_options(const dsb_plan_options &from) {
  runtime::PlanOptions to;
  to.deterministic = from.flags & DSB_PLAN_DETERMINISTIC;
  to.max_rows = from.max_rows;
  to.max_seqs = from.max_seqs;
  to.max_blocks_per_seq = from.max_blocks_per_seq;
  to.max_logit_rows = from.max_logit_rows;
  to.max_adapters = from.max_adapters;
  to.max_lora_rank = from.max_lora_rank;
  to.kv_format = from.kv_format;
  to.block_tokens = from.block_tokens;
  return to;
}

}  // namespace

Result<std::shared_ptr<runtime::Layout>> device_layout(const std::shared_ptr<runtime::Device> &device,
                                                       const PlannedModel &model) {
  return runtime::Layout::plan(device, model.graph, layout_options(model.plan.options));
}

namespace {

// Stops the load when the host's progress says so; tells progress on the loading thread only.
class LoadWatch {
 public:
  explicit LoadWatch(const OpenOptions &options) : options_(options) {}
  void tell(Stage stage, uint64_t done, uint64_t total) {
    if (is_cancelled(options_.cancel.get())) word_.set();
    if (!options_.progress || std::this_thread::get_id() != thread_) return;
    const uint64_t now = now_ns();
    if (stage == told_stage_ && done != total && now - told_ns_ < 20'000'000) return;
    told_ns_ = now;
    told_stage_ = stage;
    if (!options_.progress({stage, done, total})) stopped_ = true, word_.set();
  }
  CancelWord *word() { return &word_; }
  Status judge(Status status) const {
    return stopped_ && (status.ok() || status.code() == DS_E_CANCELLED) ? Status(DS_E_STOPPED) : status;
  }
  Status check() const {
    if (stopped_) return Status(DS_E_STOPPED);
    return is_cancelled(options_.cancel.get()) ? Status(DS_E_CANCELLED) : Status();
  }

 private:
  const OpenOptions &options_;
  const std::thread::id thread_ = std::this_thread::get_id();
  CancelWord word_;
  Stage told_stage_ = Stage::kRead;
  uint64_t told_ns_ = 0;
  bool stopped_ = false;
};

// Follows a host's cancel word into the one that the load reads, also while a long read is under way.
class LoadTick : public Watcher {
 public:
  LoadTick(std::shared_ptr<Service> service, const CancelWord *from, CancelWord *to)
      : service_(std::move(service)), from_(from), to_(to) {
    if (from_) service_->watch(this);
  }
  ~LoadTick() override {
    if (from_) service_->unwatch(this);
  }
  void tick(uint64_t) override {
    if (from_->is_set()) to_->set();
  }

 private:
  std::shared_ptr<Service> service_;
  const CancelWord *from_;
  CancelWord *to_;
};

runtime::PoolShape pool_shape(const PlannedModel &model) {
  runtime::PoolShape shape;
  shape.kv_format = model.plan.options.kv_format;
  shape.kv_lora_rank = static_cast<uint32_t>(model.config.kv_lora_rank);
  shape.qk_rope_head_dim = static_cast<uint32_t>(model.config.qk_rope_head_dim);
  shape.n_layers = static_cast<uint32_t>(model.config.num_hidden_layers);
  shape.block_tokens = model.plan.options.block_tokens;
  shape.n_blocks = model.plan.n_blocks;
  return shape;
}

// Every weight of the layout: from where it lies ready, else made from the model's tensors, and then kept for the next
// open if the host has a folder for that.
Status load_all(RuntimeState &runtime, const PlannedModel &model, const OpenOptions &options, LoadWatch &watch,
                DeviceModel *made, std::vector<std::shared_ptr<runtime::Weight>> *weights) {
  DS_TRY_VALUE(TaskRunner * runner, runtime.task_runner());
  const LoadTick tick(runtime.service(), options.cancel.get(), watch.word());
  const PackedHost host{runner, watch.word(), runtime.allocator(), runtime.log()};
  const runtime::Layout &layout = *made->layout;
  const PackedPlaces places = find_packed(model.files, model.weights, layout, made->device->info(),
                                          model.fingerprint.value_or(Fingerprint{}), options.pack_folder, options.map);
  PackedFolder folder(places, host);
  const auto source = weight_source(model.files, model.weights, *runner, watch.word(), runtime.allocator());
  uint64_t before = 0;
  for (uint32_t index = 0; index < layout.weights().size(); ++index) {
    DS_TRY(watch.check());
    auto packed = load_packed(places, index, made->layout, made->device, host);
    if (packed.status().code() == DS_E_CANCELLED) return std::move(packed).status();
    if (!packed.ok() && places.places[index].in_folder) folder.refuse(packed.status());
    std::shared_ptr<runtime::Weight> weight = packed.ok() ? *packed : nullptr;
    if (weight) {
      made->packed.bytes += places.places[index].range.bytes;
    } else {
      const auto tell = [&](uint64_t done, uint64_t) {
        watch.tell(Stage::kLoad, before + done, layout.source_bytes());
      };
      DS_TRY_VALUE(weight, runtime::load_weight(made->layout, made->device, index, source, watch.word(), tell));
    }
    DS_TRY(folder.add(index, *weight));
    before += layout.weights()[index].source_bytes;
    watch.tell(Stage::kLoad, before, layout.source_bytes());
    weights->push_back(std::move(weight));
  }
  DS_TRY(watch.check());
  folder.finish();
  made->packed.folder = folder.outcome();
  return {};
}

}  // namespace

Result<std::unique_ptr<DeviceModel>> load_device_model(RuntimeState &runtime, const PlannedModel &model,
                                                       const OpenOptions &options) {
  auto made = std::make_unique<DeviceModel>();
  LoadWatch watch(options);
  DS_TRY_VALUE(made->device, open_device(runtime, model.plan));
  DS_TRY_VALUE(made->layout, device_layout(made->device, model));
  DS_TRY(made->layout->check_nodes());
  watch.tell(Stage::kLoad, 0, made->layout->source_bytes());
  DS_TRY(watch.check());
  std::vector<std::shared_ptr<runtime::Weight>> weights;
  if (Status loaded = load_all(runtime, model, options, watch, made.get(), &weights); !loaded.ok())
    return watch.judge(std::move(loaded));
  DS_TRY(watch.check());
  watch.tell(Stage::kCompile, 0, 1);
  DS_TRY_VALUE(made->program, runtime::Program::compile(made->layout, made->device, std::move(weights)));
  made->adapters = std::make_shared<AdapterSlots>(made->program, model.plan.options.max_adapters);
  DS_TRY_VALUE(made->pool, runtime::Pool::create(made->device, pool_shape(model)));
  DS_TRY_VALUE(made->executor, runtime::Executor::create({made->program}, model.plan.options.max_rows, 1,
                                                         static_cast<uint32_t>(model.config.hidden_size)));
  DS_TRY_VALUE(made->cancel, runtime::StepCancel::create(made->device));
  made->allocator = runtime.allocator();
  made->vocab = static_cast<uint32_t>(model.config.vocab_size);
  made->max_rows = model.plan.options.max_rows;
  made->max_seqs = model.plan.options.max_seqs;
  made->max_logit_rows = model.plan.options.max_logit_rows;
  made->block_tokens = model.plan.options.block_tokens;
  made->n_blocks = model.plan.n_blocks;
  made->context_length = model.plan.context_length;
  watch.tell(Stage::kCompile, 1, 1);
  DS_TRY(watch.check());
  return made;
}

}  // namespace deepseam::session
