// Every lying plugin is reported with a stage, a reason and a sentence, is not followed, and crashes nothing.
#include <doctest/doctest.h>

#include <string>

#include "unit/runtime/plugin_folder.h"

namespace deepseam::runtime {
namespace {

using test::plain_host;
using test::PluginFolder;

struct Expected {
  const char *plugin;
  PluginStage stage;
  PluginReason why;
  const char *words;  // part of the sentence
};

constexpr Expected kLies[] = {
    {"lying_no_symbol", PluginStage::kLibrary, PluginReason::kSymbol, "does not export ds_backend_main"},
    {"lying_root_null", PluginStage::kLibrary, PluginReason::kSymbol, "returned NULL"},
    {"lying_root_size_zero", PluginStage::kNegotiate, PluginReason::kContract, "dsb_root.struct_size"},
    {"lying_root_size_huge", PluginStage::kNegotiate, PluginReason::kContract, "found 4294967295"},
    {"lying_root_no_functions", PluginStage::kNegotiate, PluginReason::kContract, "is NULL"},
    {"lying_negotiate_beyond", PluginStage::kNegotiate, PluginReason::kContract, "negotiate chose"},
    {"lying_negotiate_unwritten", PluginStage::kNegotiate, PluginReason::kContract, "negotiate chose"},
    {"lying_negotiate_refuses", PluginStage::kNegotiate, PluginReason::kAbi, "only version 99 is spoken here"},
    {"lying_table_size_zero", PluginStage::kTable, PluginReason::kContract, "dsb_api.struct_size"},
    {"lying_table_size_huge", PluginStage::kTable, PluginReason::kContract, "found 4294967295"},
    {"lying_table_overrun", PluginStage::kTable, PluginReason::kContract, "wrote behind"},
    {"lying_table_unwritten", PluginStage::kTable, PluginReason::kContract, "dsb_api.abi_version"},
    {"lying_table_other_abi", PluginStage::kTable, PluginReason::kContract, "dsb_api.abi_version"},
    {"lying_table_refused", PluginStage::kTable, PluginReason::kAbi, "get_api refused"},
    {"lying_slots_null", PluginStage::kInstance, PluginReason::kInstance, "instance_create is not offered"},
    {"lying_name_null", PluginStage::kTable, PluginReason::kContract, "dsb_api.name"},
    {"lying_name_other", PluginStage::kTable, PluginReason::kName, "expected liar as in the manifest, found ref"},
    {"lying_name_endless", PluginStage::kTable, PluginReason::kContract, "dsb_api.name"},
    {"lying_version_other", PluginStage::kTable, PluginReason::kName, "expected 1.0 as in the manifest, found 2.0"},
    {"lying_instance_fails", PluginStage::kInstance, PluginReason::kInstance,
     "instance_create failed with DS_E_DEVICE and gave no reason"},
    {"lying_instance_babbles", PluginStage::kInstance, PluginReason::kInstance, "xxxxxxxx"},
    {"lying_instance_unwritten", PluginStage::kInstance, PluginReason::kContract, "success without an instance"},
    {"lying_count_absurd", PluginStage::kDevices, PluginReason::kContract, "found 2147483647"},
    {"lying_count_unwritten", PluginStage::kDevices, PluginReason::kContract, "device_count"},
    {"lying_info_unwritten", PluginStage::kDevices, PluginReason::kContract, "kind of device 0"},
    {"lying_info_size_huge", PluginStage::kDevices, PluginReason::kContract, "struct_size"},
};

TEST_CASE("each lie is reported and the plugin is not taken") {
  for (const Expected &expected : kLies) {
    CAPTURE(expected.plugin);
    const PluginFolder folder;
    const LoadOutcome outcome = load_plugin(folder.add(expected.plugin), {}, plain_host());
    CHECK(outcome.backend == nullptr);
    CHECK_FALSE(outcome.report.loaded);
    CHECK(plugin_stage_name(outcome.report.stage) == std::string(plugin_stage_name(expected.stage)));
    CHECK(plugin_reason_name(outcome.report.why) == std::string(plugin_reason_name(expected.why)));
    CHECK(outcome.report.code != DS_OK);
    CHECK_MESSAGE(outcome.report.reason.find(expected.words) != std::string::npos, outcome.report.reason);
  }
}

TEST_CASE("the honest one is taken") {
  const PluginFolder folder;
  const LoadOutcome outcome = load_plugin(folder.add("lying_honest"), {}, plain_host());
  REQUIRE(outcome.backend);
  CHECK(outcome.report.stage == PluginStage::kReady);
  CHECK(outcome.report.loaded);
  CHECK(outcome.report.reason.empty());
  CHECK(outcome.report.name == "liar");
  REQUIRE(outcome.backend->devices().size() == 1);
  CHECK(outcome.backend->devices()[0].name == "truthful device");
}

TEST_CASE("the build tool's manifest tells what the plugin says of itself, and loads") {
  const PluginFolder folder;
  const std::string name = std::string("lying_honest") + test::kBuiltSuffix;
  test::write_bytes(folder / name, test::read_bytes(std::string(DS_LYING_DIR) + "/" + name));
  const std::vector<uint8_t> sidecar = test::read_bytes(std::string(DS_LYING_DIR) + "/lying_honest.dsplugin");
  test::write_bytes(folder / "lying_honest.dsplugin", sidecar);
  const LoadOutcome outcome = load_plugin(folder / "lying_honest.dsplugin", {}, plain_host());
  CHECK_MESSAGE(outcome.report.loaded, outcome.report.reason);
  const Result<Manifest> manifest = parse_manifest("x", sidecar);
  REQUIRE(manifest.ok());
  CHECK(manifest.value().unloadable);
  CHECK(manifest.value().abi_min == DSB_ABI_VERSION);
  if (this_platform().glibc) CHECK(manifest.value().min_glibc >= (2u << 16 | 2));
  CHECK(manifest.value().min_glibc <= this_platform().glibc);
}

TEST_CASE("the build tool's manifest tells what it was told") {
  const Result<Manifest> parsed = parse_manifest("x", test::read_bytes(std::string(DS_LYING_DIR) + "/told.dsplugin"));
  REQUIRE(parsed.ok());
  const Manifest &manifest = parsed.value();
  CHECK(manifest.name == "told");
  CHECK(manifest.plugin_version == "3.4");
  CHECK(manifest.os == "windows");
  CHECK(manifest.arch == "aarch64");
  CHECK(manifest.gpu_archs == std::vector<std::string>{"sm_80", "sm_90"});
  CHECK(manifest.ptx);
  CHECK(manifest.driver == "nvidia");
  CHECK(manifest.min_driver == "525.60.13");
  CHECK(manifest.file == std::string("lying_honest") + test::kBuiltSuffix);
  CHECK_FALSE(manifest.signature.empty());
  CHECK_FALSE(manifest.unloadable);
}

TEST_CASE("a plugin without devices is kept, with its reason") {
  for (const char *name : {"lying_count_none", "lying_count_fails"}) {
    CAPTURE(name);
    const PluginFolder folder;
    const LoadOutcome outcome = load_plugin(folder.add(name), {}, plain_host());
    REQUIRE(outcome.backend);
    CHECK(outcome.report.loaded);
    CHECK(outcome.report.why == PluginReason::kDevices);
    CHECK(outcome.report.stage == PluginStage::kDevices);
    CHECK_FALSE(outcome.report.reason.empty());
    CHECK(outcome.backend->devices().empty());
  }
}

TEST_CASE("texts without an end are cut at their field") {
  const PluginFolder folder;
  const LoadOutcome outcome = load_plugin(folder.add("lying_info_endless"), {}, plain_host());
  REQUIRE(outcome.backend);
  const DeviceInfo &device = outcome.backend->devices()[0];
  CHECK(device.name == std::string(64, 'n'));
  CHECK(device.uuid == std::string(40, 'u'));
  CHECK(device.arch == std::string(24, 'a'));
}

TEST_CASE("a status that is none becomes one") {
  const PluginFolder folder;
  const LoadOutcome outcome = load_plugin(folder.add("lying_instance_babbles"), {}, plain_host());
  CHECK(outcome.report.code == DS_E_PLUGIN);
}

TEST_CASE("a table longer than ours is used as far as we know it") {
  const PluginFolder folder;
  const LoadOutcome outcome = load_plugin(folder.add("lying_newer_table"), {}, plain_host());
  REQUIRE(outcome.backend);
  CHECK(outcome.backend->devices().size() == 1);
  CHECK(outcome.backend->has_slot(offsetof(dsb_api, device_info)));
}

TEST_CASE("slots behind the end of a shorter table answer unsupported, by name") {
  const PluginFolder folder;
  const LoadOutcome outcome = load_plugin(folder.add("lying_older_table"), {}, plain_host());
  REQUIRE(outcome.backend);
  const Backend &backend = *outcome.backend;
  CHECK(backend.has_slot(offsetof(dsb_api, device_info)));
  CHECK_FALSE(backend.has_slot(offsetof(dsb_api, device_open)));
  const dsb_device_options options{};
  dsb_device *device = nullptr;
  const Status status = backend.call("device_open", [&](ds_error *error) {
    return backend.api().device_open(backend.instance(), 0, &options, &device, error);
  });
  CHECK(status.code() == DS_E_UNSUPPORTED);
  CHECK(std::string(status.message()) == "plugin liar: device_open is not offered by this plugin");
  backend.api().ticket_release(nullptr);  // a stub without a result does nothing
  CHECK(backend.api().ticket_wait(nullptr, 0, nullptr, nullptr) == DS_E_UNSUPPORTED);
}

TEST_CASE("a slot that the table holds only half counts as missing") {
  const PluginFolder folder;
  const LoadOutcome outcome = load_plugin(folder.add("lying_half_slot"), {}, plain_host());
  REQUIRE(outcome.backend);
  CHECK_FALSE(outcome.backend->has_slot(offsetof(dsb_api, device_info)));
  CHECK(outcome.report.why == PluginReason::kDevices);
  CHECK(outcome.report.code == DS_E_UNSUPPORTED);
}

}  // namespace
}  // namespace deepseam::runtime
