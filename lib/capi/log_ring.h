// A runtime's log: to the host's callback, or kept until the host reads it.
//
// Messages without a callback wait in a ring of bounded bytes; when it is full the oldest go, and the next one read
// says how many went. The sink may be used from any thread.
#pragma once

#include <deque>
#include <mutex>
#include <string>

#include "base/log.h"
#include "base/status.h"
#include "deepseam/deepseam.h"

namespace deepseam::capi {

class Log {
 public:
  // level as in ds_runtime_options. callback may be NULL.
  Log(uint32_t level, ds_log_fn callback, void *user);
  Log(const Log &) = delete;
  Log &operator=(const Log &) = delete;

  const LogSink &sink() const { return sink_; }
  // The oldest message as ds_log_read gives it; DS_E_PENDING if there is none.
  Status read(uint32_t *level, char *buffer, uint64_t capacity, uint64_t *size);

 private:
  struct Message {
    uint32_t level;
    std::string text;
  };
  static void write(void *user, LogLevel level, const char *domain, std::string_view message) noexcept;
  void keep(uint32_t level, const char *domain, std::string_view message);

  const ds_log_fn callback_;
  void *const user_;
  LogSink sink_;
  std::mutex mutex_;
  std::deque<Message> messages_;
  uint64_t bytes_ = 0, dropped_ = 0;
};

}  // namespace deepseam::capi
