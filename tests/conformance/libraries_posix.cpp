#include <dlfcn.h>

#include "libraries.h"

namespace conformance {

void *open_library(const char *name) { return dlopen(name, RTLD_NOW | RTLD_LOCAL); }
void *library_symbol(void *library, const char *symbol) { return dlsym(library, symbol); }
void close_library(void *library) { dlclose(library); }

}  // namespace conformance
