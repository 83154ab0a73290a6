#include "runtime/plugin_loader.h"

#include <doctest/doctest.h>

#include "unit/runtime/plugin_folder.h"

namespace deepseam::runtime {
namespace {

using test::check_refused;
using test::is_loaded;
using test::manifest_for;
using test::plain_host;
using test::PluginFolder;
using test::report_of;

TEST_CASE("a plugin is loaded by its manifest or by its binary") {
  const PluginFolder folder;
  folder.add("lying_honest");
  for (const char *name : {"lying_honest.dsplugin", "lying_honest.so", "lying_honest"}) {
    CAPTURE(name);
    const LoadOutcome outcome = load_plugin(folder / name, {}, plain_host());
    REQUIRE(outcome.backend);
    CHECK(outcome.report.version == "1.0");
  }
}

TEST_CASE("an unloadable plugin is unloaded with its backend") {
  const PluginFolder folder;
  LoadOutcome outcome = load_plugin(folder.add("lying_honest"), {}, plain_host());
  REQUIRE(outcome.backend);
  CHECK(is_loaded(folder / "lying_honest.so"));
  outcome.backend.reset();
  CHECK_FALSE(is_loaded(folder / "lying_honest.so"));
}

TEST_CASE("a plugin that its manifest does not call unloadable stays") {
  const PluginFolder folder;
  Manifest manifest = manifest_for(folder.add_binary("lying_honest"));
  manifest.unloadable = false;
  LoadOutcome outcome = load_plugin(folder.add_manifest("lying_honest", manifest), {}, plain_host());
  REQUIRE(outcome.backend);
  outcome.backend.reset();
  CHECK(is_loaded(folder / "lying_honest.so"));
}

TEST_CASE("relative paths are refused") {
  check_refused(report_of("lying_honest.dsplugin"), PluginStage::kSearch, PluginReason::kFolder, DS_E_ARGUMENT);
  check_refused(report_of(""), PluginStage::kSearch, PluginReason::kFolder, DS_E_ARGUMENT);
  const std::vector<LoadOutcome> outcomes = load_folder("plugins", {}, plain_host());
  REQUIRE(outcomes.size() == 1);
  check_refused(outcomes[0].report, PluginStage::kSearch, PluginReason::kFolder, DS_E_ARGUMENT);
}

TEST_CASE("the current directory is never searched") {
  const PluginFolder folder;
  folder.add("lying_honest");
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  LoaderOptions options;
  options.folders = {".", ""};
  for (const std::string &path : search_folders(options))
    for (const LoadOutcome &outcome : load_folder(path, {}, plain_host())) CHECK(outcome.report.name != "liar");
  std::filesystem::current_path(before);
}

TEST_CASE("the library's own folder is searched after the host's") {
  LoaderOptions options;
  options.folders = {"/opt/a", "/opt/b"};
  const std::vector<std::string> folders = search_folders(options);
  REQUIRE(folders.size() == 3);
  CHECK(folders[0] == "/opt/a");
  CHECK(folders[1] == "/opt/b");
  CHECK(folders[2] == own_folder() + "/deepseam/" + std::to_string(DSB_ABI_MAJOR));
  options.own_folder = false;
  CHECK(search_folders(options).size() == 2);
}

TEST_CASE("a missing folder, a missing manifest and a missing binary are told apart") {
  const PluginFolder folder;
  check_refused(report_of(folder / "none/x.dsplugin"), PluginStage::kSearch, PluginReason::kFolder, DS_E_NOT_FOUND);
  check_refused(report_of(folder / "x.dsplugin"), PluginStage::kManifest, PluginReason::kFile, DS_E_NOT_FOUND);
  const std::string manifest = folder.add("lying_honest");
  std::filesystem::rename(folder / "lying_honest.so", folder / "renamed.so");
  check_refused(report_of(manifest), PluginStage::kBinary, PluginReason::kFile, DS_E_NOT_FOUND);
}

TEST_CASE("a binary without a manifest is not a candidate") {
  const PluginFolder folder;
  folder.add_binary("lying_honest");
  CHECK(load_folder(folder.path(), {}, plain_host()).empty());
}

TEST_CASE("a folder tells of every candidate in the order of names") {
  const PluginFolder folder;
  folder.add("lying_honest");
  folder.add("lying_count_absurd");
  test::write_bytes(folder / "broken.dsplugin", {1, 2, 3});
  const std::vector<LoadOutcome> outcomes = load_folder(folder.path(), {}, plain_host());
  REQUIRE(outcomes.size() == 3);
  check_refused(outcomes[0].report, PluginStage::kManifest, PluginReason::kManifest, DS_E_FORMAT);
  check_refused(outcomes[1].report, PluginStage::kDevices, PluginReason::kContract, DS_E_PLUGIN);
  CHECK(outcomes[2].report.loaded);
}

TEST_CASE("a folder with too many manifests is refused as a whole") {
  const PluginFolder folder;
  for (int i = 0; i < 257; ++i) test::write_bytes(folder / (std::to_string(i) + ".dsplugin"), {});
  const std::vector<LoadOutcome> outcomes = load_folder(folder.path(), {}, plain_host());
  REQUIRE(outcomes.size() == 1);
  check_refused(outcomes[0].report, PluginStage::kSearch, PluginReason::kFolder, DS_E_PLUGIN);
}

TEST_CASE("a false hash is refused and nothing is loaded") {
  const PluginFolder folder;
  Manifest manifest = manifest_for(folder.add_binary("lying_honest"));
  manifest.hash.low ^= 1;
  check_refused(report_of(folder.add_manifest("lying_honest", manifest)), PluginStage::kBinary, PluginReason::kHash,
                DS_E_CHECKSUM);
  CHECK_FALSE(is_loaded(folder / "lying_honest.so"));
}

TEST_CASE("a changed binary is refused") {
  const PluginFolder folder;
  const std::string manifest = folder.add("lying_honest");
  std::vector<uint8_t> bytes = test::read_bytes(folder / "lying_honest.so");
  bytes[bytes.size() / 2] ^= 1;
  test::write_bytes(folder / "lying_honest.so", bytes);
  check_refused(report_of(manifest), PluginStage::kBinary, PluginReason::kHash, DS_E_CHECKSUM);
  bytes.pop_back();
  test::write_bytes(folder / "lying_honest.so", bytes);
  check_refused(report_of(manifest), PluginStage::kBinary, PluginReason::kHash, DS_E_CHECKSUM);
}

TEST_CASE("a right manifest of a file that is no library is refused by the system") {
  const PluginFolder folder;
  test::write_bytes(folder / "text.so", {'h', 'e', 'l', 'l', 'o'});
  check_refused(report_of(folder.add_manifest("text", manifest_for(folder / "text.so"))), PluginStage::kLibrary,
                PluginReason::kLibrary, DS_E_PLUGIN);
}

TEST_CASE("what the manifest asks for is checked before the binary is opened") {
  const PluginFolder folder;
  Manifest manifest;
  manifest.name = "elsewhere";
  manifest.plugin_version = "1";
  manifest.abi_min = manifest.abi_max = DSB_ABI_VERSION;
  manifest.os = "plan9";
  manifest.arch = "mips";
  manifest.file = "not-there.so";
  manifest.file_bytes = 1;
  const PluginReport report = report_of(folder.add_manifest("x", manifest));
  check_refused(report, PluginStage::kManifest, PluginReason::kPlatform, DS_E_UNSUPPORTED);
  CHECK(report.name == "elsewhere");
}

TEST_CASE("every single damaged byte of a manifest on disk is reported") {
  const PluginFolder folder;
  const std::string path = folder.add("lying_honest");
  const std::vector<uint8_t> bytes = test::read_bytes(path);
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::vector<uint8_t> damaged = bytes;
    damaged[at] ^= 0x10;
    test::write_bytes(path, damaged);
    const PluginReport report = report_of(path);
    CAPTURE(at);
    CHECK(report.why == PluginReason::kManifest);
    CHECK_FALSE(report.loaded);
  }
}

TEST_CASE("the host sees path, signature and the very bytes, and may refuse") {
  const PluginFolder folder;
  Manifest manifest = manifest_for(folder.add_binary("lying_honest"));
  manifest.signature = {9, 8, 7};
  const std::string path = folder.add_manifest("lying_honest", manifest);
  int calls = 0;
  const VerifyPlugin refuse = [&](const VerifyRequest &request) {
    ++calls;
    CHECK(std::filesystem::path(request.path) == folder / "lying_honest.so");
    CHECK(request.manifest.signature == std::vector<uint8_t>{9, 8, 7});
    const std::vector<uint8_t> bytes = test::read_bytes(folder / "lying_honest.so");
    CHECK(std::equal(bytes.begin(), bytes.end(), request.binary.begin(), request.binary.end()));
    return fail(DS_E_PERMISSION, "host", "not signed by us");
  };
  const LoadOutcome refused = load_plugin(path, refuse, plain_host());
  check_refused(refused.report, PluginStage::kVerify, PluginReason::kRefused, DS_E_PERMISSION);
  CHECK(refused.report.reason.find("not signed by us") != std::string::npos);
  CHECK_FALSE(is_loaded(folder / "lying_honest.so"));
  CHECK(load_plugin(
            path, [](const VerifyRequest &) { return Status(); }, plain_host())
            .report.loaded);
  CHECK(calls == 1);
}

TEST_CASE("a linked backend needs no file") {
  const LoadOutcome none = load_linked(nullptr, plain_host());
  check_refused(none.report, PluginStage::kSearch, PluginReason::kSymbol, DS_E_ARGUMENT);
  static constexpr dsb_root kRefuses = {
      sizeof(dsb_root), 0, [](uint32_t, uint32_t, uint32_t *, ds_error *) -> ds_status { return DS_E_ABI; },
      [](uint32_t, dsb_api *, ds_error *) -> ds_status { return DS_E_ABI; }};
  const LoadOutcome refused = load_linked(&kRefuses, plain_host());
  check_refused(refused.report, PluginStage::kNegotiate, PluginReason::kAbi, DS_E_ABI);
  CHECK(refused.report.path == "(linked)");
}

}  // namespace
}  // namespace deepseam::runtime
