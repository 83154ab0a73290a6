// Slots of layouts, weights, programs and adapters.
#include "sdk/slots.h"

namespace deepseam::sdk {
namespace {

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
    filled.flags = planned.use.form == kAsStored ? DSB_WEIGHT_MAPPABLE : planned.use.pulls ? DSB_WEIGHT_PULLED : 0;
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

}  // namespace

void fill_model_slots(dsb_api *api) {
  api->plan_graph = plan_graph;
  api->layout_destroy = layout_destroy;
  api->layout_summary = layout_summary;
  api->layout_weight = layout_weight;
  api->layout_node = layout_node;
  api->layout_scratch = layout_scratch;
  api->weight_load = weight_load;
  api->weight_map = weight_map;
  api->weight_export = weight_export;
  api->weight_release = weight_release;
  api->compile = compile;
  api->program_destroy = program_destroy;
  api->adapter_load = adapter_load;
  api->adapter_unload = adapter_unload;
}

}  // namespace deepseam::sdk
