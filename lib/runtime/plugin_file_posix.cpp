// plugin_file.h on POSIX systems.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "runtime/plugin_file.h"

namespace deepseam::runtime {
namespace {

constexpr const char *kDomain = "plugin";

Refusal refused(PluginReason reason, Status status) { return {reason, std::move(status)}; }

Refusal refuse_open(const std::string &path, const char *what, int code) {
  const char *reason = code == ENOENT || code == ENOTDIR  ? "there is none"
                       : code == ELOOP                    ? "it is a symbolic link"
                       : code == EACCES                   ? "permission denied"
                       : code == EMFILE || code == ENFILE ? "no file descriptor is left"
                                                          : "the system refuses";
  const ds_status status = code == ENOENT || code == ENOTDIR ? DS_E_NOT_FOUND
                           : code == EACCES                  ? DS_E_PERMISSION
                                                             : DS_E_IO;
  return refused(PluginReason::kFile,
                 fail(status, kDomain, "cannot open %s %s: %s", what, path.c_str(), reason).at(path).os(code));
}

// The rule of plugin_file.h.
Refusal judge(const struct stat &facts, const std::string &path, const char *what) {
  const uid_t self = ::geteuid();
  if (facts.st_uid != 0 && facts.st_uid != self)
    return refused(PluginReason::kPermission,
                   fail(DS_E_PERMISSION, kDomain, "the %s %s belongs to user %u: expected root or user %u", what,
                        path.c_str(), static_cast<unsigned>(facts.st_uid), static_cast<unsigned>(self))
                       .at(path));
  if (facts.st_mode & (S_IWGRP | S_IWOTH))
    return refused(PluginReason::kPermission,
                   fail(DS_E_PERMISSION, kDomain, "the %s %s has mode %04o: expected no write permission for %s", what,
                        path.c_str(), static_cast<unsigned>(facts.st_mode & 07777),
                        facts.st_mode & S_IWOTH ? "others" : "its group")
                       .at(path));
  return {};
}

bool has_suffix(const std::string &name, const std::string &suffix) {
  return name.size() > suffix.size() && name.compare(name.size() - suffix.size(), suffix.size(), suffix) == 0;
}

}  // namespace

TrustedFile::TrustedFile(TrustedFile &&other) noexcept
    : path_(std::move(other.path_)), handle_(std::exchange(other.handle_, -1)), size_(other.size_) {}

TrustedFile::~TrustedFile() {
  if (handle_ >= 0) ::close(static_cast<int>(handle_));
}

Status TrustedFile::read_at(uint64_t offset, std::span<uint8_t> into) const {
  size_t done = 0;
  while (done < into.size()) {
    const ssize_t got = ::pread(static_cast<int>(handle_), into.data() + done,
                                std::min(into.size() - done, size_t{1} << 30), static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0)
      return fail(DS_E_IO, kDomain, "cannot read %s: expected %zu bytes at offset %llu, found %zu", path_.c_str(),
                  into.size(), static_cast<unsigned long long>(offset), done)
          .at(path_, offset)
          .os(got < 0 ? errno : 0);
    done += static_cast<size_t>(got);
  }
  return {};
}

Result<SharedLibrary> TrustedFile::load() const { return SharedLibrary::open(path_, static_cast<int>(handle_)); }

Judged<TrustedFolder> TrustedFolder::open(const std::string &path) {
  if (!is_absolute(path))
    return {
        nullptr,
        refused(
            PluginReason::kFolder,
            fail(DS_E_ARGUMENT, kDomain, "plugin folder \"%s\": expected an absolute path", path.c_str()).at(path))};
  std::unique_ptr<TrustedFolder> folder(new TrustedFolder);
  folder->path_ = path;
  folder->handle_ = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder->handle_ < 0) {
    Refusal refusal = refuse_open(path, "plugin folder", errno);
    refusal.reason = PluginReason::kFolder;
    return {nullptr, std::move(refusal)};
  }
  struct stat facts;
  if (::fstat(static_cast<int>(folder->handle_), &facts) != 0)
    return {nullptr, refuse_open(path, "plugin folder", errno)};
  if (Refusal refusal = judge(facts, path, "plugin folder"); !refusal.ok()) return {nullptr, std::move(refusal)};
  return {std::move(folder), {}};
}

TrustedFolder::~TrustedFolder() {
  if (handle_ >= 0) ::close(static_cast<int>(handle_));
}

Result<std::vector<std::string>> TrustedFolder::manifests() const {
  const int own = ::openat(static_cast<int>(handle_), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *list = own < 0 ? nullptr : ::fdopendir(own);
  if (!list) {
    const int code = errno;
    if (own >= 0) ::close(own);
    return fail(DS_E_IO, kDomain, "cannot list plugin folder %s", path_.c_str()).at(path_).os(code);
  }
  struct Closer {
    DIR *list;
    ~Closer() { ::closedir(list); }
  } closer{list};
  std::vector<std::string> names;
  while (const dirent *entry = ::readdir(list)) {
    std::string name = entry->d_name;
    if (has_suffix(name, kManifestSuffix)) names.push_back(std::move(name));
    if (names.size() > kMostCandidates)
      return fail(DS_E_PLUGIN, kDomain, "plugin folder %s: expected at most %zu manifests", path_.c_str(),
                  kMostCandidates)
          .at(path_);
  }
  std::sort(names.begin(), names.end());
  return names;
}

Judged<TrustedFile> TrustedFolder::file(const std::string &bare_name, bool follow_links) const {
  const std::string path = path_ + "/" + bare_name;
  if (!is_bare_file_name(bare_name))
    return {nullptr, refused(PluginReason::kFile,
                             fail(DS_E_ARGUMENT, kDomain, "%s: expected a bare file name", path.c_str()).at(path))};
  // A pipe without a writer must not make us wait, nor a terminal become ours.
  const int flags = O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY | (follow_links ? 0 : O_NOFOLLOW);
  const int handle = ::openat(static_cast<int>(handle_), bare_name.c_str(), flags);
  if (handle < 0) return {nullptr, refuse_open(path, "file", errno)};
  std::unique_ptr<TrustedFile> file;
  try {
    file.reset(new TrustedFile);
    file->path_ = path;
  } catch (...) {
    ::close(handle);
    throw;
  }
  file->handle_ = handle;
  struct stat facts;
  if (::fstat(handle, &facts) != 0) return {nullptr, refuse_open(path, "file", errno)};
  if (!S_ISREG(facts.st_mode))
    return {nullptr, refused(PluginReason::kFile,
                             fail(DS_E_FORMAT, kDomain, "%s: expected a regular file", path.c_str()).at(path))};
  if (Refusal refusal = judge(facts, path, "file"); !refusal.ok()) return {nullptr, std::move(refusal)};
  file->size_ = static_cast<uint64_t>(facts.st_size);
  return {std::move(file), {}};
}

bool is_absolute(const std::string &path) {
  return !path.empty() && path[0] == '/' && path.find('\0') == std::string::npos;
}

std::pair<std::string, std::string> split_path(const std::string &path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {std::string(), path};
  return {path.substr(0, slash == 0 ? 1 : slash), path.substr(slash + 1)};
}

void *open_system_library(const char *name) noexcept { return ::dlopen(name, RTLD_NOW | RTLD_LOCAL); }
void *open_library_at(const std::string &path) noexcept { return ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL); }
void *library_symbol(void *library, const char *symbol) noexcept { return ::dlsym(library, symbol); }
void close_library(void *library) noexcept { ::dlclose(library); }

}  // namespace deepseam::runtime
