#include <windows.h>

#include "libraries.h"

namespace conformance {

void *open_library(const char *name) { return LoadLibraryA(name); }
void *library_symbol(void *library, const char *symbol) {
  return reinterpret_cast<void *>(GetProcAddress(static_cast<HMODULE>(library), symbol));
}
void close_library(void *library) { FreeLibrary(static_cast<HMODULE>(library)); }

}  // namespace conformance
