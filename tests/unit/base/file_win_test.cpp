// base/file.h on Windows: names are UTF-16 and may be long, some are devices, and nobody changes a file that is open.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "temporary_folder.h"

using namespace deepseam;

namespace {

std::string content_of(const std::string &path) {
  return read_whole(*open_file(path, MapMode::kNever).value(), 100).value();
}

Status write_file(const std::string &path, const std::string &content) {
  DS_TRY_VALUE(AtomicFile file, AtomicFile::create(path));
  DS_TRY(file.append({reinterpret_cast<const uint8_t *>(content.data()), content.size()}));
  return file.commit();
}

}  // namespace

TEST_CASE("names are UTF-8, and what is not is the name of no file") {
  const TemporaryFolder folder;
  const std::string name = "s\xc3\xbc\xc3\x9f \xe6\x96\x87.txt";
  REQUIRE(write_file(folder / name, "content").ok());
  CHECK(content_of(folder / name) == "content");
  CHECK(open_folder(folder.path(), MapMode::kAuto).value()->list().value() == std::vector<std::string>{name});
  CHECK(open_file(folder / "\xff.txt", MapMode::kAuto).status().code() == DS_E_NOT_FOUND);
}

TEST_CASE("a path may be longer than 260 characters") {
  const TemporaryFolder folder;
  const auto unlimited = [](const std::string &path) {
    return "\\\\?\\" + std::filesystem::absolute(path).lexically_normal().make_preferred().string();
  };
  std::string path = folder.path();
  for (int i = 0; i < 4; ++i) {
    path += "/" + std::string(90, static_cast<char>('a' + i));
    REQUIRE(std::filesystem::create_directory(unlimited(path)));
  }
  REQUIRE(write_file(path + "/f", "deep").ok());
  CHECK(content_of(path + "/f") == "deep");
  CHECK(open_folder(path, MapMode::kNever).value()->list().value() == std::vector<std::string>{"f"});
  std::filesystem::remove(unlimited(path + "/f"));
  for (; path.size() > folder.path().size(); path.resize(path.rfind('/'))) std::filesystem::remove(unlimited(path));
}

TEST_CASE("a device is no regular file, and a folder is not replaced by one") {
  const TemporaryFolder folder;
  CHECK(open_file("NUL", MapMode::kAuto).status().code() == DS_E_FORMAT);
  CHECK(AtomicFile::create(folder.path()).status().code() == DS_E_FORMAT);
}

TEST_CASE("a file that is open keeps its bytes") {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "0123456789");
  const std::shared_ptr<Source> source = open_file(path, MapMode::kAlways).value();
  CHECK_FALSE(std::ofstream(path, std::ios::binary | std::ios::trunc).is_open());
  CHECK(source->view().size() == 10);
}

TEST_CASE("no separator and no drive leads out of the folder") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "sub");
  folder.write("secret", "s");
  const std::shared_ptr<Folder> sub = open_folder(folder / "sub", MapMode::kAuto).value();
  for (const char *name : {"..\\secret", "x\\..\\..\\secret", "\\windows", "c:\\windows", "c:secret", "f:stream"})
    CHECK(sub->open(name).status().code() == DS_E_FORMAT);
}
