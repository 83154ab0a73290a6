// A plugin built against backend ABI 0.1 and never again: it loads and answers, or, once 0.1 is no longer spoken, is
// refused by its manifest with a status. layout_now.c, compiled into this program, holds today's header to its offsets.
#include <doctest/doctest.h>

#include <cstring>

#include "runtime/device.h"
#include "runtime/registry.h"
#include "unit/runtime/plugin_folder.h"

namespace deepseam::runtime {
namespace {

constexpr uint32_t kFrozenVersion = 1;  // 0.1

Manifest frozen_manifest(const test::PluginFolder &folder) {
  Manifest manifest = test::manifest_for(folder.add_binary("frozen_v0"));
  manifest.name = "frozen";
  manifest.plugin_version = "0.1";
  manifest.abi_min = manifest.abi_max = kFrozenVersion;
  return manifest;
}

TEST_CASE("the frozen plugin answers what a host asks before work begins") {
  const test::PluginFolder folder;
  const std::string path = folder.add_manifest("frozen_v0", frozen_manifest(folder));
  Registry registry{HostOptions{}};
  const Status loaded = registry.load(path, {});
  if (DSB_ABI_MAJOR != 0 || DSB_ABI_VERSION != kFrozenVersion) {
    CHECK(loaded.code() == DS_E_ABI);
    return;
  }
  REQUIRE_MESSAGE(loaded.ok(), loaded.message());
  Result<Choice> choice = registry.choose("frozen");
  REQUIRE(choice.ok());
  CHECK(choice->device.name == "frozen gpu");
  CHECK(choice->device.memory_bytes == uint64_t{2} << 30);
  CHECK(choice->device.pci == "0000:01:00.0");
  CHECK(choice->backend->features() == DSB_FEATURE_TREE);

  Result<std::shared_ptr<Device>> device = Device::open(choice->backend, choice->device.index, {});
  REQUIRE(device.ok());
  Result<DeviceMemory> memory = (*device)->memory();
  REQUIRE(memory.ok());
  CHECK(memory->free_bytes == 1000);
  CHECK(memory->total_bytes == 3000);
  CHECK((*device)->check().code() == DS_E_DEVICE_LOST_SHARED);
  CHECK((*device)->reopen().code() == DS_E_UNSUPPORTED);

  Result<std::unique_ptr<StepCancel>> cancel = StepCancel::create(*device);
  REQUIRE(cancel.ok());
  CHECK_FALSE((*cancel)->is_set());
  (*cancel)->set();
  CHECK((*cancel)->is_set());
  CHECK(registry.quiesce(1000000).ok());
}

TEST_CASE("a host that speaks another version refuses it without loading it") {
  const test::PluginFolder folder;
  Manifest manifest = frozen_manifest(folder);
  Platform later = this_platform();
  later.abi_min = later.abi_max = kFrozenVersion + 1;
  const Refusal refusal = check_manifest(manifest, later);
  CHECK(refusal.reason == PluginReason::kAbi);
  CHECK(refusal.status.code() == DS_E_ABI);
}

}  // namespace
}  // namespace deepseam::runtime
