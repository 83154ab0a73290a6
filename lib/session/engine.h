// Runs all jobs of one model: one thread, one step after another, decode rows and prompt chunks of all jobs together.
//
// Work goes in through submit(); what comes out goes through JobFeed. Everything between (branches, leases, samplers,
// the step) belongs to the engine thread alone and needs no lock; the engine's mutex guards the inbox, the stop flag
// and the list of jobs in the running step, nothing else. A cancelled job raises the step's cancel word; the step ends
// without having committed anything and is formed again without that job. Exceptions end the jobs concerned, never the
// thread. Without work the thread sleeps.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "deepseam/backend.h"
#include "kv/kv_store.h"
#include "session/scheduler.h"
#include "session/service.h"

namespace deepseam::runtime {
class StepCancel;
}

namespace deepseam::session {

class Job;
class Session;
struct DeviceModel;
struct EngineState;
struct Work;  // work.h: a request as the engine sees it

struct EngineFacts {
  uint64_t steps = 0, rows = 0, decode_rows = 0, shared_steps = 0;  // shared: rows of more than one job
  uint64_t cancelled_steps = 0, preemptions = 0;
  uint64_t watched = 0;  // jobs with a clock that the service's thread looks at just now
  uint64_t step_ns = 0;  // in steps, from submitting to the end; and with a profile by op id:
  std::array<uint64_t, DSB_OP_TIMES> op_ns{};
};

class Engine : public Watcher, public std::enable_shared_from_this<Engine> {
 public:
  // `device` is used by the engine thread only, from now on until the thread has ended.
  static Result<std::shared_ptr<Engine>> start(std::shared_ptr<Service> service, std::unique_ptr<DeviceModel> device,
                                               std::shared_ptr<kv::KvStore> store);
  ~Engine() override;

  Status submit(std::unique_ptr<Work> work);  // DS_E_SHUT_DOWN once stop was asked
  void wake() noexcept;                       // something outside changed: a cancel, an answer, a setting
  void tick(uint64_t now_ns) override;

  void ask_stop() noexcept;         // all jobs end as cancelled, then the thread ends
  bool join(uint64_t deadline_ns);  // false: not ended by then
  bool on_own_thread() const noexcept { return std::this_thread::get_id() == thread_id_; }
  EngineFacts facts() const;

 private:
  friend struct EngineState;
  Engine(std::shared_ptr<Service> service, std::unique_ptr<DeviceModel> device, std::shared_ptr<kv::KvStore> store);
  void loop() noexcept;
  void rest(uint64_t until_ns);
  // Publishes which jobs the step holds; false if one of them has to stop first.
  bool begin_step(const std::vector<Job *> &jobs);
  void end_step();
  void set_watched(std::vector<Job *> jobs);
  // Before the job's host hears that it ended, frees it, and asks for facts: the service's thread reads watched jobs.
  void forget(const Job *job) noexcept;

  std::shared_ptr<Service> service_;
  std::unique_ptr<EngineState> state_;  // engine_state.h; the thread's alone, and gone when it ends
  mutable std::mutex mutex_;
  std::condition_variable changed_, ended_changed_;
  std::vector<std::unique_ptr<Work>> inbox_;
  std::vector<Job *> in_step_;  // empty between steps
  std::vector<Job *> watched_;  // with a deadline or a host's cancel flag
  runtime::StepCancel *step_cancel_ = nullptr;
  bool woken_ = false, stopping_ = false, ended_ = false;
  EngineFacts facts_;
  std::mutex joining_;
  std::thread thread_;
  std::thread::id thread_id_;
};

}  // namespace deepseam::session
