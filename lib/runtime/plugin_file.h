// Opening files that code will be loaded from: only those that nobody but root and ourselves can have written.
//
// The rule, for a folder and for the regular file in it alike (POSIX): the owner is root or our effective user, and
// neither group nor others may write. A file is looked up in its opened folder and may not be a symbolic link; the
// folder itself may be reached through links, since it is the folder at their end that is judged. With this rule it
// does not matter who can write further up: what is loaded was put there by root or by us. What was judged stays open,
// and that open file is what is read and loaded.
// On Windows access lists are the installer's business; the file is held open without write or delete sharing.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/shared_library.h"
#include "base/status.h"
#include "runtime/manifest.h"

namespace deepseam::runtime {

class TrustedFolder;

// A judged file, open. Moves only.
class TrustedFile {
 public:
  TrustedFile(TrustedFile &&other) noexcept;
  TrustedFile &operator=(TrustedFile &&) = delete;
  ~TrustedFile();

  const std::string &path() const { return path_; }
  uint64_t size() const { return size_; }
  Status read_at(uint64_t offset, std::span<uint8_t> into) const;
  Result<SharedLibrary> load() const;  // this very file

 private:
  friend class TrustedFolder;
  TrustedFile() = default;
  std::string path_;
  intptr_t handle_ = -1;
  uint64_t size_ = 0;
};

// Either a value or why not.
template <typename T>
struct Judged {
  std::unique_ptr<T> value;
  Refusal refusal;
};

class TrustedFolder {
 public:
  static Judged<TrustedFolder> open(const std::string &path);  // absolute
  ~TrustedFolder();
  TrustedFolder(const TrustedFolder &) = delete;
  TrustedFolder &operator=(const TrustedFolder &) = delete;

  const std::string &path() const { return path_; }
  // Names of manifests, in byte order; at most kMostCandidates of them.
  Result<std::vector<std::string>> manifests() const;
  // With `follow_links` the file at the end of a link is judged: for vendor libraries, whose names are links.
  Judged<TrustedFile> file(const std::string &bare_name, bool follow_links = false) const;

 private:
  TrustedFolder() = default;
  std::string path_;
  intptr_t handle_ = -1;
};

inline constexpr size_t kMostCandidates = 256;

bool is_absolute(const std::string &path);
// Folder and bare name of an absolute path.
std::pair<std::string, std::string> split_path(const std::string &path);

// A library by bare name, as the system's loader finds it; NULL if there is none.
void *open_system_library(const char *name) noexcept;
// One at an absolute path that passed the rule.
void *open_library_at(const std::string &path) noexcept;
void *library_symbol(void *library, const char *symbol) noexcept;
void close_library(void *library) noexcept;

}  // namespace deepseam::runtime
