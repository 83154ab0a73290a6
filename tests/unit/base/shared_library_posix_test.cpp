// base/shared_library.h where an open file can be loaded, whatever its name holds by then.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "base/shared_library.h"
#include "temporary_folder.h"

using namespace deepseam;

namespace {

std::string which(const SharedLibrary &library) {
  using Function = const char *();
  Function *function = reinterpret_cast<Function *>(library.symbol("which"));
  return function ? function() : "";
}

struct Descriptor {
  explicit Descriptor(const char *path) : fd(::open(path, O_RDONLY | O_CLOEXEC)) { REQUIRE(fd >= 0); }
  ~Descriptor() { ::close(fd); }
  int fd;
};

}  // namespace

TEST_CASE("a descriptor names the file that is loaded, whatever its path holds by now") {
  const TemporaryFolder folder;
  const std::string path = folder / "plugin.so";
  std::filesystem::copy_file(LOADABLE_ONE, path);
  const Descriptor verified(path.c_str());
  std::filesystem::remove(path);
  std::filesystem::copy_file(LOADABLE_TWO, path);
  Result<SharedLibrary> library = SharedLibrary::open(path, verified.fd);
  REQUIRE(library.ok());
  CHECK(which(*library) == "one");
}

TEST_CASE("a descriptor number used again loads the new file, not the one loaded under that number before") {
  const TemporaryFolder folder;
  std::filesystem::copy_file(LOADABLE_ONE, folder / "a.so");
  std::filesystem::copy_file(LOADABLE_TWO, folder / "b.so");
  SharedLibrary first, second;
  int number = -1;
  {
    const Descriptor descriptor((folder / "a.so").c_str());
    number = descriptor.fd;
    Result<SharedLibrary> opened = SharedLibrary::open(folder / "a.so", descriptor.fd);
    REQUIRE(opened.ok());
    first = std::move(opened).value();
  }
  {
    const Descriptor descriptor((folder / "b.so").c_str());
    REQUIRE(descriptor.fd == number);
    Result<SharedLibrary> opened = SharedLibrary::open(folder / "b.so", descriptor.fd);
    REQUIRE(opened.ok());
    second = std::move(opened).value();
  }
  CHECK(which(first) == "one");
  CHECK(which(second) == "two");
}

TEST_CASE("nor the one that was loaded under another number first and under this one later") {
  const TemporaryFolder folder;
  std::filesystem::copy_file(LOADABLE_ONE, folder / "a.so");
  std::filesystem::copy_file(LOADABLE_TWO, folder / "b.so");
  SharedLibrary first, again, second;
  int number = -1;
  {
    const Descriptor one((folder / "a.so").c_str()), two((folder / "a.so").c_str());
    number = two.fd;
    Result<SharedLibrary> opened = SharedLibrary::open(folder / "a.so", one.fd);
    REQUIRE(opened.ok());
    first = std::move(opened).value();
    opened = SharedLibrary::open(folder / "a.so", two.fd);  // the loader now knows it by two names
    REQUIRE(opened.ok());
    again = std::move(opened).value();
  }
  {
    const Descriptor filler((folder / "b.so").c_str()), descriptor((folder / "b.so").c_str());
    REQUIRE(descriptor.fd == number);
    Result<SharedLibrary> opened = SharedLibrary::open(folder / "b.so", descriptor.fd);
    REQUIRE(opened.ok());
    second = std::move(opened).value();
  }
  CHECK(which(again) == "one");
  CHECK(which(second) == "two");
}

TEST_CASE("own_folder is where this program lies") {
  CHECK(own_folder() == std::filesystem::read_symlink("/proc/self/exe").parent_path().string());
}
