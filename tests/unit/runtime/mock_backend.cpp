#include "unit/runtime/mock_backend.h"

#include <numeric>

namespace deepseam::runtime::test {
namespace {

// The opaque types of backend.h are ours by another name.
template <typename To, typename From>
To *as(From *object) {
  return reinterpret_cast<To *>(object);
}
template <typename T>
T **out(void *pointer) {
  return static_cast<T **>(pointer);
}

ds_status say(ds_error *error, ds_status code, const char *message) {
  if (error) std::strncpy(error->message, message, sizeof error->message - 1);
  return code;
}

ds_status negotiate(uint32_t, uint32_t most, uint32_t *chosen, ds_error *) {
  *chosen = most;
  return DS_OK;
}

template <size_t kSlot>
ds_status instance_create(const dsb_host *, dsb_instance **instance, ds_error *) {
  ++Mock::slots()[kSlot]->live;
  *instance = as<dsb_instance>(Mock::slots()[kSlot]);
  return DS_OK;
}

template <size_t kSlot>
ds_status get_api(uint32_t version, dsb_api *api, ds_error *) {
  api->abi_version = version;
  Mock::slots()[kSlot]->fill(*api);
  api->instance_create = instance_create<kSlot>;
  if (Mock::slots()[kSlot]->on_api) Mock::slots()[kSlot]->on_api(*api);
  return DS_OK;
}

constexpr decltype(dsb_root::get_api) kGetApi[] = {get_api<0>, get_api<1>, get_api<2>, get_api<3>};

void fill_device(dsb_api &api) {
  api.instance_destroy = [](dsb_instance *instance) { --as<Mock>(instance)->live; };
  api.quiesce = [](dsb_instance *instance, uint64_t, ds_error *) {
    return as<Mock>(instance)->on_quiesce ? as<Mock>(instance)->on_quiesce() : DS_OK;
  };
  api.device_count = [](dsb_instance *, uint32_t *count, ds_error *) -> ds_status { return *count = 1, DS_OK; };
  api.device_info = [](dsb_instance *instance, uint32_t, dsb_device_info *info, ds_error *) -> ds_status {
    info->kind = DSB_DEVICE_CPU;
    info->score = as<Mock>(instance)->score;
    std::strcpy(info->name, "mock device");
    return DS_OK;
  };
  api.device_open = [](dsb_instance *instance, uint32_t, const dsb_device_options *, dsb_device **device, ds_error *) {
    return as<Mock>(instance)->give(out<MockDevice>(device), new MockDevice{as<Mock>(instance)});
  };
  api.device_close = [](dsb_device *device) { as<MockDevice>(device)->mock->take(as<MockDevice>(device)); };
}

void fill_layout(dsb_api &api) {
  api.plan_graph = [](dsb_instance *instance, uint32_t, dsb_device *, dsb_group *, const void *graph, uint64_t size,
                      const dsb_plan_options *options, dsb_layout **layout, ds_error *error) -> ds_status {
    Result<graph::Graph> parsed = graph::parse({static_cast<const uint8_t *>(graph), static_cast<size_t>(size)});
    if (!parsed.ok()) return say(error, DS_E_FORMAT, "the graph does not parse");
    auto *made = new MockLayout{as<Mock>(instance), std::move(parsed).value(), {}, *options};
    for (uint32_t i = 0; i < made->graph.tensors.size(); ++i)
      if (made->graph.tensors[i].kind == graph::TensorKind::kWeight) made->slices.push_back({i, DSB_NONE, 0, 0});
    return as<Mock>(instance)->give(out<MockLayout>(layout), made);
  };
  api.layout_destroy = [](dsb_layout *layout) { as<MockLayout>(layout)->mock->take(as<MockLayout>(layout)); };
  api.layout_summary = [](dsb_layout *layout, dsb_layout_summary *summary, ds_error *) -> ds_status {
    const MockLayout &mine = *as<MockLayout>(layout);
    summary->n_weights = static_cast<uint32_t>(mine.slices.size());
    summary->n_nodes = static_cast<uint32_t>(mine.graph.nodes.size());
    summary->weight_bytes = 64 * mine.slices.size();
    summary->scratch_bytes = 4096;
    summary->numerics_id = 42;
    if (mine.mock->on_summary) mine.mock->on_summary(*summary);
    return DS_OK;
  };
  api.layout_weight = [](dsb_layout *layout, uint32_t index, dsb_packed_weight *weight, ds_error *) -> ds_status {
    const MockLayout &mine = *as<MockLayout>(layout);
    weight->n_slices = 1;
    weight->slice_stride = sizeof(dsb_weight_slice);
    weight->slices = &mine.slices[index];
    weight->bytes = 64;
    weight->alignment = 16;
    weight->layout_id = 7;
    if (mine.mock->on_weight) mine.mock->on_weight(index, *weight);
    return DS_OK;
  };
  api.layout_node = [](dsb_layout *layout, uint32_t index, dsb_node_verdict *verdict, ds_error *) -> ds_status {
    verdict->node = index;
    verdict->supported = 1;
    std::strcpy(verdict->reason, "mocked");
    if (as<MockLayout>(layout)->mock->on_node) as<MockLayout>(layout)->mock->on_node(*verdict);
    return DS_OK;
  };
}

void fill_weights(dsb_api &api) {
  api.weight_load = [](dsb_layout *layout, dsb_device *, uint32_t index, const dsb_weight_source *sources, uint32_t n,
                       uint32_t, const uint32_t *cancel_word, dsb_progress progress, void *user, dsb_ticket **ticket,
                       dsb_weight **weight, ds_error *error) -> ds_status {
    Mock &mock = *as<MockLayout>(layout)->mock;
    if (mock.on_load)
      if (const ds_status code = mock.on_load(index, sources, n, progress, user); code != DS_OK)
        return say(error, code, "told to fail");
    auto *made = new MockWeight{&mock, {}};
    const auto copy = [=](ds_error *) -> ds_status {
      for (uint32_t i = 0; i < n; ++i)
        for (uint32_t part = 0; part < sources[i].n_parts; ++part) {
          const auto *bytes = static_cast<const uint8_t *>(sources[i].parts[part].data);
          made->bytes.insert(made->bytes.end(), bytes, bytes + sources[i].parts[part].bytes);
        }
      return DS_OK;
    };
    if (mock.load_with_ticket)
      mock.give(out<MockTicket>(ticket), new MockTicket{&mock, copy, nullptr, cancel_word});
    else
      copy(error);
    return mock.give(out<MockWeight>(weight), made);
  };
  api.weight_map = [](dsb_layout *layout, dsb_device *, uint32_t, const void *data, uint64_t size, dsb_weight **weight,
                      ds_error *) {
    const auto *bytes = static_cast<const uint8_t *>(data);
    Mock &mock = *as<MockLayout>(layout)->mock;
    return mock.give(out<MockWeight>(weight), new MockWeight{&mock, {bytes, bytes + size}});
  };
  api.weight_export = [](dsb_weight *weight, void *data, uint64_t *size, ds_error *) -> ds_status {
    const std::vector<uint8_t> &bytes = as<MockWeight>(weight)->bytes;
    if (data) std::memcpy(data, bytes.data(), std::min<uint64_t>(*size, bytes.size()));
    *size = bytes.size();
    return DS_OK;
  };
  api.weight_release = [](dsb_weight *weight) { as<MockWeight>(weight)->mock->take(as<MockWeight>(weight)); };
  api.compile = [](dsb_layout *layout, dsb_device *, dsb_weight *const *weights, uint32_t n, dsb_program **program,
                   ds_error *) {
    auto *made = new MockProgram{as<MockLayout>(layout)};
    for (uint32_t i = 0; i < n; ++i) {
      const std::vector<uint8_t> &bytes = as<MockWeight>(weights[i])->bytes;
      made->bias = std::accumulate(bytes.begin(), bytes.end(), made->bias);
    }
    return as<MockLayout>(layout)->mock->give(out<MockProgram>(program), made);
  };
  api.program_destroy = [](dsb_program *program) {
    as<MockProgram>(program)->layout->mock->take(as<MockProgram>(program));
  };
}

uint64_t row_bytes_of(const dsb_pool_desc &desc) { return 4 * (desc.kv_lora_rank + desc.qk_rope_head_dim); }

uint8_t *row_of(MockPool &pool, uint32_t block, uint32_t layer, uint32_t row) {
  const uint64_t rows = (uint64_t{block} * pool.desc.n_layers + layer) * pool.desc.block_tokens + row;
  return pool.bytes.data() + rows * row_bytes_of(pool.desc);
}

void fill_pool(dsb_api &api) {
  api.pool_create = [](dsb_device *device, const dsb_pool_desc *desc, dsb_pool **pool, ds_error *) {
    Mock &mock = *as<MockDevice>(device)->mock;
    auto *made = new MockPool{&mock, *desc, {}};
    made->bytes.resize(row_bytes_of(*desc) * desc->n_layers * desc->block_tokens * desc->n_blocks);
    return mock.give(out<MockPool>(pool), made);
  };
  api.pool_destroy = [](dsb_pool *pool) { as<MockPool>(pool)->mock->take(as<MockPool>(pool)); };
  api.pool_resize = [](dsb_pool *pool, uint32_t n_blocks, ds_error *) -> ds_status {
    MockPool &mine = *as<MockPool>(pool);
    mine.desc.n_blocks = n_blocks;
    mine.bytes.resize(row_bytes_of(mine.desc) * mine.desc.n_layers * mine.desc.block_tokens * n_blocks);
    return DS_OK;
  };
  api.kv_copy_rows = [](dsb_pool *pool, const dsb_row_copy *copies, uint32_t n, dsb_ticket **ticket, ds_error *) {
    MockPool *mine = as<MockPool>(pool);
    const auto work = [=](ds_error *) -> ds_status {
      for (uint32_t i = 0; i < n; ++i)
        for (uint32_t layer = 0; layer < mine->desc.n_layers; ++layer)
          std::memmove(row_of(*mine, copies[i].to_block, layer, copies[i].to_row),
                       row_of(*mine, copies[i].from_block, layer, copies[i].from_row),
                       row_bytes_of(mine->desc) * copies[i].n_rows);
      return DS_OK;
    };
    return mine->mock->give(out<MockTicket>(ticket), new MockTicket{mine->mock, work});
  };
  api.block_read = [](dsb_pool *pool, uint32_t block, uint32_t first, uint32_t, void *data, uint64_t size,
                      dsb_ticket **, ds_error *) -> ds_status {
    return std::memcpy(data, row_of(*as<MockPool>(pool), block, first, 0), size), DS_OK;
  };
  api.block_write = [](dsb_pool *pool, uint32_t block, uint32_t first, uint32_t, const void *data, uint64_t size,
                       dsb_ticket **, ds_error *) -> ds_status {
    return std::memcpy(row_of(*as<MockPool>(pool), block, first, 0), data, size), DS_OK;
  };
}

void fill_sampler(dsb_api &api) {
  api.sampler_create = [](dsb_device *device, const dsb_sampler_desc *desc, dsb_sampler **sampler, ds_error *) {
    Mock &mock = *as<MockDevice>(device)->mock;
    return mock.give(out<MockSampler>(sampler), new MockSampler{&mock, *desc, {}});
  };
  api.sampler_destroy = [](dsb_sampler *sampler) { as<MockSampler>(sampler)->mock->take(as<MockSampler>(sampler)); };
  api.sampler_reset = [](dsb_sampler *sampler, const dsb_sampler_desc *desc, ds_error *) -> ds_status {
    as<MockSampler>(sampler)->desc = *desc;
    as<MockSampler>(sampler)->seen.clear();
    return DS_OK;
  };
  api.sampler_fork = [](dsb_sampler *from, uint64_t stream, dsb_sampler **sampler, ds_error *) {
    auto *made = new MockSampler(*as<MockSampler>(from));
    made->desc.stream = stream;
    return made->mock->give(out<MockSampler>(sampler), made);
  };
  api.sampler_update = [](dsb_sampler *sampler, const uint32_t *ids, uint64_t n, ds_error *) -> ds_status {
    as<MockSampler>(sampler)->seen.insert(as<MockSampler>(sampler)->seen.end(), ids, ids + n);
    return DS_OK;
  };
}

int64_t hidden_size_of(const graph::Graph &graph) {
  for (const graph::Tensor &tensor : graph.tensors)
    if (tensor.kind == graph::TensorKind::kActivation && tensor.shape.size() == 2) return tensor.shape[1];
  return 1;
}

ds_status run_step(const MockProgram &program, const dsb_step &step) {
  const size_t hidden = static_cast<size_t>(hidden_size_of(program.layout->graph));
  size_t n_hidden = 0, n_logits = 0;
  for (uint32_t i = 0; i < step.n_rows; ++i) {
    const dsb_row &row =
        *reinterpret_cast<const dsb_row *>(reinterpret_cast<const char *>(step.rows) + size_t{i} * step.row_stride);
    const float value =
        (row.hidden_row == DSB_NONE ? static_cast<float>(row.token_id) : step.hidden_in[row.hidden_row * hidden]) +
        static_cast<float>(program.bias);
    if (row.want & DSB_WANT_HIDDEN) std::fill_n(step.outputs->hidden + hidden * n_hidden++, hidden, value);
    if (row.want & DSB_WANT_LOGITS) step.outputs->logits[n_logits++] = value;
  }
  return DS_OK;
}

void fill_exec(dsb_api &api) {
  api.exec_create = [](dsb_program *program, uint32_t, dsb_exec **exec, ds_error *) {
    return as<MockProgram>(program)->layout->mock->give(out<MockExec>(exec), new MockExec{as<MockProgram>(program)});
  };
  api.exec_destroy = [](dsb_exec *exec) { as<MockExec>(exec)->program->layout->mock->take(as<MockExec>(exec)); };
  api.exec_submit = [](dsb_exec *exec, const dsb_step *step, dsb_ticket **ticket, ds_error *error) -> ds_status {
    MockExec *mine = as<MockExec>(exec);
    Mock &mock = *mine->program->layout->mock;
    mock.calls.push_back("submit " + mock.name);
    if (step->n_rows == 0 || !step->outputs) return say(error, DS_E_ARGUMENT, "an empty step");
    if (mine->busy) return say(error, DS_E_BUSY, "one step at a time");
    mine->busy = true;
    const auto work = [=](ds_error *) { return run_step(*mine->program, *step); };
    return mock.give(out<MockTicket>(ticket),
                     new MockTicket{&mock, work, mine, step->cancel_word, DSB_TICKET_RUNNING, mock.yields});
  };
  api.exec_resume = [](dsb_exec *, dsb_ticket *ticket, ds_error *error) -> ds_status {
    MockTicket &mine = *as<MockTicket>(ticket);
    if (mine.state != DSB_TICKET_YIELDED) return say(error, DS_E_ARGUMENT, "nothing to resume");
    mine.state = DSB_TICKET_RUNNING;
    return DS_OK;
  };
  api.ticket_wait = [](dsb_ticket *ticket, uint64_t timeout, uint32_t *state, ds_error *error) -> ds_status {
    MockTicket &mine = *as<MockTicket>(ticket);
    if (timeout == 0) return DS_E_TIMEOUT;
    ds_status code = DS_OK;
    if (mine.state == DSB_TICKET_RUNNING) {
      mine.state = mine.cancel_word && *mine.cancel_word ? DSB_TICKET_CANCELLED
                   : mine.yields > 0                     ? (--mine.yields, DSB_TICKET_YIELDED)
                                                         : DSB_TICKET_DONE;
      if (mine.state == DSB_TICKET_DONE && mine.work) code = mine.work(error);
    }
    *state = mine.state;
    if (mine.mock->on_state) mine.mock->on_state(*state);
    return code;
  };
  api.ticket_poll = [](dsb_ticket *ticket, uint32_t *state, ds_error *) -> ds_status {
    *state = as<MockTicket>(ticket)->state;
    if (as<MockTicket>(ticket)->mock->on_state) as<MockTicket>(ticket)->mock->on_state(*state);
    return DS_OK;
  };
  api.ticket_release = [](dsb_ticket *ticket) {
    MockTicket *mine = as<MockTicket>(ticket);
    if (mine->exec) mine->exec->busy = false;
    mine->mock->take(mine);
  };
}

}  // namespace

std::array<Mock *, 4> &Mock::slots() {
  static std::array<Mock *, 4> slots{};
  return slots;
}

Mock::Mock(std::string given_name, uint32_t given_score) : name(std::move(given_name)), score(given_score) {
  while (slots()[slot_]) ++slot_;
  slots()[slot_] = this;
  root_ = {sizeof root_, 0, negotiate, kGetApi[slot_]};
}

void Mock::fill(dsb_api &api) const {
  api.struct_size = sizeof api;
  api.name = name.c_str();
  api.version = "1.0";
  api.features = 0;
  fill_device(api);
  fill_layout(api);
  fill_weights(api);
  fill_pool(api);
  fill_sampler(api);
  fill_exec(api);
}

}  // namespace deepseam::runtime::test
