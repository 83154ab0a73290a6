// shared_library.h on systems with dlopen.
#include <dlfcn.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/shared_library.h"

namespace deepseam {
namespace {

constexpr int kFlags = RTLD_NOW | RTLD_LOCAL;

// What the loader gets to open: the descriptor's path with the file's identity woven in, as steps that lead nowhere
// ("./" for a 0, ".//" for a 1). The loader answers by name before it looks at the file, and it remembers every name it
// was ever given for a loaded library; without the identity, a number used again would give the library of before.
std::string descriptor_path(int fd, const struct stat &file) {
  std::string name = "/proc/self/fd/";
  for (const uint64_t part : {static_cast<uint64_t>(file.st_dev), static_cast<uint64_t>(file.st_ino)})
    for (int bit = 0; bit < 64; ++bit) name += part >> bit & 1 ? ".//" : "./";
  return name + std::to_string(fd);
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
    struct stat file {};
    if (::fstat(fd, &file)) return load_failure(path, "its descriptor cannot be used").os(errno);
    const std::string name = descriptor_path(fd, file);
    library.handle_ = ::dlopen(name.c_str(), kFlags);
    if (library.handle_) return library;
    const char *reason = ::dlerror();  // begins with the name, which says nothing to anyone
    if (reason && std::strncmp(reason, name.c_str(), name.size()) == 0)
      reason += name.size() + std::strspn(reason + name.size(), ": ");
    return load_failure(path, reason);
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
