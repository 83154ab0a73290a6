// Random-access bytes to read from: a local file, memory, or the host's own read-at callbacks.
//
// A Source never changes its size: it is taken at open, and a read beyond what is there is an error that names the
// offset. read_at may be called from several threads at once and goes through the file even where it is mapped, so a
// file that is truncated meanwhile is a Status there. Who touches view() of a mapped file takes that risk upon itself.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

namespace deepseam {

class Source {
 public:
  virtual ~Source() = default;
  const std::string &name() const { return name_; }  // path or the host's name, for messages
  uint64_t size() const { return size_; }
  // Fills `into` from [offset, offset + into.size()), whole or not at all: DS_E_IO names offset, wanted and got.
  virtual Status read_at(uint64_t offset, std::span<uint8_t> into) const = 0;
  // The bytes themselves where they are in memory or mapped, else an empty span. Valid as long as the Source.
  virtual std::span<const uint8_t> view() const { return {}; }
  // These bytes of a mapped file are not needed soon: their pages may leave memory. They can still be read.
  virtual void forget(uint64_t offset, uint64_t size) const noexcept { (void)offset, (void)size; }

 protected:
  std::string name_;
  uint64_t size_ = 0;
};

enum class MapMode : uint32_t { kAuto = 0, kNever = 1, kAlways = 2 };

// A regular file. kAuto maps only where no page can fail later: local filesystems on which files cannot be truncated.
// kAlways fails where mapping fails.
// A missing file is DS_E_NOT_FOUND, a directory or device DS_E_FORMAT.
Result<std::shared_ptr<Source>> open_file(const std::string &path, MapMode map);

// Bytes that the caller keeps alive and unchanged as long as the Source.
Result<std::shared_ptr<Source>> open_memory(const std::string &name, std::span<const uint8_t> bytes);

// Where a model's files come from: `name` is relative ("config.json"); DS_E_NOT_FOUND if there is none, DS_E_FORMAT if
// the name would lead out of the folder.
class Folder {
 public:
  virtual ~Folder() = default;
  virtual Result<std::shared_ptr<Source>> open(const std::string &name) const = 0;
  // Plain file names in byte order; empty where the place cannot be listed (host callbacks).
  virtual Result<std::vector<std::string>> list() const = 0;
  virtual const std::string &path() const = 0;
};

Result<std::shared_ptr<Folder>> open_folder(const std::string &path, MapMode map);

// Whole content; DS_E_FORMAT if larger than `limit`.
Result<std::string> read_whole(const Source &source, uint64_t limit);

// A file that may as well not be there. Nothing happens if it is not, or stays because the system does not let it go.
void remove_file(const std::string &path) noexcept;

// Writes a file so that its path holds either the old content or the whole new one, whatever happens between: a
// temporary file beside it, synced, then renamed. Destroyed without commit(), it leaves nothing behind.
// What a killed process left, the next create() of the same path removes (on POSIX systems).
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::string &path);
  AtomicFile(AtomicFile &&other) noexcept;
  AtomicFile &operator=(AtomicFile &&) = delete;
  ~AtomicFile();
  Status append(std::span<const uint8_t> bytes);
  Status write_at(uint64_t offset, std::span<const uint8_t> bytes);  // within what was appended
  uint64_t size() const { return size_; }
  // Fills `into` from what was written so far.
  Status read_at(uint64_t offset, std::span<uint8_t> into) const;
  const std::string &path() const { return path_; }
  Status commit();

 private:
  AtomicFile() = default;
  Status write(uint64_t offset, std::span<const uint8_t> bytes);
  std::string path_, temporary_;
  intptr_t handle_ = -1;
  uint64_t size_ = 0;
};

}  // namespace deepseam
