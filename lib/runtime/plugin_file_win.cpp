// plugin_file.h on Windows. Access lists are the installer's business there; what is judged is what a name can reach:
// plain files and folders, no reparse points. A file stays open without write or delete sharing until its TrustedFile
// goes, so the bytes that were hashed are the bytes that LoadLibrary maps.
#include <algorithm>
#include <utility>

#include "base/utf16_win.h"
#include "runtime/plugin_file.h"

namespace deepseam::runtime {
namespace {

constexpr const char *kDomain = "plugin";

Refusal refuse_open(const std::string &path, const char *what, DWORD code, PluginReason reason) {
  const bool missing = code == ERROR_FILE_NOT_FOUND || code == ERROR_PATH_NOT_FOUND;
  const ds_status status = missing ? DS_E_NOT_FOUND : code == ERROR_ACCESS_DENIED ? DS_E_PERMISSION : DS_E_IO;
  const char *told = missing                       ? "there is none"
                     : code == ERROR_ACCESS_DENIED ? "permission denied"
                                                   : "the system refuses";
  return {
      reason,
      fail(status, kDomain, "cannot open %s %s: %s", what, path.c_str(), told).at(path).os(static_cast<int32_t>(code))};
}

HANDLE handle_of(intptr_t handle) { return reinterpret_cast<HANDLE>(handle); }

}  // namespace

TrustedFile::TrustedFile(TrustedFile &&other) noexcept
    : path_(std::move(other.path_)), handle_(std::exchange(other.handle_, -1)), size_(other.size_) {}

TrustedFile::~TrustedFile() {
  if (handle_ != -1) ::CloseHandle(handle_of(handle_));
}

Status TrustedFile::read_at(uint64_t offset, std::span<uint8_t> into) const {
  size_t done = 0;
  while (done < into.size()) {
    OVERLAPPED place{};
    place.Offset = static_cast<DWORD>(offset + done);
    place.OffsetHigh = static_cast<DWORD>((offset + done) >> 32);
    DWORD got = 0;
    const DWORD wanted = static_cast<DWORD>(std::min<size_t>(into.size() - done, size_t{1} << 30));
    const bool ok = ::ReadFile(handle_of(handle_), into.data() + done, wanted, &got, &place) != 0;
    if (!ok || got == 0)
      return fail(DS_E_IO, kDomain, "cannot read %s: expected %llu bytes at offset %llu, found %llu", path_.c_str(),
                  static_cast<unsigned long long>(into.size()), static_cast<unsigned long long>(offset),
                  static_cast<unsigned long long>(done))
          .at(path_, offset)
          .os(ok ? 0 : static_cast<int32_t>(::GetLastError()));
    done += got;
  }
  return {};
}

Result<SharedLibrary> TrustedFile::load() const { return SharedLibrary::open(path_); }

Judged<TrustedFolder> TrustedFolder::open(const std::string &path) {
  if (!is_absolute(path))
    return {nullptr,
            {PluginReason::kFolder,
             fail(DS_E_ARGUMENT, kDomain, "plugin folder \"%s\": expected an absolute path", path.c_str()).at(path)}};
  std::unique_ptr<TrustedFolder> folder(new TrustedFolder);
  folder->path_ = path;
  // Without delete sharing: as long as it is open, the folder keeps its name.
  HANDLE handle = ::CreateFileW(to_path(path).c_str(), FILE_LIST_DIRECTORY, FILE_SHARE_READ | FILE_SHARE_WRITE, nullptr,
                                OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS, nullptr);
  if (handle == INVALID_HANDLE_VALUE)
    return {nullptr, refuse_open(path, "plugin folder", ::GetLastError(), PluginReason::kFolder)};
  folder->handle_ = reinterpret_cast<intptr_t>(handle);
  BY_HANDLE_FILE_INFORMATION facts;
  if (!::GetFileInformationByHandle(handle, &facts) || !(facts.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY))
    return {nullptr,
            {PluginReason::kFolder, fail(DS_E_FORMAT, kDomain, "%s: expected a folder", path.c_str()).at(path)}};
  return {std::move(folder), {}};
}

TrustedFolder::~TrustedFolder() {
  if (handle_ != -1) ::CloseHandle(handle_of(handle_));
}

Result<std::vector<std::string>> TrustedFolder::manifests() const {
  std::vector<std::string> names;
  WIN32_FIND_DATAW found;
  HANDLE search = ::FindFirstFileW(to_path(path_ + "\\*" + kManifestSuffix).c_str(), &found);
  if (search == INVALID_HANDLE_VALUE) {
    if (::GetLastError() == ERROR_FILE_NOT_FOUND) return names;
    return fail(DS_E_IO, kDomain, "cannot list plugin folder %s", path_.c_str())
        .at(path_)
        .os(static_cast<int32_t>(::GetLastError()));
  }
  struct Closer {
    HANDLE search;
    ~Closer() { ::FindClose(search); }
  } closer{search};
  do {
    names.push_back(to_utf8(found.cFileName));
    if (names.size() > kMostCandidates)
      return fail(DS_E_PLUGIN, kDomain, "plugin folder %s: expected at most %u manifests", path_.c_str(),
                  static_cast<unsigned>(kMostCandidates))
          .at(path_);
  } while (::FindNextFileW(search, &found));
  std::sort(names.begin(), names.end());
  return names;
}

Judged<TrustedFile> TrustedFolder::file(const std::string &bare_name, bool follow_links) const {
  const std::string path = path_ + "\\" + bare_name;
  if (!is_bare_file_name(bare_name))
    return {
        nullptr,
        {PluginReason::kFile, fail(DS_E_ARGUMENT, kDomain, "%s: expected a bare file name", path.c_str()).at(path)}};
  std::unique_ptr<TrustedFile> file(new TrustedFile);
  file->path_ = path;
  HANDLE handle = ::CreateFileW(to_path(path).c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr, OPEN_EXISTING,
                                follow_links ? FILE_ATTRIBUTE_NORMAL : FILE_FLAG_OPEN_REPARSE_POINT, nullptr);
  if (handle == INVALID_HANDLE_VALUE)
    return {nullptr, refuse_open(path, "file", ::GetLastError(), PluginReason::kFile)};
  file->handle_ = reinterpret_cast<intptr_t>(handle);
  BY_HANDLE_FILE_INFORMATION facts;
  constexpr DWORD kOdd = FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_DEVICE | FILE_ATTRIBUTE_REPARSE_POINT;
  if (::GetFileType(handle) != FILE_TYPE_DISK || !::GetFileInformationByHandle(handle, &facts) ||
      (facts.dwFileAttributes & kOdd))
    return {nullptr,
            {PluginReason::kFile, fail(DS_E_FORMAT, kDomain, "%s: expected a regular file", path.c_str()).at(path)}};
  file->size_ = uint64_t{facts.nFileSizeHigh} << 32 | facts.nFileSizeLow;
  return {std::move(file), {}};
}

bool is_absolute(const std::string &path) {
  const bool drive = path.size() >= 3 && path[1] == ':' && (path[2] == '\\' || path[2] == '/');
  const bool share = path.size() >= 3 && path[0] == '\\' && path[1] == '\\';
  return (drive || share) && path.find('\0') == std::string::npos;
}

std::pair<std::string, std::string> split_path(const std::string &path) {
  const size_t slash = path.find_last_of("\\/");
  if (slash == std::string::npos) return {std::string(), path};
  return {path.substr(0, slash == 2 ? 3 : slash), path.substr(slash + 1)};  // "c:\" keeps its slash
}

void *open_system_library(const char *name) noexcept {
  return ::LoadLibraryExA(name, nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32 | LOAD_LIBRARY_SEARCH_APPLICATION_DIR);
}

void *open_library_at(const std::string &path) noexcept {
  try {
    return ::LoadLibraryExW(to_path(path).c_str(), nullptr,
                            LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
  } catch (...) {
    return nullptr;
  }
}

void *library_symbol(void *library, const char *symbol) noexcept {
  return reinterpret_cast<void *>(::GetProcAddress(static_cast<HMODULE>(library), symbol));
}

void close_library(void *library) noexcept { ::FreeLibrary(static_cast<HMODULE>(library)); }

}  // namespace deepseam::runtime
