#include "capi/log_ring.h"

#include "capi/wall.h"

namespace deepseam::capi {
namespace {

constexpr uint64_t kMostBytes = 256 * 1024;

LogLevel most_verbose(uint32_t level) noexcept {
  if (level == 0) return LogLevel::kWarning;
  return level > DS_LOG_DEBUG ? LogLevel::kDebug : static_cast<LogLevel>(level);
}

}  // namespace

Log::Log(uint32_t level, ds_log_fn callback, void *user) : callback_(callback), user_(user) {
  sink_.user = this;
  sink_.most = most_verbose(level);
  sink_.write = level == DS_LOG_OTHER ? nullptr : &Log::write;
}

void Log::write(void *user, LogLevel level, const char *domain, std::string_view message) noexcept {
  auto *log = static_cast<Log *>(user);
  try {
    if (!log->callback_) return log->keep(static_cast<uint32_t>(level), domain, message);
    ds_log_message record{};
    record.struct_size = sizeof record;
    record.level = static_cast<uint32_t>(level);
    record.domain = domain;
    record.text = {message.data(), message.size()};
    const CallbackScope scope;
    log->callback_(log->user_, &record);
  } catch (...) {  // a message lost for want of memory, or a callback that threw
  }
}

void Log::keep(uint32_t level, const char *domain, std::string_view message) {
  std::string text = std::string(domain) + ": " + std::string(message);
  const std::lock_guard lock(mutex_);
  bytes_ += text.size();
  messages_.push_back({level, std::move(text)});
  while (bytes_ > kMostBytes && messages_.size() > 1) {
    bytes_ -= messages_.front().text.size();
    messages_.pop_front();
    ++dropped_;
  }
}

Status Log::read(uint32_t *level, char *buffer, uint64_t capacity, uint64_t *size) {
  if (!level) return fail(DS_E_ARGUMENT, "capi", "level is NULL");
  const std::lock_guard lock(mutex_);
  if (messages_.empty()) return Status(DS_E_PENDING);
  if (dropped_) {
    Message note{DS_LOG_WARNING, "log: " + std::to_string(dropped_) + " older messages were dropped unread"};
    bytes_ += note.text.size();
    messages_.push_front(std::move(note));
    dropped_ = 0;
  }
  const Message &message = messages_.front();
  DS_TRY(fill_text(message.text, buffer, capacity, size));
  *level = message.level;
  if (!capacity) return Status();
  bytes_ -= message.text.size();
  messages_.pop_front();
  return Status();
}

}  // namespace deepseam::capi
