// A folder of its own for a test that loads plugins, with binaries from the build and manifests made for them.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "runtime/plugin_loader.h"

namespace deepseam::runtime::test {

inline std::vector<uint8_t> read_bytes(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  return std::vector<uint8_t>(std::istreambuf_iterator<char>(file), {});
}

inline void write_bytes(const std::string &path, const std::vector<uint8_t> &bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char *>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  ::chmod(path.c_str(), 0644);
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
  manifest.file = std::filesystem::path(binary_path).filename();
  manifest.file_bytes = bytes.size();
  manifest.hash = hash128(bytes);
  manifest.unloadable = true;
  return manifest;
}

class PluginFolder {
 public:
  PluginFolder() : PluginFolder(std::filesystem::temp_directory_path().string()) {}
  explicit PluginFolder(const std::string &parent) {
    std::string pattern = parent + "/deepseam-plugins-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
    ::chmod(path_.c_str(), 0755);
  }
  ~PluginFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  PluginFolder(const PluginFolder &) = delete;
  PluginFolder &operator=(const PluginFolder &) = delete;

  const std::string &path() const { return path_; }
  std::string operator/(const std::string &name) const { return path_ + "/" + name; }

  // Copies a plugin of the build here; returns its path.
  std::string add_binary(const std::string &name) const {
    write_bytes(*this / (name + ".so"), read_bytes(std::string(DS_LYING_DIR) + "/" + name + ".so"));
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

}  // namespace deepseam::runtime::test
