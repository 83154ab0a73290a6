// Where the library's messages go: to the host's callback or into a bounded ring that the host reads. Never to a
// stream.
#pragma once

#include <cstdint>
#include <string_view>

namespace deepseam {

enum class LogLevel : uint32_t { kError = 1, kWarning = 2, kInfo = 3, kDebug = 4 };

// A sink outlives all who hold it. write may be called from any thread and must not call back into the library.
struct LogSink {
  void (*write)(void *user, LogLevel level, const char *domain, std::string_view message) = nullptr;
  void *user = nullptr;
  LogLevel most = LogLevel::kWarning;
};

[[gnu::format(printf, 4, 5)]] void log_message(const LogSink &sink, LogLevel level, const char *domain,
                                               const char *format, ...) noexcept;

}  // namespace deepseam
