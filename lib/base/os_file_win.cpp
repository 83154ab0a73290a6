// os_file.h on Windows. Handles are HANDLEs.
#include <algorithm>
#include <cstdio>

#include "base/os_file.h"
#include "base/utf16_win.h"

namespace deepseam {
namespace {

constexpr uint64_t kMostPerCall = uint64_t{1} << 30;

HANDLE to_handle(OsHandle handle) { return reinterpret_cast<HANDLE>(handle); }

Status os_failure(DWORD code, const char *verb, const std::string &path) {
  const bool missing = code == ERROR_FILE_NOT_FOUND || code == ERROR_PATH_NOT_FOUND || code == ERROR_INVALID_NAME;
  const bool denied = code == ERROR_ACCESS_DENIED || code == ERROR_SHARING_VIOLATION || code == ERROR_WRITE_PROTECT;
  const ds_status status = missing ? DS_E_NOT_FOUND : denied ? DS_E_PERMISSION : DS_E_IO;
  return fail(status, "file", "cannot %s %s: %s (system error %lu)", verb, path.c_str(),
              missing  ? "there is no such file or folder"
              : denied ? "permission denied or in use"
                       : "the system reports an error",
              static_cast<unsigned long>(code))
      .at(path)
      .os(static_cast<int32_t>(code));
}

// Whether pages stay readable once they are mapped. Nobody can truncate a mapped file here; what is left is a file that
// is behind a network, in a filesystem that is a program, on a disk that can be pulled out, or still to be fetched.
bool is_steady(const std::wstring &path, DWORD attributes) {
  constexpr DWORD kRecallOnOpen = 0x40000, kRecallOnDataAccess = 0x400000;  // winnt.h has them from Windows 10 on
  constexpr DWORD kElsewhere = FILE_ATTRIBUTE_OFFLINE | kRecallOnOpen | kRecallOnDataAccess;
  if (attributes & kElsewhere) return false;
  std::wstring root(path.size() + MAX_PATH + 1, L'\0');
  if (!GetVolumePathNameW(path.c_str(), root.data(), static_cast<DWORD>(root.size()))) return false;
  if (GetDriveTypeW(root.c_str()) != DRIVE_FIXED) return false;
  wchar_t kind[MAX_PATH + 1] = {};
  if (!GetVolumeInformationW(root.c_str(), nullptr, 0, nullptr, nullptr, nullptr, kind, MAX_PATH)) return false;
  return std::wstring_view(kind) == L"NTFS" || std::wstring_view(kind) == L"ReFS";
}

OVERLAPPED at_offset(uint64_t offset) {
  OVERLAPPED position{};
  position.Offset = static_cast<DWORD>(offset);
  position.OffsetHigh = static_cast<DWORD>(offset >> 32);
  return position;
}

}  // namespace

Result<OsFile> os_open_read(const std::string &path) {
  const std::wstring wide = to_path(path);
  const DWORD attributes = GetFileAttributesW(wide.c_str());
  if (attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY))
    return fail(DS_E_FORMAT, "file", "%s is a folder, expected a regular file", path.c_str()).at(path);
  const HANDLE handle = CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, nullptr,
                                    OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (handle == INVALID_HANDLE_VALUE) return os_failure(GetLastError(), "open", path);
  LARGE_INTEGER size;
  if (GetFileType(handle) != FILE_TYPE_DISK || !GetFileSizeEx(handle, &size)) {
    CloseHandle(handle);
    return fail(DS_E_FORMAT, "file", "%s is a device or pipe, expected a regular file", path.c_str()).at(path);
  }
  OsFile file;
  file.handle = reinterpret_cast<OsHandle>(handle);
  file.size = static_cast<uint64_t>(size.QuadPart);
  file.steady = is_steady(wide, attributes);
  return file;
}

void os_close(OsHandle handle) noexcept { CloseHandle(to_handle(handle)); }

OsTransfer os_read_at(OsHandle handle, uint64_t offset, std::span<uint8_t> into) noexcept {
  OsTransfer transfer;
  while (transfer.done < into.size()) {
    OVERLAPPED position = at_offset(offset + transfer.done);
    DWORD got = 0;
    const DWORD wanted = static_cast<DWORD>(std::min(kMostPerCall, into.size() - transfer.done));
    if (!ReadFile(to_handle(handle), into.data() + transfer.done, wanted, &got, &position)) {
      const DWORD code = GetLastError();
      transfer.os_code = code == ERROR_HANDLE_EOF ? 0 : static_cast<int32_t>(code);
      break;
    }
    if (got == 0) break;
    transfer.done += got;
  }
  return transfer;
}

OsTransfer os_write_at(OsHandle handle, uint64_t offset, std::span<const uint8_t> bytes) noexcept {
  OsTransfer transfer;
  while (transfer.done < bytes.size()) {
    OVERLAPPED position = at_offset(offset + transfer.done);
    DWORD put = 0;
    const DWORD wanted = static_cast<DWORD>(std::min(kMostPerCall, bytes.size() - transfer.done));
    if (!WriteFile(to_handle(handle), bytes.data() + transfer.done, wanted, &put, &position) || put == 0) {
      transfer.os_code = static_cast<int32_t>(GetLastError());
      break;
    }
    transfer.done += put;
  }
  return transfer;
}

std::span<const uint8_t> os_map(OsHandle handle, uint64_t size, int32_t &os_code) noexcept {
  const HANDLE mapping = CreateFileMappingW(to_handle(handle), nullptr, PAGE_READONLY, 0, 0, nullptr);
  const void *memory = mapping ? MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, static_cast<SIZE_T>(size)) : nullptr;
  os_code = memory ? 0 : static_cast<int32_t>(GetLastError());
  if (mapping) CloseHandle(mapping);  // the view keeps it alive
  if (!memory) return {};
  return {static_cast<const uint8_t *>(memory), static_cast<size_t>(size)};
}

void os_unmap(std::span<const uint8_t> view) noexcept { UnmapViewOfFile(view.data()); }

// Windows takes pages of mapped files back by itself.
void os_forget(std::span<const uint8_t>) noexcept {}

Status os_check_folder(const std::string &path) {
  const DWORD attributes = GetFileAttributesW(to_path(path).c_str());
  if (attributes == INVALID_FILE_ATTRIBUTES) return os_failure(GetLastError(), "open", path);
  if (!(attributes & FILE_ATTRIBUTE_DIRECTORY))
    return fail(DS_E_FORMAT, "file", "%s is not a folder, expected one", path.c_str()).at(path);
  return {};
}

Result<std::vector<std::string>> os_list(const std::string &path) {
  WIN32_FIND_DATAW entry;
  const HANDLE search = FindFirstFileW(to_path(path + "\\*").c_str(), &entry);
  if (search == INVALID_HANDLE_VALUE) return os_failure(GetLastError(), "list", path);
  std::vector<std::string> names;
  try {
    do {
      if (!(entry.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY)) names.push_back(to_utf8(entry.cFileName));
    } while (FindNextFileW(search, &entry));
  } catch (...) {
    FindClose(search);
    throw;
  }
  const DWORD end = GetLastError();
  FindClose(search);
  if (end != ERROR_NO_MORE_FILES) return os_failure(end, "list", path);
  std::sort(names.begin(), names.end());
  return names;
}

Result<OsHandle> os_create_beside(const std::string &path, std::string &temporary) {
  // Moving over a device or a folder is no replacement of a file.
  const DWORD old = GetFileAttributesW(to_path(path).c_str());
  if (old != INVALID_FILE_ATTRIBUTES && (old & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_DEVICE)))
    return fail(DS_E_FORMAT, "file", "%s is a folder or device, expected a regular file", path.c_str()).at(path);
  LARGE_INTEGER ticks;
  QueryPerformanceCounter(&ticks);
  uint64_t salt = static_cast<uint64_t>(ticks.QuadPart);
  for (int attempt = 0; attempt < 100; ++attempt, salt = salt * 6364136223846793005u + 1442695040888963407u) {
    char suffix[48];
    std::snprintf(suffix, sizeof suffix, ".%lu.%08x.tmp", static_cast<unsigned long>(GetCurrentProcessId()),
                  static_cast<unsigned>(salt >> 32));
    temporary = path + suffix;
    const HANDLE handle = CreateFileW(to_path(temporary).c_str(), GENERIC_READ | GENERIC_WRITE, 0, nullptr, CREATE_NEW,
                                      FILE_ATTRIBUTE_NORMAL, nullptr);
    if (handle != INVALID_HANDLE_VALUE && GetFileType(handle) == FILE_TYPE_DISK)
      return reinterpret_cast<OsHandle>(handle);
    if (handle != INVALID_HANDLE_VALUE) {  // names such as NUL are devices in every folder
      CloseHandle(handle);
      return fail(DS_E_FORMAT, "file", "%s is a device, expected a regular file", path.c_str()).at(path);
    }
    if (GetLastError() != ERROR_FILE_EXISTS) return os_failure(GetLastError(), "create", temporary);
  }
  return os_failure(ERROR_FILE_EXISTS, "create", temporary);
}

Status os_publish(OsHandle handle, const std::string &temporary, const std::string &path) {
  const DWORD flushed = FlushFileBuffers(to_handle(handle)) ? 0 : GetLastError();
  CloseHandle(to_handle(handle));
  if (flushed) return os_failure(flushed, "write", temporary);
  if (!MoveFileExW(to_path(temporary).c_str(), to_path(path).c_str(),
                   MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH))
    return os_failure(GetLastError(), "replace", path);
  return {};
}

void os_remove(const std::string &path) noexcept {
  try {
    DeleteFileW(to_path(path).c_str());
  } catch (...) {  // no memory for the name: the file stays
  }
}

}  // namespace deepseam
