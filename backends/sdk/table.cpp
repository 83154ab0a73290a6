// The slots of dsb_api: handles to objects, statuses to ds_error, and no exception past this point.
#include <cstring>
#include <new>

#if defined(_WIN32)
#include <windows.h>
#else
#include <unistd.h>
#endif

#include "sdk/exec.h"

namespace deepseam::sdk {
namespace {

template <class Body>
ds_status guard(ds_error *error, const Body &body) noexcept {
  try {
    return body().report(error);
  } catch (const std::bad_alloc &) {
    return fail(DS_E_MEMORY, "backend", "out of memory").report(error);
  } catch (...) {
    return fail(DS_E_INTERNAL, "backend", "an exception that nobody expected").report(error);
  }
}

Status need(const void *pointer, const char *what) {
  return pointer ? Status() : fail(DS_E_ARGUMENT, "backend", "%s is NULL", what);
}

Instance &self(dsb_instance *handle) { return *reinterpret_cast<Instance *>(handle); }
Device &self(dsb_device *handle) { return *reinterpret_cast<Device *>(handle); }
Layout &self(dsb_layout *handle) { return *reinterpret_cast<Layout *>(handle); }
Program &self(dsb_program *handle) { return *reinterpret_cast<Program *>(handle); }
Pool &self(dsb_pool *handle) { return *reinterpret_cast<Pool *>(handle); }
SamplerObject &self(dsb_sampler *handle) { return *reinterpret_cast<SamplerObject *>(handle); }
Exec &self(dsb_exec *handle) { return *reinterpret_cast<Exec *>(handle); }
Exec &self(dsb_ticket *handle) { return *reinterpret_cast<Exec *>(handle); }
LoadedWeight &self(dsb_weight *handle) { return *reinterpret_cast<LoadedWeight *>(handle); }

template <class Handle, class Object>
Status give(Handle **out, Result<Object *> made) {
  if (!made.ok()) return std::move(made).status();
  *out = reinterpret_cast<Handle *>(*made);
  return {};
}

// Fills a struct of the host's, at most as much of it as the host knows.
template <class T>
Status give_struct(T *out, const char *what, T filled) {
  DS_TRY_VALUE(const T known, take_struct(out, what, sizeof(uint32_t)));
  (void)known;
  const uint32_t size = out->struct_size < sizeof(T) ? out->struct_size : static_cast<uint32_t>(sizeof(T));
  filled.struct_size = size;
  std::memcpy(out, &filled, size);
  return {};
}

void set_text(char *to, size_t size, const char *text) {
  const size_t n = std::strlen(text) < size ? std::strlen(text) : size - 1;
  std::memcpy(to, text, n);
  to[n] = 0;
}

uint64_t physical_memory(bool free) {
#if defined(_WIN32)
  MEMORYSTATUSEX status{};
  status.dwLength = sizeof status;
  if (!GlobalMemoryStatusEx(&status)) return 0;
  return free ? status.ullAvailPhys : status.ullTotalPhys;
#else
  const long pages = sysconf(free ? _SC_AVPHYS_PAGES : _SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(size) : 0;
#endif
}

void done_already(dsb_ticket **ticket) {
  if (ticket) *ticket = nullptr;
}

// ---------------------------------------------------------------------------------------------- instance, device

void DS_CALL instance_destroy(dsb_instance *instance) { delete reinterpret_cast<Instance *>(instance); }

ds_status DS_CALL quiesce(dsb_instance *handle, uint64_t timeout_ns, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "instance"));
    Instance &instance = self(handle);
    __atomic_store_n(&instance.stop, 1, __ATOMIC_RELEASE);
    const dsb_host &host = instance.host;
    const uint64_t begin = host.clock_ns(host.user);
    while (instance.running.load()) {
      if (host.clock_ns(host.user) - begin >= timeout_ns)
        return fail(DS_E_TIMEOUT, "backend", "%u calls were still computing when the time was over",
                    instance.running.load());
    }
    return {};
  });
}

ds_status DS_CALL device_count(dsb_instance *instance, uint32_t *count, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(instance, "instance"));
    DS_TRY(need(count, "count"));
    *count = 1;
    return {};
  });
}

Status check_device(uint32_t index) {
  return index == 0 ? Status() : fail(DS_E_ARGUMENT, "backend", "device %u does not exist, there is 1", index);
}

ds_status DS_CALL device_info(dsb_instance *handle, uint32_t index, dsb_device_info *info, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "instance"));
    DS_TRY(check_device(index));
    const Instance &instance = self(handle);
    dsb_device_info filled{};
    filled.kind = DSB_DEVICE_CPU;
    filled.score = instance.backend.score;
    filled.memory_bytes = physical_memory(false);
    set_text(filled.name, sizeof filled.name, instance.backend.device_name);
    set_text(filled.arch, sizeof filled.arch, instance.arch);
    return give_struct(info, "device_info", filled);
  });
}

Result<dsb_device_options> take_device_options(const dsb_device_options *options) {
  DS_TRY_VALUE(const dsb_device_options taken, take_struct(options, "device_options"));
  if (taken.host_context || taken.host_stream)
    return fail(DS_E_UNSUPPORTED, "backend", "a CPU device takes no host_context and no host_stream");
  if (taken.priority > 2)
    return fail(DS_E_ARGUMENT, "backend", "device_options.priority is %u, expected 0 to 2", taken.priority);
  return taken;
}

ds_status DS_CALL device_open(dsb_instance *handle, uint32_t index, const dsb_device_options *options,
                              dsb_device **device, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "instance"));
    DS_TRY(need(device, "device"));
    DS_TRY(check_device(index));
    DS_TRY_VALUE(const dsb_device_options taken, take_device_options(options));
    *device = reinterpret_cast<dsb_device *>(new Device(self(handle), taken));
    return {};
  });
}

void DS_CALL device_close(dsb_device *device) { delete reinterpret_cast<Device *>(device); }

ds_status DS_CALL device_set(dsb_device *handle, const dsb_device_options *options, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "device"));
    DS_TRY_VALUE(self(handle).options, take_device_options(options));
    return {};
  });
}

ds_status DS_CALL device_memory(dsb_device *handle, uint64_t *free_bytes, uint64_t *total_bytes, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "device"));
    const Device &device = self(handle);
    uint64_t free = physical_memory(true), total = physical_memory(false);
    if (const uint64_t budget = device.options.budget_bytes; budget && budget < total) {
      const uint64_t used = device.used.load();
      free = std::min(free, budget > used ? budget - used : 0);
      total = budget;
    }
    if (free_bytes) *free_bytes = free;
    if (total_bytes) *total_bytes = total;
    return {};
  });
}

ds_status DS_CALL device_state(dsb_device *handle, uint32_t *state, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "device"));
    DS_TRY(need(state, "state"));
    *state = DSB_DEVICE_OK;
    return {};
  });
}

ds_status DS_CALL device_reopen(dsb_device *handle, ds_error *error) {
  return guard(error, [&] { return need(handle, "device"); });
}

ds_status DS_CALL host_buffer_create(dsb_device *handle, uint64_t size, void **memory, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "device"));
    DS_TRY(need(memory, "memory"));
    DS_TRY_VALUE(*memory, self(handle).allocate(size, 64, DSB_TAG_OTHER));
    return {};
  });
}

void DS_CALL host_buffer_destroy(dsb_device *handle, void *memory, uint64_t size) {
  if (handle) self(handle).release(memory, size, DSB_TAG_OTHER);
}

ds_status DS_CALL host_buffer_register(dsb_device *handle, void *memory, uint64_t, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "device"));
    return need(memory, "memory");
  });
}

ds_status DS_CALL host_buffer_unregister(dsb_device *handle, void *memory, ds_error *error) {
  return host_buffer_register(handle, memory, 0, error);
}

ds_status DS_CALL cancel_word_create(dsb_device *handle, uint32_t **word, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "device"));
    DS_TRY(need(word, "word"));
    DS_TRY_VALUE(void *memory, self(handle).allocate(sizeof(uint32_t), 64, DSB_TAG_OTHER));
    *word = new (memory) uint32_t{0};
    return {};
  });
}

void DS_CALL cancel_word_destroy(dsb_device *handle, uint32_t *word) {
  host_buffer_destroy(handle, word, sizeof(uint32_t));
}

ds_status DS_CALL group_open(const dsb_group_desc *desc, dsb_group **group, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(group, "group"));
    DS_TRY_VALUE(const dsb_group_desc taken, take_struct(desc, "group_desc"));
    if (taken.world < 1 || taken.world > 4096 || taken.rank >= taken.world)
      return fail(DS_E_ARGUMENT, "backend", "group: rank %u of world %u, expected rank below world, world 1 to 4096",
                  taken.rank, taken.world);
    if (taken.n_devices > 1)
      return fail(DS_E_UNSUPPORTED, "backend", "group: %u devices in one process, a CPU rank has 1", taken.n_devices);
    if (taken.world > 1 && !taken.exchange) return fail(DS_E_ARGUMENT, "backend", "group: exchange is NULL");
    *group = reinterpret_cast<dsb_group *>(new Group{taken});
    return {};
  });
}

void DS_CALL group_close(dsb_group *group) { delete reinterpret_cast<Group *>(group); }

// ------------------------------------------------------------------------------------------------ layout, weights

ds_status DS_CALL plan_graph(dsb_instance *handle, uint32_t device_index, dsb_device *device, dsb_group *group,
                             const void *graph, uint64_t graph_size, const dsb_plan_options *options,
                             dsb_layout **layout, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "instance"));
    DS_TRY(need(graph, "graph"));
    DS_TRY(need(layout, "layout"));
    if (!device) DS_TRY(check_device(device_index));
    DS_TRY_VALUE(const dsb_plan_options taken, take_struct(options, "plan_options"));
    return give(layout, Layout::plan(self(handle), reinterpret_cast<const Group *>(group),
                                     {static_cast<const uint8_t *>(graph), static_cast<size_t>(graph_size)}, taken));
  });
}

void DS_CALL layout_destroy(dsb_layout *layout) { delete reinterpret_cast<Layout *>(layout); }

ds_status DS_CALL layout_summary(dsb_layout *handle, dsb_layout_summary *summary, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "layout"));
    const Layout &layout = self(handle);
    dsb_layout_summary filled{};
    filled.n_weights = static_cast<uint32_t>(layout.weights.size());
    filled.n_nodes = static_cast<uint32_t>(layout.nodes.size());
    filled.n_kv_layers = layout.kv.n_layers;
    filled.weight_bytes = layout.packed_bytes();
    DS_TRY_VALUE(filled.scratch_bytes, layout.exec_bytes(layout.options.max_rows));
    filled.program_bytes = layout.program_bytes();
    const KvShape shape = {layout.options.kv_format, layout.kv.rank,     layout.kv.rope,
                           layout.kv.first_layer,    layout.kv.n_layers, layout.options.block_tokens};
    filled.kv_bytes_per_block = layout.kv.rank ? shape.block_bytes() : 0;
    filled.numerics_id = layout.numerics_id;
    return give_struct(summary, "layout_summary", filled);
  });
}

ds_status DS_CALL layout_weight(dsb_layout *handle, uint32_t index, dsb_packed_weight *weight, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "layout"));
    const Layout &layout = self(handle);
    if (index >= layout.weights.size())
      return fail(DS_E_ARGUMENT, "backend", "weight %u does not exist, the layout has %zu", index,
                  layout.weights.size());
    const PlannedWeight &planned = layout.weights[index];
    dsb_packed_weight filled{};
    filled.flags = planned.use.form == kAsStored ? DSB_WEIGHT_MAPPABLE : 0;
    filled.n_slices = static_cast<uint32_t>(planned.use.slices.size());
    filled.slice_stride = sizeof(dsb_weight_slice);
    filled.slices = planned.use.slices.data();
    filled.bytes = planned.use.form == kAsStored ? 0 : planned.use.bytes;
    filled.alignment = planned.use.alignment;
    filled.layout_id = planned.layout_id;
    return give_struct(weight, "packed_weight", filled);
  });
}

ds_status DS_CALL layout_node(dsb_layout *handle, uint32_t index, dsb_node_verdict *verdict, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "layout"));
    const Layout &layout = self(handle);
    if (index >= layout.nodes.size())
      return fail(DS_E_ARGUMENT, "backend", "node %u does not exist, the layout has %zu", index, layout.nodes.size());
    const PlannedNode &node = layout.nodes[index];
    dsb_node_verdict filled{};
    filled.supported = node.kernel || node.plan.node.outputs.empty();
    filled.node = index;
    set_text(filled.reason, sizeof filled.reason, node.verdict.c_str());
    return give_struct(verdict, "node_verdict", filled);
  });
}

ds_status DS_CALL layout_scratch(dsb_layout *handle, uint32_t n_rows, uint64_t *bytes, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "layout"));
    DS_TRY(need(bytes, "bytes"));
    const Layout &layout = self(handle);
    if (n_rows < 1 || n_rows > layout.options.max_rows)
      return fail(DS_E_ARGUMENT, "backend", "n_rows is %u, expected 1 to the plan's %u", n_rows,
                  layout.options.max_rows);
    DS_TRY_VALUE(*bytes, layout.exec_bytes(n_rows));
    return {};
  });
}

ds_status DS_CALL weight_load(dsb_layout *layout, dsb_device *device, uint32_t index, const dsb_weight_source *sources,
                              uint32_t n_sources, uint32_t source_stride, const uint32_t *cancel_word,
                              dsb_progress progress, void *progress_user, dsb_ticket **ticket, dsb_weight **weight,
                              ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(layout, "layout"));
    DS_TRY(need(device, "device"));
    DS_TRY(need(weight, "weight"));
    const LoadRequest request{sources, n_sources, source_stride, cancel_word, progress, progress_user};
    DS_TRY(give(weight, load_weight(self(layout), self(device), index, request)));
    done_already(ticket);
    return {};
  });
}

ds_status DS_CALL weight_map(dsb_layout *layout, dsb_device *device, uint32_t index, const void *data, uint64_t size,
                             dsb_weight **weight, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(layout, "layout"));
    DS_TRY(need(device, "device"));
    DS_TRY(need(weight, "weight"));
    return give(weight, map_weight(self(layout), index, static_cast<const uint8_t *>(data), size));
  });
}

ds_status DS_CALL weight_export(dsb_weight *handle, void *data, uint64_t *size, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(handle, "weight"));
    DS_TRY(need(size, "size"));
    const uint64_t given = *size;
    *size = export_size(self(handle));
    if (!data) return {};
    if (given < *size)
      return fail(DS_E_BUFFER, "backend", "weight_export: a buffer of %llu bytes, needed %llu",
                  static_cast<unsigned long long>(given), static_cast<unsigned long long>(*size));
    export_weight(self(handle), static_cast<uint8_t *>(data));
    return {};
  });
}

void DS_CALL weight_release(dsb_weight *weight) { delete reinterpret_cast<LoadedWeight *>(weight); }

// ------------------------------------------------------------------------------------------------------- programs

ds_status DS_CALL compile(dsb_layout *layout, dsb_device *device, dsb_weight *const *weights, uint32_t n_weights,
                          dsb_program **program, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(layout, "layout"));
    DS_TRY(need(device, "device"));
    DS_TRY(need(program, "program"));
    return give(program, Program::compile(self(layout), self(device), weights, n_weights));
  });
}

void DS_CALL program_destroy(dsb_program *program) { delete reinterpret_cast<Program *>(program); }

ds_status DS_CALL adapter_load(dsb_program *program, uint32_t slot, const dsb_adapter_desc *desc, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(program, "program"));
    DS_TRY_VALUE(const dsb_adapter_desc taken, take_struct(desc, "adapter_desc"));
    return self(program).load_adapter(slot, taken);
  });
}

ds_status DS_CALL adapter_unload(dsb_program *program, uint32_t slot, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(program, "program"));
    return self(program).unload_adapter(slot);
  });
}

// ----------------------------------------------------------------------------------------------- pools, samplers

ds_status DS_CALL pool_create(dsb_device *device, const dsb_pool_desc *desc, dsb_pool **pool, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(device, "device"));
    DS_TRY(need(pool, "pool"));
    DS_TRY_VALUE(const dsb_pool_desc taken, take_struct(desc, "pool_desc"));
    return give(pool, Pool::make(self(device), taken));
  });
}

void DS_CALL pool_destroy(dsb_pool *pool) { delete reinterpret_cast<Pool *>(pool); }

ds_status DS_CALL pool_resize(dsb_pool *pool, uint32_t n_blocks, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(pool, "pool"));
    return self(pool).resize(n_blocks);
  });
}

ds_status DS_CALL kv_copy_rows(dsb_pool *pool, const dsb_row_copy *copies, uint32_t n_copies, dsb_ticket **ticket,
                               ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(pool, "pool"));
    if (n_copies) DS_TRY(need(copies, "copies"));
    DS_TRY(self(pool).copy_rows(copies, n_copies));
    done_already(ticket);
    return {};
  });
}

ds_status DS_CALL block_read(dsb_pool *pool, uint32_t block, uint32_t first_layer, uint32_t n_layers, void *data,
                             uint64_t size, dsb_ticket **ticket, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(pool, "pool"));
    DS_TRY(self(pool).read(block, first_layer, n_layers, data, size));
    done_already(ticket);
    return {};
  });
}

ds_status DS_CALL block_write(dsb_pool *pool, uint32_t block, uint32_t first_layer, uint32_t n_layers, const void *data,
                              uint64_t size, dsb_ticket **ticket, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(pool, "pool"));
    DS_TRY(self(pool).write(block, first_layer, n_layers, data, size));
    done_already(ticket);
    return {};
  });
}

ds_status DS_CALL sampler_create(dsb_device *device, const dsb_sampler_desc *desc, dsb_sampler **sampler,
                                 ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(device, "device"));
    DS_TRY(need(sampler, "sampler"));
    DS_TRY_VALUE(const dsb_sampler_desc taken, take_struct(desc, "sampler_desc"));
    DS_TRY_VALUE(Sampler made, Sampler::make(taken));
    *sampler = reinterpret_cast<dsb_sampler *>(new SamplerObject{self(device), std::move(made)});
    return {};
  });
}

void DS_CALL sampler_destroy(dsb_sampler *sampler) { delete reinterpret_cast<SamplerObject *>(sampler); }

ds_status DS_CALL sampler_reset(dsb_sampler *sampler, const dsb_sampler_desc *desc, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(sampler, "sampler"));
    DS_TRY_VALUE(const dsb_sampler_desc taken, take_struct(desc, "sampler_desc"));
    DS_TRY_VALUE(self(sampler).sampler, Sampler::make(taken));
    return {};
  });
}

ds_status DS_CALL sampler_fork(dsb_sampler *from, uint64_t stream, dsb_sampler **sampler, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(from, "from"));
    DS_TRY(need(sampler, "sampler"));
    *sampler = reinterpret_cast<dsb_sampler *>(new SamplerObject{self(from).device, self(from).sampler.fork(stream)});
    return {};
  });
}

ds_status DS_CALL sampler_update(dsb_sampler *sampler, const uint32_t *ids, uint64_t n_ids, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(sampler, "sampler"));
    if (n_ids) DS_TRY(need(ids, "ids"));
    for (uint64_t i = 0; i < n_ids; ++i) self(sampler).sampler.see(ids[i]);
    return {};
  });
}

// ----------------------------------------------------------------------------------------------------- execution

ds_status DS_CALL exec_create(dsb_program *program, uint32_t max_rows, dsb_exec **exec, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(program, "program"));
    DS_TRY(need(exec, "exec"));
    return give(exec, Exec::make(self(program), max_rows));
  });
}

void DS_CALL exec_destroy(dsb_exec *exec) { delete reinterpret_cast<Exec *>(exec); }

ds_status DS_CALL exec_submit(dsb_exec *exec, const dsb_step *step, dsb_ticket **ticket, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(exec, "exec"));
    DS_TRY(need(ticket, "ticket"));
    DS_TRY(self(exec).submit(step));
    *ticket = reinterpret_cast<dsb_ticket *>(exec);
    return {};
  });
}

ds_status DS_CALL exec_resume(dsb_exec *exec, dsb_ticket *ticket, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(exec, "exec"));
    if (reinterpret_cast<dsb_exec *>(ticket) != exec || !self(exec).busy())
      return fail(DS_E_ARGUMENT, "backend", "exec_resume: the ticket is not one of this exec");
    return self(exec).resume();
  });
}

ds_status DS_CALL ticket_poll(dsb_ticket *ticket, uint32_t *state, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(ticket, "ticket"));
    DS_TRY(need(state, "state"));
    return self(ticket).poll(state);
  });
}

ds_status DS_CALL ticket_wait(dsb_ticket *ticket, uint64_t timeout_ns, uint32_t *state, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(ticket, "ticket"));
    DS_TRY(need(state, "state"));
    return self(ticket).wait(timeout_ns, state);
  });
}

void DS_CALL ticket_release(dsb_ticket *ticket) {
  if (ticket) self(ticket).release();
}

// ------------------------------------------------------------------------------------------------------- the table

constexpr uint64_t kFeatures =
    DSB_FEATURE_REPEAT | DSB_FEATURE_TREE | DSB_FEATURE_ADAPTERS | DSB_FEATURE_ROUTE_TRACE | DSB_FEATURE_GROUPS;

void fill_slots(dsb_api *api) {
#define DS_SLOT(name) api->name = name
  DS_SLOT(instance_destroy), DS_SLOT(quiesce), DS_SLOT(device_count), DS_SLOT(device_info), DS_SLOT(device_open);
  DS_SLOT(device_close), DS_SLOT(device_set), DS_SLOT(device_memory), DS_SLOT(device_state), DS_SLOT(device_reopen);
  DS_SLOT(cancel_word_create), DS_SLOT(cancel_word_destroy), DS_SLOT(host_buffer_create), DS_SLOT(host_buffer_destroy);
  DS_SLOT(host_buffer_register), DS_SLOT(host_buffer_unregister), DS_SLOT(group_open), DS_SLOT(group_close);
  DS_SLOT(plan_graph), DS_SLOT(layout_destroy), DS_SLOT(layout_summary), DS_SLOT(layout_weight), DS_SLOT(layout_node);
  DS_SLOT(layout_scratch), DS_SLOT(weight_load), DS_SLOT(weight_map), DS_SLOT(weight_export), DS_SLOT(weight_release);
  DS_SLOT(compile), DS_SLOT(program_destroy), DS_SLOT(adapter_load), DS_SLOT(adapter_unload), DS_SLOT(pool_create);
  DS_SLOT(pool_destroy), DS_SLOT(pool_resize), DS_SLOT(kv_copy_rows), DS_SLOT(block_read), DS_SLOT(block_write);
  DS_SLOT(sampler_create), DS_SLOT(sampler_destroy), DS_SLOT(sampler_reset), DS_SLOT(sampler_fork),
      DS_SLOT(sampler_update);
  DS_SLOT(exec_create), DS_SLOT(exec_destroy), DS_SLOT(exec_submit), DS_SLOT(exec_resume), DS_SLOT(ticket_poll);
  DS_SLOT(ticket_wait), DS_SLOT(ticket_release);
#undef DS_SLOT
}

}  // namespace

ds_status negotiate(uint32_t min_version, uint32_t max_version, uint32_t *chosen, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(chosen, "chosen"));
    if (min_version > DSB_ABI_VERSION || max_version < DSB_ABI_VERSION)
      return fail(DS_E_ABI, "backend", "the host knows backend ABI 0x%x to 0x%x, this plugin 0x%x", min_version,
                  max_version, static_cast<uint32_t>(DSB_ABI_VERSION));
    *chosen = DSB_ABI_VERSION;
    return {};
  });
}

ds_status fill_api(const Backend &backend, uint32_t version,
                   ds_status(DS_CALL *instance_create)(const dsb_host *, dsb_instance **, ds_error *), dsb_api *api,
                   ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(api, "api"));
    if (version != DSB_ABI_VERSION)
      return fail(DS_E_ABI, "backend", "backend ABI 0x%x was asked for, this plugin offers 0x%x", version,
                  static_cast<uint32_t>(DSB_ABI_VERSION));
    dsb_api filled{};
    filled.abi_version = DSB_ABI_VERSION;
    filled.name = backend.name;
    filled.version = backend.version;
    filled.features = kFeatures;
    filled.instance_create = instance_create;
    fill_slots(&filled);
    return give_struct(api, "api", filled);
  });
}

ds_status create_instance(const Backend &backend, const dsb_host *host, dsb_instance **out, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(out, "instance"));
    DS_TRY_VALUE(const dsb_host taken, take_struct(host, "host"));
    if (taken.abi_version != DSB_ABI_VERSION)
      return fail(DS_E_ABI, "backend", "host.abi_version is 0x%x, expected 0x%x", taken.abi_version,
                  static_cast<uint32_t>(DSB_ABI_VERSION));
    if (!taken.allocate || !taken.release || !taken.parallel || !taken.clock_ns || taken.width < 1)
      return fail(DS_E_ARGUMENT, "backend",
                  "host: allocate, release, parallel, clock_ns and a width of at least 1 are needed");
    auto instance = std::make_unique<Instance>(backend);
    instance->host = taken;
    instance->isa_cap = taken.isa_cap ? taken.isa_cap : "";
    instance->host.isa_cap = instance->isa_cap.c_str();
    set_text(instance->arch, sizeof instance->arch, "generic");
    if (backend.arch) backend.arch(instance->host, instance->arch);
    if (backend.open) DS_TRY_VALUE(instance->state, backend.open(instance->host));
    instance->target = {instance->arch, taken.width, (taken.flags & DSB_HOST_CONCURRENT) != 0, instance->state.get()};
    *out = reinterpret_cast<dsb_instance *>(instance.release());
    return {};
  });
}

}  // namespace deepseam::sdk
