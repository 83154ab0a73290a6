// Fuzz target: plugin manifests. The bytes as they are, and again with a header that makes the checksum right, so that
// damage reaches the table behind it. What parses must be sane, comparable with any machine, and written back the same.
#include <cstdint>
#include <cstring>
#include <vector>

#include "runtime/manifest.h"

namespace {

using deepseam::Result;
using deepseam::runtime::Manifest;

constexpr size_t kHeader = 24;

[[noreturn]] void wrong() { __builtin_trap(); }

void check_sane(const Manifest &manifest) {
  using namespace deepseam::runtime;
  if (!is_bare_file_name(manifest.file) || !is_backend_name(manifest.name) || manifest.file_bytes == 0) wrong();
  Platform platform;
  platform.os = manifest.os;
  platform.arch = manifest.arch;
  platform.glibc = 2u << 16 | 31;
  platform.drivers = {{"nvidia", "525.60.13"}};
  platform.gpu_archs = {"sm_90"};
  platform.abi_max = UINT32_MAX;
  check_manifest(manifest, platform);
  const Result<std::vector<uint8_t>> bytes = write_manifest(manifest);
  if (!bytes.ok()) return;  // sane, but its tables shared bytes: written out it may be too long
  const Result<Manifest> again = parse_manifest("again", bytes.value());
  if (!again.ok() || again.value().name != manifest.name || again.value().file != manifest.file ||
      again.value().signature != manifest.signature || !(again.value().hash == manifest.hash))
    wrong();
}

void parse(const std::vector<uint8_t> &bytes) {
  const Result<Manifest> manifest = deepseam::runtime::parse_manifest("fuzz", bytes);
  if (manifest.ok())
    check_sane(manifest.value());
  else if (*manifest.status().message() == 0)
    wrong();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::vector<uint8_t> bytes(data, data + size);
  parse(bytes);
  if (size < kHeader) return 0;
  const std::span<const uint8_t> body = std::span(bytes).subspan(kHeader);
  static constexpr uint8_t kMagic[8] = {0x89, 'D', 'S', 'P', '\r', '\n', 0x1a, '\n'};
  const uint64_t numbers[2] = {deepseam::hash64(body), body.size()};
  std::memcpy(bytes.data(), kMagic, sizeof kMagic);
  std::memcpy(bytes.data() + sizeof kMagic, numbers, sizeof numbers);
  parse(bytes);
  return 0;
}
