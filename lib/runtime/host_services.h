// What a plugin may ask of the host (dsb_host), over the runtime's allocator, log and task runner.
//
// One HostServices per backend: its messages carry the backend's name. It outlives the instance that got its table.
// Whatever a plugin passes is checked; every task runs under the library's floating-point environment, and each index
// of parallel() runs exactly once, however the host's task runner behaves. Vendor libraries are opened by bare name
// only: first in the folders the host gave, then as the system finds them; never in the current directory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/allocator.h"
#include "base/log.h"
#include "base/task_runner.h"
#include "deepseam/backend.h"

namespace deepseam::runtime {

// Shared by all backends of a runtime. `tasks` NULL: one after another on the calling thread.
struct HostOptions {
  Allocator allocator = default_allocator();
  LogSink log;
  std::shared_ptr<TaskRunner> tasks;
  std::vector<std::string> library_folders;  // absolute
  std::string isa_cap;                       // "avx2", "avx512", "amx"; empty: none
};

class HostServices {
 public:
  HostServices(std::shared_ptr<const HostOptions> options, std::string backend);
  HostServices(const HostServices &) = delete;
  HostServices &operator=(const HostServices &) = delete;

  const dsb_host *table() const { return &table_; }
  const HostOptions &options() const { return *options_; }
  const std::string &backend() const { return backend_; }

 private:
  std::shared_ptr<const HostOptions> options_;
  std::string backend_;
  dsb_host table_{};
};

}  // namespace deepseam::runtime
