#include "harness.h"

#include <chrono>
#include <cmath>
#include <cstring>

#include "base/allocator.h"
#include "libraries.h"

namespace conformance {
namespace {

void DS_CALL log_nothing(void *, uint32_t, const char *) {}
void *DS_CALL allocate(void *, uint64_t size, uint64_t alignment, uint32_t tag) {
  return deepseam::default_allocator().allocate(nullptr, size, alignment, tag);
}
void DS_CALL release(void *, void *memory, uint64_t size, uint32_t tag) {
  deepseam::default_allocator().release(nullptr, memory, size, tag);
}
void DS_CALL parallel(void *user, uint32_t n, dsb_task task, void *arg) {
  static_cast<deepseam::TaskRunner *>(user)->run(n, task, arg);
}
uint64_t DS_CALL clock_ns(void *) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}
void *DS_CALL library_open(void *, const char *name) { return open_library(name); }
void *DS_CALL symbol_of(void *, void *library, const char *symbol) { return library_symbol(library, symbol); }
void DS_CALL library_close(void *, void *library) { close_library(library); }

void require_ok(ds_status code, const Error &error) { REQUIRE_MESSAGE(code == DS_OK, error.message); }

}  // namespace

Machine &Machine::get() {
  static Machine machine;
  return machine;
}

Machine::Machine() {
  tell_skipped();
  auto runner = deepseam::make_thread_pool(2, false);
  REQUIRE(runner.ok());
  runner_ = std::move(runner).value();
  host_ = {sizeof host_,
           DSB_ABI_VERSION,
           DSB_HOST_CONCURRENT,
           runner_->width(),
           runner_.get(),
           log_nothing,
           allocate,
           release,
           parallel,
           clock_ns,
           library_open,
           symbol_of,
           library_close,
           ""};
  library_ = open_library(backend_path());
  REQUIRE_MESSAGE(library_, backend_path());
  const auto entry = reinterpret_cast<dsb_main>(library_symbol(library_, "ds_backend_main"));
  REQUIRE((entry != nullptr));
  Error error;
  uint32_t version = 0;
  require_ok(entry()->negotiate(DSB_ABI_VERSION, DSB_ABI_VERSION, &version, &error), error);
  api_.struct_size = sizeof api_;
  require_ok(entry()->get_api(version, &api_, &error), error);
  require_ok(api_.instance_create(&host_, &instance_, &error), error);
  dsb_device_options options{};
  options.struct_size = sizeof options;
  require_ok(api_.device_open(instance_, 0, &options, &device_, &error), error);
}

Machine::~Machine() {
  if (device_) api_.device_close(device_);
  if (instance_) api_.instance_destroy(instance_);
  if (library_) close_library(library_);
}

dsb_plan_options default_options() {
  dsb_plan_options options{};
  options.struct_size = sizeof options;
  options.flags = DSB_PLAN_DETERMINISTIC;
  options.max_rows = 64;
  options.max_seqs = 8;
  options.max_blocks_per_seq = 16;
  options.max_logit_rows = 64;
  options.kv_format = DSB_KV_F32;
  options.block_tokens = 8;
  return options;
}

Source::Source(const Tensor &tensor, bool lasting) {
  for (size_t i = 0; i < tensor.parts.size(); ++i) {
    dsb_weight_part part{};
    part.data = tensor.parts[i].data();
    part.bytes = tensor.parts[i].size();
    if (!tensor.scales.empty()) {
      part.scales = tensor.scales[i].data();
      part.n_scales = tensor.scales[i].size();
    }
    parts.push_back(part);
  }
  raw.struct_size = sizeof raw;
  raw.flags = lasting ? DSB_SOURCE_LASTING : 0;
  raw.dtype = static_cast<uint32_t>(tensor.dtype);
  raw.n_dims = static_cast<uint32_t>(tensor.dims.size());
  for (size_t i = 0; i < tensor.dims.size(); ++i) raw.dims[i] = tensor.dims[i];
  raw.n_parts = static_cast<uint32_t>(parts.size());
  raw.part_stride = sizeof(dsb_weight_part);
  raw.parts = parts.data();
  raw.scale_block_rows = tensor.block_rows;
  raw.scale_block_cols = tensor.block_cols;
}

Program::Program(const graph::Graph &of, const Weights &given, const dsb_plan_options &options, bool lasting,
                 dsb_group *group)
    : graph(of) {
  const std::string bytes = graph::serialize(of);
  Error error;
  require_ok(api().plan_graph(Machine::get().instance(), 0, device(), group, bytes.data(), bytes.size(), &options,
                              &layout, &error),
             error);
  dsb_layout_summary summary{};
  summary.struct_size = sizeof summary;
  require_ok(api().layout_summary(layout, &summary, &error), error);
  for (uint32_t i = 0; i < summary.n_weights; ++i) {
    dsb_packed_weight packed{};
    packed.struct_size = sizeof packed;
    require_ok(api().layout_weight(layout, i, &packed, &error), error);
    std::vector<Source> sources;
    std::vector<Tensor> copies;  // freed after loading, so that a backend that keeps a pointer is found out
    sources.reserve(packed.n_slices);
    copies.reserve(packed.n_slices);
    std::vector<dsb_weight_source> raw;
    for (uint32_t j = 0; j < packed.n_slices; ++j) {
      dsb_weight_slice slice;
      std::memcpy(&slice, reinterpret_cast<const uint8_t *>(packed.slices) + j * packed.slice_stride, sizeof slice);
      const std::string &role = graph.tensors[slice.tensor].name;
      const auto found = given.find(role);
      REQUIRE_MESSAGE(found != given.end(), role);
      if (!lasting) copies.push_back(found->second);
      sources.emplace_back(lasting ? found->second : copies.back(), lasting);
      raw.push_back(sources.back().raw);
    }
    dsb_ticket *ticket = nullptr;
    dsb_weight *weight = nullptr;
    require_ok(api().weight_load(layout, device(), i, raw.data(), packed.n_slices, sizeof(dsb_weight_source), nullptr,
                                 nullptr, nullptr, &ticket, &weight, &error),
               error);
    uint32_t state = DSB_TICKET_DONE;
    if (ticket) require_ok(api().ticket_wait(ticket, UINT64_MAX, &state, &error), error);
    if (ticket) api().ticket_release(ticket);
    REQUIRE(state == DSB_TICKET_DONE);
    weights.push_back(weight);
  }
  require_ok(api().compile(layout, device(), weights.data(), summary.n_weights, &program, &error), error);
  require_ok(api().exec_create(program, options.max_rows, &exec, &error), error);
}

Program::~Program() {
  api().exec_destroy(exec);
  api().program_destroy(program);
  for (dsb_weight *weight : weights) api().weight_release(weight);
  api().layout_destroy(layout);
}

uint32_t Program::tensor(const std::string &role) const {
  for (uint32_t i = 0; i < graph.tensors.size(); ++i)
    if (graph.tensors[i].name == role && graph.tensors[i].kind == graph::TensorKind::kWeight) return i;
  FAIL("no weight " << role);
  return 0;
}

uint32_t Step::add_seq(uint32_t slot, uint32_t kv_len, std::vector<uint32_t> table) {
  dsb_seq seq{};
  seq.seq_slot = slot;
  seq.flags = DSB_SEQ_NEW_TABLE;
  seq.kv_len = kv_len;
  seqs.push_back(seq);
  blocks.push_back(std::move(table));
  return static_cast<uint32_t>(seqs.size()) - 1;
}

dsb_row &Step::add_row(uint32_t seq, uint32_t position, uint32_t token, uint32_t want) {
  dsb_row row{};
  row.seq = seq;
  row.position = row.kv_row = position;
  row.token_id = token;
  row.hidden_row = DSB_NONE;
  row.mask_offset = DSB_NONE;
  row.want = want;
  rows.push_back(row);
  return rows.back();
}

dsb_step Step::raw() {
  for (size_t i = 0; i < seqs.size(); ++i) {
    seqs[i].n_blocks = static_cast<uint32_t>(blocks[i].size());
    seqs[i].blocks = blocks[i].data();
  }
  dsb_step step{};
  step.struct_size = sizeof step;
  step.entry = entry;
  step.n_rows = static_cast<uint32_t>(rows.size());
  step.n_seqs = static_cast<uint32_t>(seqs.size());
  step.rows = rows.data();
  step.seqs = seqs.data();
  step.row_stride = sizeof(dsb_row);
  step.seq_stride = sizeof(dsb_seq);
  step.pool = pool;
  step.hidden_in = n_hidden_in ? hidden_in.data() : nullptr;
  step.n_hidden_in = n_hidden_in;
  step.repeat = repeat;
  step.ancestors = ancestors.data();
  step.n_ancestor_words = ancestors.size();
  step.cancel_word = cancel_word;
  step.outputs = &outputs;
  return step;
}

ds_status run(dsb_exec *exec, Step &step, Error *error, uint32_t *state) {
  Error own;
  const dsb_step raw = step.raw();
  dsb_ticket *ticket = nullptr;
  ds_status code = api().exec_submit(exec, &raw, &ticket, error ? error : &own);
  if (code != DS_OK) return code;
  uint32_t now = DSB_TICKET_RUNNING;
  do {
    code = api().ticket_wait(ticket, UINT64_MAX, &now, error ? error : &own);
    if (code == DS_OK && now == DSB_TICKET_YIELDED) code = api().exec_resume(exec, ticket, error ? error : &own);
  } while (code == DS_OK && (now == DSB_TICKET_YIELDED || now == DSB_TICKET_RUNNING));
  api().ticket_release(ticket);
  if (state) *state = now;
  return code;
}

void run_ok(dsb_exec *exec, Step &step) {
  Error error;
  uint32_t state = 0;
  require_ok(run(exec, step, &error, &state), error);
  REQUIRE(state == DSB_TICKET_DONE);
}

std::vector<float> run_rows(const Program &program, const std::vector<float> &hidden, uint32_t n_rows,
                            uint32_t out_cols) {
  Step step;
  step.hidden_in = hidden;
  step.n_hidden_in = n_rows;
  step.add_seq(0, 0, {});
  for (uint32_t i = 0; i < n_rows; ++i) step.add_row(0, i, 0, DSB_WANT_HIDDEN).hidden_row = i;
  std::vector<float> out(size_t{n_rows} * out_cols, -777.0f);
  step.outputs.hidden = out.data();
  run_ok(program.exec, step);
  return out;
}

void check_close(const std::vector<float> &found, const std::vector<double> &exact, double relative) {
  REQUIRE(found.size() == exact.size());
  double largest = 0, worst = 0;
  size_t where = 0;
  for (double value : exact) largest = std::max(largest, std::fabs(value));
  for (size_t i = 0; i < found.size(); ++i) {
    const double error = std::fabs(found[i] - exact[i]);
    if (error <= worst) continue;  // NaN is not, and then stays
    worst = error;
    where = i;
  }
  CHECK_MESSAGE(worst <= relative * largest, "at " << where << ": found " << found[where] << ", exact " << exact[where]
                                                   << ", error relative to the largest " << worst / largest);
}

void check_same(const std::vector<float> &a, const std::vector<float> &b) {
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::memcmp(&a[i], &b[i], sizeof(float)) == 0) continue;
    FAIL_CHECK("number " << i << " differs: " << a[i] << " and " << b[i]);
    return;
  }
}

PoolHolder::PoolHolder(const dsb_plan_options &options, uint32_t rank, uint32_t rope, uint32_t n_layers,
                       uint32_t n_blocks) {
  const dsb_pool_desc desc = {sizeof desc, options.kv_format, rank, rope, 0, n_layers, options.block_tokens, n_blocks};
  Error error;
  require_ok(api().pool_create(device(), &desc, &pool, &error), error);
}
PoolHolder::~PoolHolder() { api().pool_destroy(pool); }

SamplerHolder::SamplerHolder(const dsb_sampler_desc &desc) {
  Error error;
  require_ok(api().sampler_create(device(), &desc, &sampler, &error), error);
}
SamplerHolder::~SamplerHolder() { api().sampler_destroy(sampler); }

dsb_sampler_desc sampler_desc(float temperature, uint64_t seed) {
  dsb_sampler_desc desc{};
  desc.struct_size = sizeof desc;
  desc.temperature = temperature;
  desc.seed = seed;
  return desc;
}

}  // namespace conformance
