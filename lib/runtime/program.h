// A compiled graph with its weights, and the execs that run steps of it.
//
// A step is the plain struct of deepseam/backend.h; whoever submits one keeps it and all it points to alive until its
// ticket is done or released. An exec runs one step at a time; two or more execs per program may be in flight.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runtime/weights.h"

namespace deepseam::runtime {

enum class TicketState : uint32_t {
  kRunning = DSB_TICKET_RUNNING,
  kDone = DSB_TICKET_DONE,
  kYielded = DSB_TICKET_YIELDED,
  kCancelled = DSB_TICKET_CANCELLED,
};

// Work in flight. Releasing it cancels and waits first. A failed step is the Status of poll and wait.
class Ticket {
 public:
  Ticket(std::shared_ptr<Backend> backend, std::shared_ptr<const void> parent, dsb_ticket *ticket)
      : backend_(std::move(backend)), parent_(std::move(parent)), ticket_(ticket) {}
  ~Ticket();
  Ticket(const Ticket &) = delete;
  Ticket &operator=(const Ticket &) = delete;

  // Never waits; on a CPU backend it runs one slice of the work.
  Result<TicketState> poll();
  // kRunning if the time ran out first.
  Result<TicketState> wait(uint64_t timeout_ns = UINT64_MAX);
  dsb_ticket *raw() const { return ticket_; }

 private:
  friend class Exec;
  friend class Pool;
  Result<TicketState> judge(const char *slot, ds_status code, uint32_t state, ds_error &error);
  std::shared_ptr<Backend> backend_;
  std::shared_ptr<const void> parent_;  // exec or pool
  dsb_ticket *ticket_ = nullptr;
};

struct Lora {
  uint32_t tensor = 0;  // index in Layout::tensors()
  uint32_t expert = DSB_NONE;
  uint32_t rank = 0;
  float scale = 1;
  const float *a = nullptr;  // [rank, in]
  const float *b = nullptr;  // [out, rank]
};

class Program {
 public:
  static Result<std::shared_ptr<Program>> compile(std::shared_ptr<Layout> layout, std::shared_ptr<Device> device,
                                                  std::vector<std::shared_ptr<Weight>> weights);
  ~Program();
  Program(const Program &) = delete;
  Program &operator=(const Program &) = delete;

  const std::shared_ptr<Layout> &layout() const { return layout_; }
  const std::shared_ptr<Device> &device() const { return device_; }
  const std::shared_ptr<Backend> &backend() const { return device_->backend(); }
  dsb_program *raw() const { return program_; }

  // slot: 1 … max_adapters. Not while a step uses the slot.
  Status load_adapter(uint32_t slot, const std::vector<Lora> &loras);
  Status unload_adapter(uint32_t slot);

 private:
  Program() = default;
  std::shared_ptr<Layout> layout_;
  std::shared_ptr<Device> device_;
  std::vector<std::shared_ptr<Weight>> weights_;
  dsb_program *program_ = nullptr;
};

class Exec : public std::enable_shared_from_this<Exec> {
 public:
  static Result<std::shared_ptr<Exec>> create(std::shared_ptr<Program> program, uint32_t max_rows);
  ~Exec();
  Exec(const Exec &) = delete;
  Exec &operator=(const Exec &) = delete;

  const std::shared_ptr<Program> &program() const { return program_; }
  uint32_t max_rows() const { return max_rows_; }
  dsb_exec *raw() const { return exec_; }

  // One at a time per exec. A step that is refused has done nothing.
  Result<std::unique_ptr<Ticket>> submit(const dsb_step &step);
  Status resume(Ticket &ticket);  // after kYielded

 private:
  Exec() = default;
  std::shared_ptr<Program> program_;
  uint32_t max_rows_ = 0;
  dsb_exec *exec_ = nullptr;
};

}  // namespace deepseam::runtime
