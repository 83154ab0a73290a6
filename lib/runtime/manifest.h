// The sidecar of a plugin, NAME.dsplugin: what is known of deepseam-x.so before any of its code runs.
//
// A sidecar has the stem of its binary: deepseam-ref.so goes with deepseam-ref.dsplugin. The file is 24 bytes of header
// (magic, XXH3-64 of what follows, its size) and a FlatBuffer (manifest.fbs), 64 KiB at most. A manifest that parsed is
// complete and sane: every text is short, printable and of the right form. Whether it suits this machine is
// check_manifest's question; nothing here opens the binary.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/status.h"

namespace deepseam::runtime {

inline constexpr uint64_t kMostManifestBytes = 64 << 10;
inline constexpr const char *kManifestSuffix = ".dsplugin";

struct Manifest {
  std::string name;            // [a-z0-9_-], at most 32
  std::string plugin_version;  // at most 64
  uint32_t abi_min = 0, abi_max = 0;
  std::string os, arch;
  uint32_t min_glibc = 0;  // major << 16 | minor
  std::vector<std::string> gpu_archs;
  bool ptx = false;
  std::string driver, min_driver;  // both or neither
  std::string file;                // bare file name
  uint64_t file_bytes = 0;
  Hash128 hash;
  bool unloadable = false;
  std::vector<uint8_t> signature;
};

// DS_E_FORMAT names the field, what was expected and what was found; DS_E_CHECKSUM if the bytes are not those written;
// DS_E_UNSUPPORTED for a schema of a later meaning. `path` is for messages.
Result<Manifest> parse_manifest(const std::string &path, std::span<const uint8_t> bytes);

// The bytes of a sidecar; DS_E_ARGUMENT for a manifest that parse_manifest would refuse.
Result<std::vector<uint8_t>> write_manifest(const Manifest &manifest);

// Why a plugin was not taken. The numbers are stable.
enum class PluginReason : uint32_t {
  kNone = 0,
  kFolder = 1,      // not absolute, or cannot be listed
  kPermission = 2,  // others could have written it: owner or mode
  kFile = 3,        // missing, a link, a device, unreadable, too large
  kManifest = 4,    // not a manifest, or damaged
  kAbi = 5,
  kPlatform = 6,  // operating system or processor
  kLibc = 7,
  kGpuArch = 8,
  kDriver = 9,
  kHash = 10,       // the binary is not the one the manifest was written for
  kRefused = 11,    // by the host's verify callback
  kLibrary = 12,    // the system's loader refused it
  kSymbol = 13,     // no ds_backend_main, or it returned NULL
  kContract = 14,   // it broke a rule of backend.h
  kName = 15,       // its table says another name or version than its manifest
  kInstance = 16,   // instance_create failed
  kDuplicate = 17,  // a backend of that name is already there
  kDevices = 18,    // it answered, and has no device here (the plugin is kept)
};
const char *plugin_reason_name(PluginReason reason);  // "permission", "hash", …; "?" for an unknown number

// A reason with its sentence. ok() means: nothing speaks against it.
struct Refusal {
  PluginReason reason = PluginReason::kNone;
  Status status;
  bool ok() const { return reason == PluginReason::kNone; }
};

// What manifests are compared with. Unknown facts are zero or empty, and then speak against nothing.
struct Platform {
  std::string os, arch;
  uint32_t glibc = 0;  // major << 16 | minor
  struct Driver {
    std::string name, version;
  };
  std::vector<Driver> drivers;
  std::vector<std::string> gpu_archs;
  uint32_t abi_min = 0, abi_max = 0;
};
Platform this_platform();

Refusal check_manifest(const Manifest &manifest, const Platform &platform);

// Whether `name` can only name a file in the folder it is looked up in, on every system.
bool is_bare_file_name(const std::string &name);
// 1 to 32 of a-z, 0-9, _ and -.
bool is_backend_name(const std::string &name);

}  // namespace deepseam::runtime
