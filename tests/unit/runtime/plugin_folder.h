// A folder of its own for a test that loads plugins, with binaries from the build and manifests made for them.
#pragma once

#if defined(_WIN32)
#include "base/utf16_win.h"
#else
#include <dlfcn.h>
#endif

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "runtime/plugin_loader.h"
#include "unit/base/temporary_folder.h"

namespace deepseam::runtime::test {

inline std::vector<uint8_t> read_bytes(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return std::vector<uint8_t>(std::istreambuf_iterator<char>(file), {});
}

inline void write_bytes(const std::string &path, const std::vector<uint8_t> &bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  using std::filesystem::perms;
  const perms others = perms::group_read | perms::others_read;
  std::filesystem::permissions(path, perms::owner_read | perms::owner_write | others);
}

#if defined(_WIN32)
inline constexpr const char *kBuiltSuffix = ".dll";
#else
inline constexpr const char *kBuiltSuffix = ".so";
#endif

// Whether the binary at `path` is mapped into this process.
inline bool is_loaded(const std::string &path) {
#if defined(_WIN32)
  return ::GetModuleHandleW(std::filesystem::path(path).make_preferred().c_str()) != nullptr;
#else
  void *handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_NOLOAD);
  if (handle) ::dlclose(handle);
  return handle != nullptr;
#endif
}

// The truth about a binary, as far as a manifest tells it.
inline Manifest manifest_for(const std::string &binary_path) {
  const std::vector<uint8_t> bytes = read_bytes(binary_path);
  const Platform platform = this_platform();
  Manifest manifest;
  manifest.name = "liar";
  manifest.plugin_version = "1.0";
  manifest.abi_min = manifest.abi_max = DSB_ABI_VERSION;
  manifest.os = platform.os;
  manifest.arch = platform.arch;
  manifest.file = std::filesystem::path(binary_path).filename().string();
  manifest.file_bytes = bytes.size();
  manifest.hash = hash128(bytes);
  manifest.unloadable = true;
  return manifest;
}

class PluginFolder {
 public:
  PluginFolder() : PluginFolder(std::filesystem::temp_directory_path().string()) {}
  explicit PluginFolder(const std::string &parent) {
    using std::filesystem::perms;
    path_ = make_temporary_folder(parent);
    std::filesystem::permissions(path_, perms::group_write | perms::others_write,
                                 std::filesystem::perm_options::remove);
  }
  ~PluginFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  PluginFolder(const PluginFolder &) = delete;
  PluginFolder &operator=(const PluginFolder &) = delete;

  const std::string &path() const { return path_; }
  std::string operator/(const std::string &name) const { return path_ + "/" + name; }

  // Copies a plugin of the build here, by one name on every system; returns its path.
  std::string add_binary(const std::string &name) const {
    write_bytes(*this / (name + ".so"), read_bytes(std::string(DS_LYING_DIR) + "/" + name + kBuiltSuffix));
    return *this / (name + ".so");
  }
  std::string add_manifest(const std::string &stem, const Manifest &manifest) const {
    write_bytes(*this / (stem + ".dsplugin"), write_manifest(manifest).value());
    return *this / (stem + ".dsplugin");
  }
  // Binary and a true manifest; returns the manifest's path.
  std::string add(const std::string &name) const { return add_manifest(name, manifest_for(add_binary(name))); }

 private:
  std::string path_;
};

inline std::shared_ptr<const HostOptions> plain_host() { return std::make_shared<const HostOptions>(); }

inline PluginReport report_of(const std::string &path) { return load_plugin(path, {}, plain_host()).report; }

inline void check_refused(const PluginReport &report, PluginStage stage, PluginReason why, ds_status code) {
  CHECK(plugin_stage_name(report.stage) == std::string(plugin_stage_name(stage)));
  CHECK(plugin_reason_name(report.why) == std::string(plugin_reason_name(why)));
  CHECK(report.code == code);
  CHECK_FALSE(report.loaded);
  CHECK_FALSE(report.reason.empty());
}

}  // namespace deepseam::runtime::test
