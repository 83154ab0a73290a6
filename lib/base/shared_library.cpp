// shared_library.h on systems with dlopen.
#include "base/shared_library.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace deepseam {
namespace {

constexpr int kFlags = RTLD_NOW | RTLD_LOCAL;

struct DescriptorPath {
  explicit DescriptorPath(int fd) { std::snprintf(text, sizeof text, "/proc/self/fd/%d", fd); }
  char text[32];
};

// Whether a loaded library goes by this name. The loader answers by name before it looks at the file: one that was
// loaded through a descriptor since closed would be mistaken for the file that has the number now.
bool name_is_taken(const char *name) {
  void *handle = ::dlopen(name, kFlags | RTLD_NOLOAD);
  if (!handle) return false;
  link_map *map = nullptr;
  const bool taken = ::dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0 && std::strcmp(map->l_name, name) == 0;
  ::dlclose(handle);
  return taken;
}

// A descriptor of the same file whose name is free; -1 if there is none.
int free_descriptor(int fd) {
  int own = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  while (own >= 0 && name_is_taken(DescriptorPath(own).text)) {
    const int next = ::fcntl(fd, F_DUPFD_CLOEXEC, own + 1);
    ::close(own);
    own = next;
  }
  return own;
}

Status load_failure(const std::string &path, const char *reason) {
  return fail(DS_E_PLUGIN, "library", "cannot load %s: %s", path.c_str(), reason ? reason : "no reason given").at(path);
}

}  // namespace

Result<SharedLibrary> SharedLibrary::open(const std::string &path, int fd) {
  if (path.empty() || path[0] != '/' || path.find('\0') != std::string::npos)
    return fail(DS_E_ARGUMENT, "library", "\"%s\" is not an absolute path", path.c_str()).at(path);
  SharedLibrary library;
  if (fd < 0) {
    library.handle_ = ::dlopen(path.c_str(), kFlags);
  } else {
    const int own = free_descriptor(fd);
    if (own < 0) return load_failure(path, "no file descriptor is left");
    library.handle_ = ::dlopen(DescriptorPath(own).text, kFlags);
    ::close(own);
  }
  if (!library.handle_) return load_failure(path, ::dlerror());
  return library;
}

SharedLibrary::~SharedLibrary() {
  if (handle_) ::dlclose(handle_);
}

SharedLibrary::SharedLibrary(SharedLibrary &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

SharedLibrary &SharedLibrary::operator=(SharedLibrary &&other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

void *SharedLibrary::symbol(const char *name) const noexcept { return handle_ ? ::dlsym(handle_, name) : nullptr; }

std::string own_folder() {
  Dl_info info;
  if (::dladdr(reinterpret_cast<const void *>(&own_folder), &info) == 0 || !info.dli_fname) return {};
  char *resolved = ::realpath(info.dli_fname, nullptr);
  if (!resolved) return {};
  const char *slash = std::strrchr(resolved, '/');
  std::string folder;
  try {
    folder.assign(resolved, slash == resolved ? 1 : static_cast<size_t>(slash - resolved));
  } catch (...) {
    std::free(resolved);
    throw;
  }
  std::free(resolved);
  return folder;
}

}  // namespace deepseam
