#include "base/log.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

#include "base/cut_text.h"

namespace deepseam {

void log_message(const LogSink &sink, LogLevel level, const char *domain, const char *format, ...) noexcept {
  if (!sink.write || level > sink.most) return;
  char text[1024];
  va_list arguments;
  va_start(arguments, format);
  const int size = std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (size < 0) return;
  if (size >= static_cast<int>(sizeof text)) drop_cut_character(text);
  sink.write(sink.user, level, domain, std::string_view(text, std::strlen(text)));
}

}  // namespace deepseam
