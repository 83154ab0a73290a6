// runtime/plugin_loader.h where a file that is open cannot be swapped.
#include <doctest/doctest.h>

#include "unit/runtime/plugin_folder.h"

namespace deepseam::runtime {
namespace {

using test::check_refused;
using test::plain_host;
using test::PluginFolder;
using test::report_of;

TEST_CASE("the file verified stays in its place until it is loaded") {
  const PluginFolder folder;
  const std::string path = folder.add("lying_honest");
  const PluginFolder other;
  other.add_binary("lying_name_other");
  int swapped = 0;
  const VerifyPlugin swap = [&](const VerifyRequest &request) {
    std::error_code refused;
    swapped += std::filesystem::remove(request.path, refused);
    std::filesystem::rename(other / "lying_name_other.so", request.path, refused);
    swapped += !refused;
    return Status();
  };
  const LoadOutcome outcome = load_plugin(path, swap, plain_host());
  CHECK(swapped == 0);
  CHECK_MESSAGE(outcome.report.loaded, outcome.report.reason);
}

TEST_CASE("a folder in place of a manifest is refused") {
  const PluginFolder folder;
  std::filesystem::create_directory(folder / "folder.dsplugin");
  const PluginReport report = report_of(folder / "folder.dsplugin");
  CHECK(report.stage == PluginStage::kManifest);
  CHECK(report.why == PluginReason::kFile);
}

}  // namespace
}  // namespace deepseam::runtime
