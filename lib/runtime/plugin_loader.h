// From a folder to backends: finds candidates, refuses or loads them, and says why for every one.
//
// A candidate is a manifest and the binary it names, both in one folder. On the way from file to instance each step can
// only be reached through the one before it: folder and files belong to root or to us and nobody else may write them →
// manifest fits this machine → the binary has the manifest's size and hash → the host's verify callback agrees → that
// very open file is loaded (Linux: through its descriptor; Windows: the file stays open without write or delete sharing
// until it is loaded) → negotiate → table → instance → devices. A plugin that lies is reported, not followed.
// Which backend is used for what is the registry's business.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/backend.h"
#include "runtime/host_services.h"
#include "runtime/manifest.h"

namespace deepseam::runtime {

enum class PluginStage : uint32_t {
  kSearch = 0,
  kManifest = 1,
  kBinary = 2,
  kVerify = 3,
  kLibrary = 4,
  kNegotiate = 5,
  kTable = 6,
  kInstance = 7,
  kDevices = 8,
  kReady = 9,
};
const char *plugin_stage_name(PluginStage stage);  // "search", "manifest", …

// What became of one candidate. stage: how far it came (kReady: loaded). reason: a sentence, empty when ready.
struct PluginReport {
  std::string path;  // of the manifest, of the folder, or "(linked)"
  PluginStage stage = PluginStage::kSearch;
  PluginReason why = PluginReason::kNone;
  ds_status code = DS_OK;
  std::string reason;
  std::string name, version;  // empty as long as unknown
  bool loaded = false;
};

// What the host's verify callback gets to see: the very bytes that will be loaded.
struct VerifyRequest {
  const std::string &path;  // of the binary
  const Manifest &manifest;
  std::span<const uint8_t> binary;
};
// DS_OK lets the plugin in. The reason of a failure goes into the report.
using VerifyPlugin = std::function<Status(const VerifyRequest &)>;

struct LoaderOptions {
  std::vector<std::string> folders;  // absolute; searched before the library's own
  bool own_folder = true;            // own_folder()/deepseam/<DSB_ABI_MAJOR>
  VerifyPlugin verify;               // empty: none
};

// The folders that a search looks into, in order.
std::vector<std::string> search_folders(const LoaderOptions &options);

struct LoadOutcome {
  std::shared_ptr<Backend> backend;  // NULL if refused
  PluginReport report;
};

// `path` is absolute and names a manifest, or a binary whose sidecar lies beside it.
LoadOutcome load_plugin(const std::string &path, const VerifyPlugin &verify,
                        const std::shared_ptr<const HostOptions> &host);
// All candidates of a folder, in byte order of their names; one entry for the folder itself if it is refused.
std::vector<LoadOutcome> load_folder(const std::string &folder, const VerifyPlugin &verify,
                                     const std::shared_ptr<const HostOptions> &host);
// A backend that is linked into the program. `root` stays valid forever.
LoadOutcome load_linked(const dsb_root *root, const std::shared_ptr<const HostOptions> &host);

}  // namespace deepseam::runtime
