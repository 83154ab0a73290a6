// os_file.h on POSIX systems.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/os_file.h"
#if defined(__linux__)
#include <sys/vfs.h>
#endif

namespace deepseam {
namespace {

constexpr uint64_t kMostPerCall = uint64_t{1} << 30;  // Linux moves at most 2 GiB a call

Status os_failure(int code, const char *verb, const std::string &path) {
  const ds_status status = code == ENOENT || code == ENOTDIR                  ? DS_E_NOT_FOUND
                           : code == EACCES || code == EPERM || code == EROFS ? DS_E_PERMISSION
                                                                              : DS_E_IO;
  const char *reason = status == DS_E_NOT_FOUND    ? "there is no such file or folder"
                       : status == DS_E_PERMISSION ? "permission denied"
                       : code == ENOSPC            ? "no space is left on the device"
                       : code == EMFILE            ? "this process has too many open files"
                                                   : "the system reports an error";
  return fail(status, "file", "cannot %s %s: %s (errno %d)", verb, path.c_str(), reason, code).at(path).os(code);
}

Status not_regular(const struct stat &info, const std::string &path) {
  return fail(DS_E_FORMAT, "file", "%s is %s, expected a regular file", path.c_str(),
              S_ISDIR(info.st_mode) ? "a folder" : "a device, pipe or socket")
      .at(path);
}

// Whether pages stay readable once they are mapped. Network and user-space filesystems may fail one at any time, and
// where files can be written one can be truncated: both are signals, and reads report them instead. That leaves local
// filesystems that are mounted read-only.
bool is_steady(int fd) noexcept {
#if defined(__linux__)
  constexpr auto kReadOnly = 1;  // ST_RDONLY
  struct statfs info;
  if (::fstatfs(fd, &info) != 0 || !(info.f_flags & kReadOnly)) return false;
  switch (static_cast<uint32_t>(info.f_type)) {
    case 0x6969:      // NFS
    case 0x517b:      // SMB
    case 0xff534d42:  // CIFS
    case 0xfe534d42:  // SMB2
    case 0x65735546:  // FUSE
    case 0x01021997:  // 9P
    case 0x5346414f:  // AFS
    case 0x6b414653:  // kAFS
    case 0x73757245:  // Coda
    case 0x00c36400:  // Ceph
    case 0x0bd00bd0:  // Lustre
    case 0x564c:      // NCP
    case 0x786f4256:  // vboxsf
    case 0x7461636f:  // OCFS2
    case 0x01161970:  // GFS2
      return false;
    default:
      return true;
  }
#else
  (void)fd;
  return false;
#endif
}

std::string folder_of(const std::string &path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Whether `name` is `base`.PID.XXXXXXXX.tmp, as os_create_beside makes them.
bool is_temporary_of(const std::string &name, const std::string &base) {
  constexpr size_t kSalt = 8, kEnd = 4;  // ".tmp"
  if (name.size() < base.size() + 4 + kSalt + kEnd || !name.starts_with(base + ".") || !name.ends_with(".tmp"))
    return false;
  const std::string middle = name.substr(base.size() + 1, name.size() - base.size() - 1 - kEnd);
  const size_t dot = middle.find('.');
  return dot != std::string::npos && dot > 0 && middle.size() == dot + 1 + kSalt &&
         middle.find_first_not_of("0123456789") == dot &&
         middle.find_first_not_of("0123456789abcdef", dot + 1) == std::string::npos;
}

// Takes away what writers of `path` that were killed have left. One that is at work holds a lock on its file; where
// files cannot be locked, leftovers stay.
void remove_leftovers(const std::string &path) {
  const std::string folder = folder_of(path), base = path.substr(path.rfind('/') + 1);
  DIR *list = ::opendir(folder.c_str());
  if (!list) return;
  while (const dirent *entry = ::readdir(list)) {
    if (!is_temporary_of(entry->d_name, base)) continue;
    const int fd = ::openat(::dirfd(list), entry->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0) continue;
    struct stat info;
    if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && ::flock(fd, LOCK_EX | LOCK_NB) == 0)
      ::unlinkat(::dirfd(list), entry->d_name, 0);
    ::close(fd);
  }
  ::closedir(list);
}

// Locks a file just made. False: somebody who took it for a leftover was first.
bool lock_own(int fd) noexcept {
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return errno != EWOULDBLOCK;
  struct stat info;
  return ::fstat(fd, &info) != 0 || info.st_nlink > 0;
}

}  // namespace

Result<OsFile> os_open_read(const std::string &path) {
  int fd;
  do fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  while (fd < 0 && errno == EINTR);
  if (fd < 0) return os_failure(errno, "open", path);
  struct stat info;
  if (::fstat(fd, &info) != 0) {
    const int code = errno;
    ::close(fd);
    return os_failure(code, "examine", path);
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return not_regular(info, path);
  }
  OsFile file;
  file.handle = fd;
  file.size = static_cast<uint64_t>(info.st_size);
  file.steady = is_steady(fd);
  return file;
}

void os_close(OsHandle handle) noexcept { ::close(static_cast<int>(handle)); }

OsTransfer os_read_at(OsHandle handle, uint64_t offset, std::span<uint8_t> into) noexcept {
  OsTransfer transfer;
  while (transfer.done < into.size()) {
    const ssize_t got =
        ::pread(static_cast<int>(handle), into.data() + transfer.done,
                std::min(kMostPerCall, into.size() - transfer.done), static_cast<off_t>(offset + transfer.done));
    if (got == 0) break;
    if (got > 0) {
      transfer.done += static_cast<uint64_t>(got);
    } else if (errno != EINTR) {
      transfer.os_code = errno;
      break;
    }
  }
  return transfer;
}

OsTransfer os_write_at(OsHandle handle, uint64_t offset, std::span<const uint8_t> bytes) noexcept {
  OsTransfer transfer;
  while (transfer.done < bytes.size()) {
    const ssize_t put =
        ::pwrite(static_cast<int>(handle), bytes.data() + transfer.done,
                 std::min(kMostPerCall, bytes.size() - transfer.done), static_cast<off_t>(offset + transfer.done));
    if (put > 0) {
      transfer.done += static_cast<uint64_t>(put);
    } else if (put == 0 || errno != EINTR) {
      transfer.os_code = put == 0 ? ENOSPC : errno;
      break;
    }
  }
  return transfer;
}

std::span<const uint8_t> os_map(OsHandle handle, uint64_t size, int32_t &os_code) noexcept {
  void *memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, static_cast<int>(handle), 0);
  if (memory == MAP_FAILED) {
    os_code = errno;
    return {};
  }
  return {static_cast<const uint8_t *>(memory), static_cast<size_t>(size)};
}

void os_unmap(std::span<const uint8_t> view) noexcept { ::munmap(const_cast<uint8_t *>(view.data()), view.size()); }

void os_forget(std::span<const uint8_t> part) noexcept {
  const uintptr_t page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t first = (begin + page - 1) / page * page, end = (begin + part.size()) / page * page;
  if (first < end) ::madvise(reinterpret_cast<void *>(first), end - first, MADV_DONTNEED);
}

Status os_check_folder(const std::string &path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return os_failure(errno, "open", path);
  if (!S_ISDIR(info.st_mode))
    return fail(DS_E_FORMAT, "file", "%s is not a folder, expected one", path.c_str()).at(path);
  return {};
}

Result<std::vector<std::string>> os_list(const std::string &path) {
  struct Closer {
    DIR *folder;
    ~Closer() {
      if (folder) ::closedir(folder);
    }
  };
  const Closer closer{::opendir(path.c_str())};
  if (!closer.folder) return os_failure(errno, "list", path);
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent *entry = ::readdir(closer.folder);
    if (!entry) break;
    std::string name = entry->d_name;
    struct stat info;
    if (::fstatat(::dirfd(closer.folder), name.c_str(), &info, 0) == 0 && S_ISREG(info.st_mode))
      names.push_back(std::move(name));
  }
  if (errno) return os_failure(errno, "list", path);
  std::sort(names.begin(), names.end());
  return names;
}

Result<OsHandle> os_create_beside(const std::string &path, std::string &temporary) {
  // Renaming over /dev/null would put a file in its place for everybody.
  struct stat old {};
  if (::stat(path.c_str(), &old) == 0 && !S_ISREG(old.st_mode)) return not_regular(old, path);
  try {
    remove_leftovers(path);
  } catch (...) {  // no memory for names: they stay
  }
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  uint64_t salt = static_cast<uint64_t>(now.tv_nsec) ^ static_cast<uint64_t>(now.tv_sec) << 20;
  for (int attempt = 0; attempt < 100; ++attempt, salt = salt * 6364136223846793005u + 1442695040888963407u) {
    char suffix[48];
    std::snprintf(suffix, sizeof suffix, ".%ld.%08x.tmp", static_cast<long>(::getpid()),
                  static_cast<unsigned>(salt >> 32));
    temporary = path + suffix;
    const int fd = ::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY, 0666);
    if (fd >= 0 && lock_own(fd)) return OsHandle{fd};
    if (fd >= 0) {
      ::close(fd);
      continue;
    }
    if (errno != EEXIST && errno != EINTR) return os_failure(errno, "create", temporary);
  }
  return os_failure(EEXIST, "create", temporary);
}

Status os_publish(OsHandle handle, const std::string &temporary, const std::string &path) {
  const int fd = static_cast<int>(handle);
  Status status;
  if (::fsync(fd) != 0)
    status = os_failure(errno, "write", temporary);
  else if (::rename(temporary.c_str(), path.c_str()) != 0)
    status = os_failure(errno, "replace", path);
  ::close(fd);  // only now: without its lock the temporary file would be a leftover. Failures to write were fsync's
  if (!status.ok()) return status;
  // The new name must survive a power cut, too. Filesystems that cannot sync a folder say EINVAL: then nothing can.
  const int folder = ::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return {};
  const int code = ::fsync(folder) == 0 || errno == EINVAL ? 0 : errno;
  ::close(folder);
  if (code) return os_failure(code, "sync the folder of", path);
  return {};
}

void os_remove(const std::string &path) noexcept { ::unlink(path.c_str()); }

}  // namespace deepseam
