// Sources, folders and atomic files; what the operating system does is in os_file.h.
#include "base/file.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/checked.h"
#include "base/os_file.h"

namespace deepseam {
namespace {

unsigned long long number(uint64_t value) { return value; }

Status out_of_range(const std::string &name, uint64_t offset, uint64_t wanted, uint64_t size) {
  const uint64_t there = offset < size ? size - offset : 0;
  return fail(DS_E_IO, "file", "%s: expected %llu bytes at offset %llu, found %llu (the size is %llu)", name.c_str(),
              number(wanted), number(offset), number(there), number(size))
      .at(name, offset)
      .bytes(wanted, there);
}

Status transfer_failed(const std::string &name, const char *doing, uint64_t offset, uint64_t wanted,
                       const OsTransfer &transfer) {
  return fail(DS_E_IO, "file", "%s: %s %llu bytes at offset %llu failed after %llu (system error %d)", name.c_str(),
              doing, number(wanted), number(offset), number(transfer.done), transfer.os_code)
      .at(name, offset)
      .os(transfer.os_code)
      .bytes(wanted, transfer.done);
}

class MemorySource final : public Source {
 public:
  MemorySource(const std::string &name, std::span<const uint8_t> bytes) : bytes_(bytes) {
    name_ = name;
    size_ = bytes.size();
  }
  Status read_at(uint64_t offset, std::span<uint8_t> into) const override {
    if (!within(offset, into.size(), size_)) return out_of_range(name_, offset, into.size(), size_);
    if (!into.empty()) std::memcpy(into.data(), bytes_.data() + offset, into.size());
    return {};
  }
  std::span<const uint8_t> view() const override { return bytes_; }

 private:
  std::span<const uint8_t> bytes_;
};

// Reads go through the file even where it is mapped: if somebody truncates it, a read is a Status and a page is a
// fault.
class FileSource final : public Source {
 public:
  FileSource(const std::string &path, const OsFile &file) : handle_(file.handle) {
    name_ = path;
    size_ = file.size;
  }
  ~FileSource() override {
    if (!view_.empty()) os_unmap(view_);
    os_close(handle_);
  }
  FileSource(const FileSource &) = delete;
  FileSource &operator=(const FileSource &) = delete;

  Status map() {
    int32_t os_code = 0;
    if (size_ == 0) return {};
    view_ = os_map(handle_, size_, os_code);
    if (view_.empty())
      return fail(DS_E_IO, "file", "cannot map %s (%llu bytes, system error %d)", name_.c_str(), number(size_), os_code)
          .at(name_)
          .os(os_code);
    return {};
  }

  Status read_at(uint64_t offset, std::span<uint8_t> into) const override {
    if (!within(offset, into.size(), size_)) return out_of_range(name_, offset, into.size(), size_);
    const OsTransfer transfer = os_read_at(handle_, offset, into);
    if (transfer.done == into.size()) return {};
    if (transfer.os_code == 0)
      return fail(DS_E_IO, "file", "%s was truncated while open: expected %llu bytes at offset %llu, found %llu",
                  name_.c_str(), number(into.size()), number(offset), number(transfer.done))
          .at(name_, offset)
          .bytes(into.size(), transfer.done);
    return transfer_failed(name_, "reading", offset, into.size(), transfer);
  }
  std::span<const uint8_t> view() const override { return view_; }
  void forget(uint64_t offset, uint64_t size) const noexcept override {
    if (within(offset, size, view_.size())) os_forget(view_.subspan(offset, size));
  }

 private:
  OsHandle handle_;
  std::span<const uint8_t> view_;
};

// Names come from files such as a shard index, so they must not lead out of the folder.
bool stays_inside(const std::string &name) {
  if (name.empty() || name.find('\0') != std::string::npos || name[0] == '/') return false;
#if defined(_WIN32)
  constexpr const char *kSeparators = "/\\";
  if (name.find(':') != std::string::npos || name[0] == '\\') return false;
#else
  constexpr const char *kSeparators = "/";
#endif
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find_first_of(kSeparators, begin), name.size());
    if (name.compare(begin, end - begin, "..") == 0) return false;
    begin = end + 1;
  }
  return true;
}

class DiskFolder final : public Folder {
 public:
  DiskFolder(const std::string &path, MapMode map) : path_(path), map_(map) {}

  Result<std::shared_ptr<Source>> open(const std::string &name) const override {
    if (!stays_inside(name))
      return fail(DS_E_FORMAT, "file", "the file name \"%s\" leads out of the folder %s", name.c_str(), path_.c_str())
          .at(path_);
    return open_file(path_ + "/" + name, map_);
  }
  Result<std::vector<std::string>> list() const override { return os_list(path_); }
  const std::string &path() const override { return path_; }

 private:
  std::string path_;
  MapMode map_;
};

}  // namespace

Result<std::shared_ptr<Source>> open_file(const std::string &path, MapMode map) {
  if (path.empty() || path.find('\0') != std::string::npos)
    return fail(DS_E_ARGUMENT, "file", "a path is %s", path.empty() ? "empty" : "cut by a zero byte");
  DS_TRY_VALUE(const OsFile file, os_open_read(path));
  std::shared_ptr<FileSource> source;
  try {
    source = std::make_shared<FileSource>(path, file);
  } catch (...) {
    os_close(file.handle);
    throw;
  }
  if (map == MapMode::kAlways || (map == MapMode::kAuto && file.steady)) {
    Status mapped = source->map();
    if (!mapped.ok() && map == MapMode::kAlways) return mapped;
  }
  return std::shared_ptr<Source>(std::move(source));
}

Result<std::shared_ptr<Source>> open_memory(const std::string &name, std::span<const uint8_t> bytes) {
  return std::shared_ptr<Source>(std::make_shared<MemorySource>(name, bytes));
}

Result<std::shared_ptr<Folder>> open_folder(const std::string &path, MapMode map) {
  if (path.empty() || path.find('\0') != std::string::npos)
    return fail(DS_E_ARGUMENT, "file", "a path is %s", path.empty() ? "empty" : "cut by a zero byte");
  DS_TRY(os_check_folder(path));
  return std::shared_ptr<Folder>(std::make_shared<DiskFolder>(path, map));
}

Result<std::string> read_whole(const Source &source, uint64_t limit) {
  if (source.size() > limit)
    return fail(DS_E_FORMAT, "file", "%s has %llu bytes, expected at most %llu", source.name().c_str(),
                number(source.size()), number(limit))
        .at(source.name())
        .bytes(source.size(), limit);
  std::string text(static_cast<size_t>(source.size()), '\0');
  DS_TRY(source.read_at(0, {reinterpret_cast<uint8_t *>(text.data()), text.size()}));
  return text;
}

void remove_file(const std::string &path) noexcept { os_remove(path); }

Result<AtomicFile> AtomicFile::create(const std::string &path) {
  if (path.empty() || path.find('\0') != std::string::npos)
    return fail(DS_E_ARGUMENT, "file", "a path is %s", path.empty() ? "empty" : "cut by a zero byte");
  AtomicFile file;
  file.path_ = path;
  DS_TRY_VALUE(file.handle_, os_create_beside(path, file.temporary_));
  return file;
}

AtomicFile::AtomicFile(AtomicFile &&other) noexcept
    : path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      handle_(std::exchange(other.handle_, kNoHandle)),
      size_(other.size_) {}

AtomicFile::~AtomicFile() {
  if (handle_ == kNoHandle) return;
  os_close(handle_);
  os_remove(temporary_);
}

Status AtomicFile::append(std::span<const uint8_t> bytes) {
  const uint64_t end = size_ + bytes.size();
  DS_TRY(write(size_, bytes));
  size_ = end;
  return {};
}

Status AtomicFile::write_at(uint64_t offset, std::span<const uint8_t> bytes) {
  if (!within(offset, bytes.size(), size_)) return out_of_range(path_, offset, bytes.size(), size_);
  return write(offset, bytes);
}

Status AtomicFile::write(uint64_t offset, std::span<const uint8_t> bytes) {
  if (handle_ == kNoHandle)
    return fail(DS_E_IO, "file", "%s: written to after it was committed", path_.c_str()).at(path_, offset);
  const OsTransfer transfer = os_write_at(handle_, offset, bytes);
  if (transfer.done == bytes.size()) return {};
  return transfer_failed(path_, "writing", offset, bytes.size(), transfer);
}

Status AtomicFile::read_at(uint64_t offset, std::span<uint8_t> into) const {
  if (!within(offset, into.size(), size_)) return out_of_range(path_, offset, into.size(), size_);
  if (handle_ == kNoHandle)
    return fail(DS_E_IO, "file", "%s: read as unfinished after it was committed", path_.c_str()).at(path_, offset);
  const OsTransfer transfer = os_read_at(handle_, offset, into);
  if (transfer.done == into.size()) return {};
  return transfer_failed(path_, "reading", offset, into.size(), transfer);
}

Status AtomicFile::commit() {
  if (handle_ == kNoHandle) return fail(DS_E_IO, "file", "%s: committed twice", path_.c_str()).at(path_);
  Status published = os_publish(std::exchange(handle_, kNoHandle), temporary_, path_);
  if (!published.ok()) os_remove(temporary_);
  return published;
}

}  // namespace deepseam
