#include "base/file.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "temporary_folder.h"

using namespace deepseam;

namespace {

std::span<const uint8_t> bytes_of(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

std::string read_some(const Source &source, uint64_t offset, size_t size) {
  std::string text(size, '?');
  const Status status = source.read_at(offset, {reinterpret_cast<uint8_t *>(text.data()), size});
  return status.ok() ? text : std::string("failed: ") + status.message();
}

std::shared_ptr<Source> opened(const std::string &path, MapMode map) {
  Result<std::shared_ptr<Source>> source = open_file(path, map);
  REQUIRE(source.ok());
  return source.value();
}

constexpr MapMode kModes[] = {MapMode::kAuto, MapMode::kNever, MapMode::kAlways};

}  // namespace

TEST_CASE("a file reads the same in every map mode") {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "0123456789");
  for (const MapMode map : kModes) {
    const std::shared_ptr<Source> source = opened(path, map);
    CHECK(source->size() == 10);
    CHECK(source->name() == path);
    CHECK(read_some(*source, 0, 10) == "0123456789");
    CHECK(read_some(*source, 7, 3) == "789");
    CHECK(read_some(*source, 10, 0).empty());
    if (map != MapMode::kAuto) CHECK(source->view().size() == (map == MapMode::kAlways ? 10u : 0u));
  }
}

TEST_CASE("a read that goes beyond the end names offset, expected and found, and does not wrap") {
  const TemporaryFolder folder;
  const std::string content = "0123456789";
  const std::string path = folder.write("f", content);
  Result<std::shared_ptr<Source>> memory = open_memory("m", bytes_of(content));
  REQUIRE(memory.ok());
  for (const std::shared_ptr<Source> &source : {opened(path, MapMode::kNever), memory.value()}) {
    uint8_t byte[4];
    const Status status = source->read_at(8, byte);
    REQUIRE(status.code() == DS_E_IO);
    CHECK(status.failure()->byte_offset == 8);
    CHECK(status.failure()->bytes_needed == 4);
    CHECK(status.failure()->bytes_available == 2);
    CHECK(source->read_at(UINT64_MAX - 1, byte).code() == DS_E_IO);
    CHECK(source->read_at(11, {}).code() == DS_E_IO);
  }
}

TEST_CASE("what is no regular file has its own status") {
  const TemporaryFolder folder;
  CHECK(open_file(folder / "missing", MapMode::kAuto).status().code() == DS_E_NOT_FOUND);
  CHECK(open_file(folder / "missing/file", MapMode::kAuto).status().code() == DS_E_NOT_FOUND);
  CHECK(open_file(folder.path(), MapMode::kAuto).status().code() == DS_E_FORMAT);
  CHECK(open_file("", MapMode::kAuto).status().code() == DS_E_ARGUMENT);
  CHECK(open_file(std::string("a\0b", 3), MapMode::kAuto).status().code() == DS_E_ARGUMENT);
}

TEST_CASE("an empty file is a Source of size 0 in every map mode") {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "");
  for (const MapMode map : kModes) CHECK(opened(path, map)->size() == 0);
}

TEST_CASE("a folder opens its files by name and lists regular files in byte order") {
  const TemporaryFolder folder;
  folder.write("b", "2");
  folder.write("C", "1");
  folder.write("a", "0");
  std::filesystem::create_directory(folder / "sub");
  std::ofstream(folder / "sub/inner") << "deep";
  Result<std::shared_ptr<Folder>> opened_folder = open_folder(folder.path(), MapMode::kAuto);
  REQUIRE(opened_folder.ok());
  const Folder &view = *opened_folder.value();
  Result<std::vector<std::string>> names = view.list();
  REQUIRE(names.ok());
  CHECK(names.value() == std::vector<std::string>{"C", "a", "b"});
  Result<std::shared_ptr<Source>> inner = view.open("sub/inner");
  REQUIRE(inner.ok());
  CHECK(read_some(*inner.value(), 0, 4) == "deep");
  CHECK(view.open("d").status().code() == DS_E_NOT_FOUND);
}

TEST_CASE("a file name from a file cannot lead out of the folder") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "sub");
  folder.write("secret", "s");
  Result<std::shared_ptr<Folder>> sub = open_folder(folder / "sub", MapMode::kAuto);
  REQUIRE(sub.ok());
  for (const char *name : {"../secret", "x/../../secret", "..", "/etc/passwd", "", "a/.."})
    CHECK(sub.value()->open(name).status().code() == DS_E_FORMAT);
  CHECK(sub.value()->open("..x").status().code() == DS_E_NOT_FOUND);
}

TEST_CASE("a folder that is none is refused") {
  const TemporaryFolder folder;
  CHECK(open_folder(folder / "missing", MapMode::kAuto).status().code() == DS_E_NOT_FOUND);
  CHECK(open_folder(folder.write("f", "x"), MapMode::kAuto).status().code() == DS_E_FORMAT);
}

TEST_CASE("read_whole keeps to its limit") {
  const std::string content = "0123456789";
  Result<std::shared_ptr<Source>> memory = open_memory("m", bytes_of(content));
  REQUIRE(memory.ok());
  CHECK(read_whole(*memory.value(), 10).value() == content);
  CHECK(read_whole(*memory.value(), 9).status().code() == DS_E_FORMAT);
}

TEST_CASE("an atomic file appears whole at commit and replaces what was there") {
  const TemporaryFolder folder;
  const std::string path = folder.write("target", "old");
  {
    Result<AtomicFile> file = AtomicFile::create(path);
    REQUIRE(file.ok());
    REQUIRE(file->append(bytes_of("hello world")).ok());
    REQUIRE(file->write_at(6, bytes_of("there")).ok());
    CHECK(file->size() == 11);
    CHECK(TemporaryFolder::read(path) == "old");
    REQUIRE(file->commit().ok());
    CHECK(TemporaryFolder::read(path) == "hello there");
    CHECK(file->append(bytes_of("x")).code() == DS_E_IO);
    CHECK(file->commit().code() == DS_E_IO);
  }
  CHECK(folder.entries() == 1);
}

TEST_CASE("an atomic file that is not committed leaves nothing") {
  const TemporaryFolder folder;
  {
    Result<AtomicFile> file = AtomicFile::create(folder / "target");
    REQUIRE(file.ok());
    REQUIRE(file->append(bytes_of("hello")).ok());
    const AtomicFile moved = std::move(file).value();
    CHECK(folder.entries() == 1);
  }
  CHECK(folder.entries() == 0);
}

TEST_CASE("an atomic file whose commit fails leaves nothing") {
  const TemporaryFolder folder;
  {
    Result<AtomicFile> file = AtomicFile::create(folder / "target");
    REQUIRE(file.ok());
    std::filesystem::create_directory(folder / "target");
    CHECK_FALSE(file->commit().ok());  // a file cannot replace a folder
  }
  CHECK(folder.entries() == 1);
}

#if !defined(_WIN32)
TEST_CASE("what a killed writer left goes when the same path is written again, and nothing else does") {
  const TemporaryFolder folder;
  const std::string left = folder.write("target.4711.0a1b2c3d.tmp", "half a file");
  for (const char *other : {"target", "target.tmp", "target.4711.0a1b2c3.tmp", "target.4711.0a1b2c3dx.tmp",
                            "target.x.0a1b2c3d.tmp", "other.4711.0a1b2c3d.tmp"})
    folder.write(other, "somebody else's");
  Result<AtomicFile> first = AtomicFile::create(folder / "target");
  REQUIRE(first.ok());
  CHECK_FALSE(std::filesystem::exists(left));
  CHECK(folder.entries() == 7);  // the others, and the new temporary file
  Result<AtomicFile> second = AtomicFile::create(folder / "target");
  REQUIRE(second.ok());
  CHECK(folder.entries() == 8);  // a writer at work keeps its file
  REQUIRE(first->append(bytes_of("first")).ok());
  REQUIRE(first->commit().ok());
  CHECK(TemporaryFolder::read(folder / "target") == "first");
  REQUIRE(second->append(bytes_of("second")).ok());
  REQUIRE(second->commit().ok());
  CHECK(TemporaryFolder::read(folder / "target") == "second");
  CHECK(folder.entries() == 6);
}
#endif

TEST_CASE("writing at a place that was not appended is refused") {
  const TemporaryFolder folder;
  Result<AtomicFile> file = AtomicFile::create(folder / "target");
  REQUIRE(file.ok());
  REQUIRE(file->append(bytes_of("1234")).ok());
  CHECK(file->write_at(2, bytes_of("xyz")).code() == DS_E_IO);
  CHECK(file->write_at(UINT64_MAX, bytes_of("xyz")).code() == DS_E_IO);
  CHECK(AtomicFile::create(folder / "no/such/folder").status().code() == DS_E_NOT_FOUND);
}

TEST_CASE("several threads read one Source at once") {
  const TemporaryFolder folder;
  std::string content(100000, 0);
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i % 251);
  const std::shared_ptr<Source> source = opened(folder.write("f", content), MapMode::kNever);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (size_t i = t; i < 500; ++i) wrong[t] += read_some(*source, i * 150, 200) != content.substr(i * 150, 200);
    });
  for (std::thread &thread : threads) thread.join();
  CHECK(wrong == std::vector<int>(4));
}
