// What file.cpp asks of the operating system, and nothing more. Owns the two implementations' common border:
// os_file_posix.cpp and os_file_win.cpp. Paths are UTF-8 (on POSIX any bytes). Nothing here is for other folders.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace deepseam {

using OsHandle = intptr_t;
inline constexpr OsHandle kNoHandle = -1;

struct OsFile {
  OsHandle handle = kNoHandle;
  uint64_t size = 0;
  bool steady = false;  // mapped pages cannot fail: no network behind them, and nobody can truncate the file
};

// How far a read or write came. done < wanted with os_code 0: the file ended.
struct OsTransfer {
  uint64_t done = 0;
  int32_t os_code = 0;
};

Result<OsFile> os_open_read(const std::string &path);  // regular files only, never waits for a pipe's writer
void os_close(OsHandle handle) noexcept;
OsTransfer os_read_at(OsHandle handle, uint64_t offset, std::span<uint8_t> into) noexcept;
OsTransfer os_write_at(OsHandle handle, uint64_t offset, std::span<const uint8_t> bytes) noexcept;

// A read-only view of the first `size` (> 0) bytes; empty if the system refuses.
std::span<const uint8_t> os_map(OsHandle handle, uint64_t size, int32_t &os_code) noexcept;
void os_unmap(std::span<const uint8_t> view) noexcept;
// Lets the whole pages inside `part` of a view leave memory.
void os_forget(std::span<const uint8_t> part) noexcept;

Status os_check_folder(const std::string &path);
Result<std::vector<std::string>> os_list(const std::string &path);

// A new file in the folder of `path`, whose name no other file has; `temporary` receives that name. DS_E_FORMAT if
// something is at `path` that is no regular file. On POSIX systems temporary files for `path` whose writer is gone are
// removed.
Result<OsHandle> os_create_beside(const std::string &path, std::string &temporary);
// Syncs and closes `handle`, renames `temporary` to `path`, syncs the folder. `handle` is closed in every case.
Status os_publish(OsHandle handle, const std::string &temporary, const std::string &path);
void os_remove(const std::string &path) noexcept;

}  // namespace deepseam
