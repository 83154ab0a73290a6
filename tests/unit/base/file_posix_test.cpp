// base/file.h where files can be truncated while they are open, and where pipes and devices have names among files.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <vector>

#include "base/file.h"
#include "temporary_folder.h"

using namespace deepseam;

TEST_CASE("a file that can be truncated is mapped only where the host asks for it") {
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "0123456789");
  CHECK(open_file(path, MapMode::kAuto).value()->view().empty());
}

TEST_CASE("a file truncated while open fails with a sentence, mapped or not") {
  const TemporaryFolder folder;
  for (const MapMode map : {MapMode::kAuto, MapMode::kNever, MapMode::kAlways}) {
    const std::string path = folder.write("f", std::string(20000, 'x'));
    const std::shared_ptr<Source> source = open_file(path, map).value();
    REQUIRE(::truncate(path.c_str(), 5000) == 0);
    std::vector<uint8_t> into(10000);
    const Status status = source->read_at(0, into);
    REQUIRE(status.code() == DS_E_IO);
    CHECK(status.failure()->bytes_available == 5000);
    CHECK(std::string(status.message()).find("truncated") != std::string::npos);
  }
}

TEST_CASE("a device is no regular file") {
  CHECK(open_file("/dev/null", MapMode::kAuto).status().code() == DS_E_FORMAT);
}

TEST_CASE("a pipe without a writer is refused at once, not waited for") {
  const TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(open_file(folder / "pipe", MapMode::kAuto).status().code() == DS_E_FORMAT);
}

TEST_CASE("a file without permission is DS_E_PERMISSION") {
  if (::geteuid() == 0) return;  // root may read everything
  const TemporaryFolder folder;
  const std::string path = folder.write("f", "x");
  REQUIRE(::chmod(path.c_str(), 0) == 0);
  CHECK(open_file(path, MapMode::kAuto).status().code() == DS_E_PERMISSION);
}

TEST_CASE("what is no file must not be replaced by one, even where this process could") {
  const TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "fifo").c_str(), 0600) == 0);
  REQUIRE(::symlink("/dev/null", (folder / "link").c_str()) == 0);
  for (const std::string &path : {folder / "fifo", folder / "link", folder.path()})
    CHECK(AtomicFile::create(path).status().code() == DS_E_FORMAT);
}

TEST_CASE("a write that the system refuses is an error with its code") {
  const TemporaryFolder folder;
  Result<AtomicFile> file = AtomicFile::create(folder / "target");
  REQUIRE(file.ok());
  rlimit saved;
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &saved) == 0);
  const rlimit small{4096, saved.rlim_max};
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const Status status = file->append(std::vector<uint8_t>(10000));
  ::setrlimit(RLIMIT_FSIZE, &saved);
  ::signal(SIGXFSZ, handler);
  REQUIRE(status.code() == DS_E_IO);
  CHECK(status.failure()->os_code == EFBIG);
  CHECK(status.failure()->bytes_available == 4096);
}
