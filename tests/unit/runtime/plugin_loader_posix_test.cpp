// runtime/plugin_loader.h where files have owners and modes, and can be swapped while they are open.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit/runtime/plugin_folder.h"

namespace deepseam::runtime {
namespace {

using test::check_refused;
using test::plain_host;
using test::PluginFolder;
using test::report_of;

constexpr uid_t kStranger = 54321;

TEST_CASE("folders and files that others may write are refused") {
  for (const mode_t mode : {0775, 0757, 0777, 01777}) {
    CAPTURE(mode);
    const PluginFolder folder;
    const std::string path = folder.add("lying_honest");
    ::chmod(folder.path().c_str(), mode);
    check_refused(report_of(path), PluginStage::kSearch, PluginReason::kPermission, DS_E_PERMISSION);
  }
  for (const mode_t mode : {0664, 0646, 0666}) {
    CAPTURE(mode);
    const PluginFolder folder;
    const std::string path = folder.add("lying_honest");
    ::chmod(path.c_str(), mode);
    check_refused(report_of(path), PluginStage::kManifest, PluginReason::kPermission, DS_E_PERMISSION);
    ::chmod(path.c_str(), 0644);
    ::chmod((folder / "lying_honest.so").c_str(), mode);
    check_refused(report_of(path), PluginStage::kBinary, PluginReason::kPermission, DS_E_PERMISSION);
  }
}

TEST_CASE("folders and files of a stranger are refused") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: only root can give files away");
    return;
  }
  const PluginFolder folder;
  const std::string path = folder.add("lying_honest");
  REQUIRE(::chown((folder / "lying_honest.so").c_str(), kStranger, 0) == 0);
  check_refused(report_of(path), PluginStage::kBinary, PluginReason::kPermission, DS_E_PERMISSION);
  REQUIRE(::chown(path.c_str(), kStranger, 0) == 0);
  check_refused(report_of(path), PluginStage::kManifest, PluginReason::kPermission, DS_E_PERMISSION);
  REQUIRE(::chown(folder.path().c_str(), kStranger, 0) == 0);
  check_refused(report_of(path), PluginStage::kSearch, PluginReason::kPermission, DS_E_PERMISSION);
}

TEST_CASE("files of root and of the effective user are taken by another user") {
  if (::geteuid() != 0) {
    MESSAGE("skipped: only root can become somebody else");
    return;
  }
  const PluginFolder folder("/tmp");  // root's own temporary folder may lie where nobody else can go
  const std::string path = folder.add("lying_honest");
  REQUIRE(::chown((folder / "lying_honest.so").c_str(), kStranger, 0) == 0);
  REQUIRE(::seteuid(kStranger) == 0);
  const PluginReport report = report_of(path);
  REQUIRE(::seteuid(0) == 0);
  CHECK_MESSAGE(report.loaded, report.reason);
}

TEST_CASE("links to files are refused, links to folders are followed") {
  const PluginFolder folder, elsewhere;
  const std::string path = folder.add("lying_honest");
  std::filesystem::create_symlink(path, elsewhere / "lying_honest.dsplugin");
  check_refused(report_of(elsewhere / "lying_honest.dsplugin"), PluginStage::kManifest, PluginReason::kFile, DS_E_IO);
  std::filesystem::rename(folder / "lying_honest.so", folder / "real.so");
  std::filesystem::create_symlink("real.so", folder / "lying_honest.so");
  check_refused(report_of(path), PluginStage::kBinary, PluginReason::kFile, DS_E_IO);
  std::filesystem::remove(folder / "lying_honest.so");
  std::filesystem::rename(folder / "real.so", folder / "lying_honest.so");
  std::filesystem::create_directory_symlink(folder.path(), elsewhere / "link");
  CHECK(report_of(elsewhere / "link/lying_honest.dsplugin").loaded);
  ::chmod(folder.path().c_str(), 0777);  // it is the folder at the end that is judged
  check_refused(report_of(elsewhere / "link/lying_honest.dsplugin"), PluginStage::kSearch, PluginReason::kPermission,
                DS_E_PERMISSION);
}

TEST_CASE("pipes and folders in place of files do not make it wait") {
  const PluginFolder folder;
  REQUIRE(::mkfifo((folder / "pipe.dsplugin").c_str(), 0600) == 0);
  std::filesystem::create_directory(folder / "folder.dsplugin");
  check_refused(report_of(folder / "pipe.dsplugin"), PluginStage::kManifest, PluginReason::kFile, DS_E_FORMAT);
  check_refused(report_of(folder / "folder.dsplugin"), PluginStage::kManifest, PluginReason::kFile, DS_E_FORMAT);
}

// The file is swapped under its name after it was verified: the verified one is loaded.
TEST_CASE("the file verified is the file loaded") {
  const PluginFolder folder;
  const std::string path = folder.add("lying_honest");
  const PluginFolder other;
  other.add_binary("lying_name_other");
  const VerifyPlugin swap = [&](const VerifyRequest &request) {
    std::filesystem::remove(request.path);
    std::filesystem::rename(other / "lying_name_other.so", request.path);
    return Status();
  };
  const LoadOutcome outcome = load_plugin(path, swap, plain_host());
  CHECK_MESSAGE(outcome.report.loaded, outcome.report.reason);
}

}  // namespace
}  // namespace deepseam::runtime
