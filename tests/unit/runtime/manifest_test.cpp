#include "runtime/manifest.h"

#include <doctest/doctest.h>

#include <cstring>

#include "deepseam/version.h"

namespace deepseam::runtime {
namespace {

Manifest example() {
  Manifest manifest;
  manifest.name = "cuda";
  manifest.plugin_version = "0.1.0";
  manifest.abi_min = 1;
  manifest.abi_max = 2;
  manifest.os = "linux";
  manifest.arch = "x86_64";
  manifest.min_glibc = 2u << 16 | 31;
  manifest.gpu_archs = {"sm_80", "sm_90"};
  manifest.ptx = true;
  manifest.driver = "nvidia";
  manifest.min_driver = "525.60.13";
  manifest.file = "deepseam-cuda.so";
  manifest.file_bytes = 12345;
  manifest.hash = {0x1122334455667788, 0x99aabbccddeeff00};
  manifest.unloadable = true;
  manifest.signature = {1, 2, 3, 0, 255};
  return manifest;
}

Platform machine() {
  Platform platform;
  platform.os = "linux";
  platform.arch = "x86_64";
  platform.glibc = 2u << 16 | 36;
  platform.abi_min = platform.abi_max = 1;
  return platform;
}

TEST_CASE("a manifest reads back as it was written") {
  const Manifest written = example();
  const Result<std::vector<uint8_t>> bytes = write_manifest(written);
  REQUIRE(bytes.ok());
  Result<Manifest> read = parse_manifest("x", bytes.value());
  REQUIRE(read.ok());
  CHECK(read->name == written.name);
  CHECK(read->plugin_version == written.plugin_version);
  CHECK(read->abi_min == written.abi_min);
  CHECK(read->abi_max == written.abi_max);
  CHECK(read->os == written.os);
  CHECK(read->arch == written.arch);
  CHECK(read->min_glibc == written.min_glibc);
  CHECK(read->gpu_archs == written.gpu_archs);
  CHECK(read->ptx == written.ptx);
  CHECK(read->driver == written.driver);
  CHECK(read->min_driver == written.min_driver);
  CHECK(read->file == written.file);
  CHECK(read->file_bytes == written.file_bytes);
  CHECK(read->hash == written.hash);
  CHECK(read->unloadable == written.unloadable);
  CHECK(read->signature == written.signature);
}

TEST_CASE("any single damaged byte is noticed") {
  const std::vector<uint8_t> bytes = write_manifest(example()).value();
  for (size_t at = 0; at < bytes.size(); ++at)
    for (const int change : {0x01, 0x80, 0xff}) {
      std::vector<uint8_t> damaged = bytes;
      damaged[at] = static_cast<uint8_t>(damaged[at] ^ change);
      const Result<Manifest> read = parse_manifest("x.dsplugin", damaged);
      CAPTURE(at);
      REQUIRE_FALSE(read.ok());
      REQUIRE(read.status().failure());
      CHECK(read.status().failure()->path == "x.dsplugin");
    }
}

TEST_CASE("any cut or lengthened manifest is noticed") {
  std::vector<uint8_t> bytes = write_manifest(example()).value();
  for (size_t size = 0; size < bytes.size(); ++size)
    CHECK_FALSE(parse_manifest("x", std::span(bytes.data(), size)).ok());
  bytes.push_back(0);
  CHECK_FALSE(parse_manifest("x", bytes).ok());
}

// The checksum keeps chance away, not intent: damage behind a right checksum must be survived as well.
TEST_CASE("damage with a matching checksum is refused or harmless") {
  const std::vector<uint8_t> bytes = write_manifest(example()).value();
  for (size_t at = 24; at < bytes.size(); ++at)
    for (int value = 0; value < 256; value += 5) {
      std::vector<uint8_t> damaged = bytes;
      damaged[at] = static_cast<uint8_t>(value);
      const uint64_t hash = hash64(std::span(damaged).subspan(24));
      std::memcpy(damaged.data() + 8, &hash, sizeof hash);
      const Result<Manifest> read = parse_manifest("x", damaged);
      if (read.ok()) CHECK(is_bare_file_name(read.value().file));
    }
}

TEST_CASE("what is too large is refused unread") {
  const Result<Manifest> read = parse_manifest("x", std::vector<uint8_t>(kMostManifestBytes + 1));
  CHECK(read.status().code() == DS_E_FORMAT);
  Manifest manifest = example();
  manifest.signature.resize(kMostManifestBytes);
  CHECK(write_manifest(manifest).status().code() == DS_E_ARGUMENT);
}

TEST_CASE("fields of the wrong form are not written") {
  const auto refuses = [](auto &&change) {
    Manifest manifest = example();
    change(manifest);
    return write_manifest(manifest).status().code() == DS_E_ARGUMENT;
  };
  CHECK(refuses([](Manifest &m) { m.name = ""; }));
  CHECK(refuses([](Manifest &m) { m.name = "Cuda"; }));
  CHECK(refuses([](Manifest &m) { m.name = std::string(33, 'a'); }));
  CHECK(refuses([](Manifest &m) { m.plugin_version = "1\n2"; }));
  CHECK(refuses([](Manifest &m) { m.os = ""; }));
  CHECK(refuses([](Manifest &m) { m.abi_min = 3; }));
  CHECK(refuses([](Manifest &m) { m.gpu_archs.assign(65, "sm_80"); }));
  CHECK(refuses([](Manifest &m) { m.driver = ""; }));
  CHECK(refuses([](Manifest &m) { m.min_driver = "52x"; }));
  CHECK(refuses([](Manifest &m) { m.min_driver = "1..2"; }));
  CHECK(refuses([](Manifest &m) { m.file = "../deepseam-cuda.so"; }));
  CHECK(refuses([](Manifest &m) { m.file_bytes = 0; }));
}

TEST_CASE("bare file names") {
  for (const char *good : {"deepseam-ref.so", "a", ".hidden", "libdnnl.so.2", "with space.so"})
    CHECK(is_bare_file_name(good));
  for (const char *bad : {"", ".", "..", "/a", "a/b", "a\\b", "c:a", "a\nb", "nul\x7f", "\xc3\xa4.so"})
    CHECK_FALSE(is_bare_file_name(bad));
  CHECK_FALSE(is_bare_file_name(std::string(256, 'a')));
  CHECK_FALSE(is_bare_file_name(std::string("a\0b", 3)));
}

TEST_CASE("a manifest that suits the machine passes") { CHECK(check_manifest(example(), machine()).ok()); }

TEST_CASE("another system or processor is refused") {
  Platform other = machine();
  other.arch = "aarch64";
  CHECK(check_manifest(example(), other).reason == PluginReason::kPlatform);
  other = machine();
  other.os = "windows";
  CHECK(check_manifest(example(), other).reason == PluginReason::kPlatform);
}

TEST_CASE("ABI ranges must meet") {
  Platform platform = machine();
  for (uint32_t version : {1u, 2u}) {
    platform.abi_min = platform.abi_max = version;
    CHECK(check_manifest(example(), platform).ok());
  }
  platform.abi_min = platform.abi_max = 3;
  CHECK(check_manifest(example(), platform).status.code() == DS_E_ABI);
  platform.abi_min = platform.abi_max = 0;
  CHECK(check_manifest(example(), platform).reason == PluginReason::kAbi);
}

TEST_CASE("an older glibc is refused, an unknown one is not") {
  Platform platform = machine();
  platform.glibc = 2u << 16 | 30;
  const Refusal refusal = check_manifest(example(), platform);
  CHECK(refusal.reason == PluginReason::kLibc);
  CHECK(std::string(refusal.status.message()) == "cuda needs glibc 2.31 or later, this machine has 2.30");
  platform.glibc = 0;
  CHECK(check_manifest(example(), platform).ok());
}

TEST_CASE("GPU code must fit a known GPU of its family, unless it can be translated") {
  Manifest manifest = example();
  Platform platform = machine();
  platform.gpu_archs = {"sm_70"};
  CHECK(check_manifest(manifest, platform).ok());
  manifest.ptx = false;
  CHECK(check_manifest(manifest, platform).reason == PluginReason::kGpuArch);
  platform.gpu_archs = {"sm_70", "sm_90"};
  CHECK(check_manifest(manifest, platform).ok());
  platform.gpu_archs = {"gfx90a"};  // says nothing about NVIDIA GPUs
  CHECK(check_manifest(manifest, platform).ok());
}

TEST_CASE("driver versions compare as numbers") {
  Platform platform = machine();
  for (const char *good : {"525.60.13", "525.60.14", "525.100", "1000.1", "525.60.13.1"}) {
    platform.drivers = {{"nvidia", good}};
    CHECK(check_manifest(example(), platform).ok());
  }
  for (const char *bad : {"525.60.12", "525.9.99", "99.99.99", "525"}) {
    platform.drivers = {{"nvidia", bad}};
    CHECK(check_manifest(example(), platform).reason == PluginReason::kDriver);
  }
  platform.drivers = {{"amdgpu", "1.0"}};
  CHECK(check_manifest(example(), platform).ok());
}

TEST_CASE("every reason has a name of its own") {
  for (uint32_t i = 0; i <= static_cast<uint32_t>(PluginReason::kDevices); ++i) {
    CHECK(plugin_reason_name(static_cast<PluginReason>(i)) != std::string("?"));
    for (uint32_t j = 0; j < i; ++j)
      CHECK(plugin_reason_name(static_cast<PluginReason>(i)) !=
            std::string(plugin_reason_name(static_cast<PluginReason>(j))));
  }
  CHECK(plugin_reason_name(static_cast<PluginReason>(1000)) == std::string("?"));
}

TEST_CASE("this machine is known") {
  const Platform platform = this_platform();
  CHECK_FALSE(platform.os.empty());
  CHECK_FALSE(platform.arch.empty());
  CHECK(platform.abi_max == DSB_ABI_VERSION);
}

}  // namespace
}  // namespace deepseam::runtime
