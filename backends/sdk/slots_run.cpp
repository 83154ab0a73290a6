// Slots of pools, samplers, execs and tickets.
#include "sdk/slots.h"

namespace deepseam::sdk {
namespace {

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

}  // namespace

void fill_run_slots(dsb_api *api) {
  api->pool_create = pool_create;
  api->pool_destroy = pool_destroy;
  api->pool_resize = pool_resize;
  api->kv_copy_rows = kv_copy_rows;
  api->block_read = block_read;
  api->block_write = block_write;
  api->sampler_create = sampler_create;
  api->sampler_destroy = sampler_destroy;
  api->sampler_reset = sampler_reset;
  api->sampler_fork = sampler_fork;
  api->sampler_update = sampler_update;
  api->exec_create = exec_create;
  api->exec_destroy = exec_destroy;
  api->exec_submit = exec_submit;
  api->exec_resume = exec_resume;
  api->ticket_poll = ticket_poll;
  api->ticket_wait = ticket_wait;
  api->ticket_release = ticket_release;
}

}  // namespace deepseam::sdk
