// Shared libraries as the system opens them: libraries_posix.cpp and libraries_win.cpp. NULL if there is none of that
// name.
#pragma once

namespace conformance {

void *open_library(const char *name);
void *library_symbol(void *library, const char *symbol);
void close_library(void *library);

}  // namespace conformance
