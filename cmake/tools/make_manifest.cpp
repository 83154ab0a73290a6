// deepseam-manifest: writes the sidecar of a plugin, by asking the plugin itself.
//
//   deepseam-manifest PLUGIN OUT.dsplugin [--gpu-arch A]... [--ptx] [--min-driver MODULE:VERSION] [--signature FILE]
//                     [--name N --plugin-version V --os O --arch A [--unloadable]]
//
// PLUGIN is loaded for its name, version, ABI version and whether it may be unloaded; with --name and --plugin-version
// it is not loaded (a build for another machine). The glibc it needs is read off the symbol versions in the file. The
// loader takes nothing that group or others may write, so that permission is withdrawn from both files and their
// folders, whatever the builder's umask. A build tool: it is not part of the library and trusts its input.
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "base/file.h"
#include "base/shared_library.h"
#include "deepseam/backend.h"
#include "runtime/manifest.h"

namespace {

using deepseam::fail;
using deepseam::Result;
using deepseam::Status;
using deepseam::runtime::Manifest;

constexpr uint64_t kMostPlugin = uint64_t{4} << 30;

struct Arguments {
  std::string plugin, out, signature;
  Manifest manifest;
  bool ask_plugin = true;
};

// The largest N of GLIBC_2.N: the dynamic symbol versions are plain text in the file.
uint32_t needed_glibc(const std::string &binary) {
  static const std::string kKey = "GLIBC_2.";
  uint32_t most = 0;
  for (size_t at = binary.find(kKey); at != std::string::npos; at = binary.find(kKey, at + 1)) {
    uint32_t minor = 0;
    for (size_t i = at + kKey.size(); i < binary.size() && binary[i] >= '0' && binary[i] <= '9' && minor < 1000; ++i)
      minor = minor * 10 + static_cast<uint32_t>(binary[i] - '0');
    most = minor > most ? minor : most;
  }
  return most ? 2u << 16 | most : 0;
}

Result<std::string> whole_file(const std::string &path) {
  DS_TRY_VALUE(const std::shared_ptr<deepseam::Source> source, deepseam::open_file(path, deepseam::MapMode::kNever));
  return deepseam::read_whole(*source, kMostPlugin);
}

Status ask_plugin(const std::string &path, Manifest &manifest) {
  std::error_code missing;
  const std::string absolute = std::filesystem::canonical(path, missing).string();
  if (missing) return fail(DS_E_NOT_FOUND, "manifest", "cannot find %s", path.c_str());
  DS_TRY_VALUE(deepseam::SharedLibrary library, deepseam::SharedLibrary::open(absolute));
  const auto entry = reinterpret_cast<dsb_main>(library.symbol("ds_backend_main"));
  library.leave_loaded();
  const dsb_root *root = entry ? entry() : nullptr;
  if (!root) return fail(DS_E_PLUGIN, "manifest", "%s: no ds_backend_main, or it returned NULL", path.c_str());
  uint32_t version = 0;
  dsb_api api;
  std::memset(&api, 0, sizeof api);
  api.struct_size = sizeof api;
  if (root->negotiate(0, UINT32_MAX, &version, nullptr) != DS_OK || root->get_api(version, &api, nullptr) != DS_OK ||
      !api.name || !api.version)
    return fail(DS_E_PLUGIN, "manifest", "%s does not answer negotiate and get_api", path.c_str());
  manifest.name = api.name;
  manifest.plugin_version = api.version;
  manifest.unloadable = root->unloadable == 1;
  manifest.abi_max = version;
  manifest.abi_min = version >> 16 ? version & 0xffff0000u : version;  // of major 0 each version stands alone
  return {};
}

Status write_sidecar(Arguments &arguments) {
  Manifest &manifest = arguments.manifest;
  DS_TRY_VALUE(const std::string binary, whole_file(arguments.plugin));
  const auto *bytes = reinterpret_cast<const uint8_t *>(binary.data());
  manifest.file = std::filesystem::path(arguments.plugin).filename().string();
  manifest.file_bytes = binary.size();
  manifest.hash = deepseam::hash128({bytes, binary.size()});
  if (manifest.os == "linux") manifest.min_glibc = needed_glibc(binary);
  if (arguments.ask_plugin) DS_TRY(ask_plugin(arguments.plugin, manifest));
  if (!arguments.signature.empty()) {
    DS_TRY_VALUE(const std::string signature, whole_file(arguments.signature));
    manifest.signature.assign(signature.begin(), signature.end());
  }
  DS_TRY_VALUE(const std::vector<uint8_t> sidecar, deepseam::runtime::write_manifest(manifest));
  DS_TRY_VALUE(deepseam::AtomicFile file, deepseam::AtomicFile::create(arguments.out));
  DS_TRY(file.append(sidecar));
  return file.commit();
}

void withdraw_write_permission(const std::string &file) {
  using std::filesystem::perms;
  std::error_code ignored;  // where it cannot be changed, the loader will say what it found
  for (const std::filesystem::path &path :
       {std::filesystem::absolute(file), std::filesystem::absolute(file).parent_path()})
    std::filesystem::permissions(path, perms::group_write | perms::others_write, std::filesystem::perm_options::remove,
                                 ignored);
}

bool parse(int count, char **texts, Arguments &arguments) {
  Manifest &manifest = arguments.manifest;
  std::vector<std::string> files;
  for (int i = 1; i < count; ++i) {
    const std::string text = texts[i];
    if (text.rfind("--", 0) != 0) {
      files.push_back(text);
      continue;
    }
    if (text == "--ptx" || text == "--unloadable") {
      (text == "--ptx" ? manifest.ptx : manifest.unloadable) = true;
      continue;
    }
    if (++i == count) return false;
    const std::string value = texts[i];
    if (text == "--gpu-arch") {
      manifest.gpu_archs.push_back(value);
    } else if (text == "--min-driver") {
      const size_t colon = value.find(':');
      if (colon == std::string::npos) return false;
      manifest.driver = value.substr(0, colon);
      manifest.min_driver = value.substr(colon + 1);
    } else if (text == "--signature") {
      arguments.signature = value;
    } else if (text == "--name") {
      manifest.name = value;
      arguments.ask_plugin = false;
    } else if (text == "--plugin-version") {
      manifest.plugin_version = value;
    } else if (text == "--os") {
      manifest.os = value;
    } else if (text == "--arch") {
      manifest.arch = value;
    } else {
      return false;
    }
  }
  if (files.size() != 2) return false;
  arguments.plugin = files[0];
  arguments.out = files[1];
  return true;
}

}  // namespace

int main(int count, char **texts) {
  Arguments arguments;
  const deepseam::runtime::Platform platform = deepseam::runtime::this_platform();
  arguments.manifest.os = platform.os;
  arguments.manifest.arch = platform.arch;
  arguments.manifest.abi_min = arguments.manifest.abi_max = DSB_ABI_VERSION;
  if (!parse(count, texts, arguments)) {
    std::fprintf(stderr,
                 "usage: deepseam-manifest PLUGIN OUT.dsplugin [--gpu-arch A]... [--ptx] "
                 "[--min-driver MODULE:VERSION]\n"
                 "       [--signature FILE] [--name N --plugin-version V --os O --arch A [--unloadable]]\n");
    return 2;
  }
  const Status status = write_sidecar(arguments);
  if (status.ok()) {
    withdraw_write_permission(arguments.plugin);
    withdraw_write_permission(arguments.out);
    return 0;
  }
  std::fprintf(stderr, "deepseam-manifest: %s\n", status.message());
  return 1;
}
