#include "runtime/program.h"

namespace deepseam::runtime {

Ticket::~Ticket() {
  if (ticket_) backend_->api().ticket_release(ticket_);
}

Result<TicketState> Ticket::judge(const char *slot, ds_status code, uint32_t state, ds_error &error) {
  if (code == DS_E_TIMEOUT) return TicketState::kRunning;
  if (code == DS_E_CANCELLED) return TicketState::kCancelled;
  if (code != DS_OK) return backend_->call(slot, [&](ds_error *told) { return *told = error, code; });
  if (state <= DSB_TICKET_CANCELLED) return static_cast<TicketState>(state);
  if (state == DSB_TICKET_FAILED) return backend_->broken(slot, "a failed step without a status");
  return backend_->broken(slot, "state: expected 0 to %u, found %u", DSB_TICKET_FAILED, state);
}

Result<TicketState> Ticket::poll() {
  ds_error error = fresh_error();
  uint32_t state = UINT32_MAX;
  const ds_status code = backend_->api().ticket_poll(ticket_, &state, &error);
  return judge("ticket_poll", code, state, error);
}

Result<TicketState> Ticket::wait(uint64_t timeout_ns) {
  ds_error error = fresh_error();
  uint32_t state = UINT32_MAX;
  const ds_status code = backend_->api().ticket_wait(ticket_, timeout_ns, &state, &error);
  return judge("ticket_wait", code, state, error);
}

Result<std::shared_ptr<Program>> Program::compile(std::shared_ptr<Layout> layout, std::shared_ptr<Device> device,
                                                  std::vector<std::shared_ptr<Weight>> weights) {
  if (weights.size() != layout->weights().size())
    return fail(DS_E_ARGUMENT, "runtime", "a program of %zu packed weights was given %zu", layout->weights().size(),
                weights.size());
  DS_TRY(layout->check_nodes());
  std::shared_ptr<Program> program(new Program);
  program->layout_ = std::move(layout);
  program->device_ = std::move(device);
  program->weights_ = std::move(weights);
  std::vector<dsb_weight *> raw;
  for (const std::shared_ptr<Weight> &weight : program->weights_) raw.push_back(weight->raw());
  const Backend &backend = *program->backend();
  dsb_program *compiled = nullptr;
  DS_TRY(backend.call("compile", [&](ds_error *error) {
    return backend.api().compile(program->layout_->raw(), program->device_->raw(), raw.data(),
                                 static_cast<uint32_t>(raw.size()), &compiled, error);
  }));
  if (!compiled) return backend.broken("compile", "success without a program");
  program->program_ = compiled;
  return program;
}

Program::~Program() {
  if (program_) backend()->api().program_destroy(program_);
}

Status Program::load_adapter(uint32_t slot, const std::vector<Lora> &loras) {
  std::vector<dsb_lora> raw;
  for (const Lora &lora : loras) raw.push_back({lora.tensor, lora.expert, lora.rank, lora.scale, lora.a, lora.b});
  dsb_adapter_desc desc{};
  desc.struct_size = sizeof desc;
  desc.n_loras = static_cast<uint32_t>(raw.size());
  desc.loras = raw.data();
  desc.lora_stride = sizeof(dsb_lora);
  return backend()->call("adapter_load",
                         [&](ds_error *error) { return backend()->api().adapter_load(program_, slot, &desc, error); });
}

Status Program::unload_adapter(uint32_t slot) {
  return backend()->call("adapter_unload",
                         [&](ds_error *error) { return backend()->api().adapter_unload(program_, slot, error); });
}

Result<std::shared_ptr<Exec>> Exec::create(std::shared_ptr<Program> program, uint32_t max_rows) {
  std::shared_ptr<Exec> exec(new Exec);
  const Backend &backend = *program->backend();
  exec->program_ = std::move(program);
  exec->max_rows_ = max_rows;
  dsb_exec *created = nullptr;
  DS_TRY(backend.call("exec_create", [&](ds_error *error) {
    return backend.api().exec_create(exec->program_->raw(), max_rows, &created, error);
  }));
  if (!created) return backend.broken("exec_create", "success without an exec");
  exec->exec_ = created;
  return exec;
}

Exec::~Exec() {
  if (exec_) program_->backend()->api().exec_destroy(exec_);
}

Result<std::unique_ptr<Ticket>> Exec::submit(const dsb_step &step) {
  const std::shared_ptr<Backend> &backend = program_->backend();
  dsb_ticket *raw = nullptr;
  // Made first: once the step is on its way there must be an owner for its ticket.
  auto ticket = std::make_unique<Ticket>(backend, shared_from_this(), nullptr);
  DS_TRY(backend->call("exec_submit",
                       [&](ds_error *error) { return backend->api().exec_submit(exec_, &step, &raw, error); }));
  if (!raw) return backend->broken("exec_submit", "success without a ticket");
  ticket->ticket_ = raw;
  return ticket;
}

Status Exec::resume(Ticket &ticket) {
  const Backend &backend = *program_->backend();
  return backend.call("exec_resume",
                      [&](ds_error *error) { return backend.api().exec_resume(exec_, ticket.raw(), error); });
}

}  // namespace deepseam::runtime
