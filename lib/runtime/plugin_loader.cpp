#include "runtime/plugin_loader.h"

#include <algorithm>
#include <cstdio>

#include "runtime/handshake.h"
#include "runtime/plugin_file.h"

namespace deepseam::runtime {
namespace {

constexpr const char *kDomain = "plugin";
constexpr uint64_t kMostBinary = uint64_t{4} << 30;
constexpr size_t kPiece = 1 << 20;
constexpr const char *kEntry = "ds_backend_main";

void put_refusal(PluginReport &report, PluginStage stage, Refusal refusal) {
  report.stage = stage;
  report.why = refusal.reason;
  report.code = refusal.status.code();
  report.reason = refusal.status.message();
}

LoadOutcome refused(std::string path, PluginStage stage, Refusal refusal) {
  LoadOutcome outcome;
  outcome.report.path = std::move(path);
  put_refusal(outcome.report, stage, std::move(refusal));
  return outcome;
}

Refusal read_manifest(const TrustedFolder &folder, const std::string &name, Manifest &manifest) {
  Judged<TrustedFile> file = folder.file(name);
  if (!file.value) return std::move(file.refusal);
  if (file.value->size() > kMostManifestBytes)
    return {
        PluginReason::kManifest,
        fail(DS_E_FORMAT, kDomain, "%s: expected at most %llu bytes, found %llu", file.value->path().c_str(),
             static_cast<unsigned long long>(kMostManifestBytes), static_cast<unsigned long long>(file.value->size()))};
  std::vector<uint8_t> bytes(file.value->size());
  if (Status status = file.value->read_at(0, bytes); !status.ok()) return {PluginReason::kFile, std::move(status)};
  Result<Manifest> parsed = parse_manifest(file.value->path(), bytes);
  if (!parsed.ok()) return {PluginReason::kManifest, std::move(parsed).status()};
  manifest = std::move(parsed).value();
  return {};
}

// The hash of the open file; with `whole` not NULL its bytes are kept there.
Result<Hash128> hash_file(const TrustedFile &file, std::vector<uint8_t> *whole) {
  Hasher hasher;
  std::vector<uint8_t> piece(whole ? file.size() : std::min<uint64_t>(kPiece, file.size()));
  for (uint64_t done = 0; done < file.size();) {
    const std::span<uint8_t> part(piece.data(), std::min<uint64_t>(piece.size(), file.size() - done));
    DS_TRY(file.read_at(done, part));
    hasher.add(part);
    done += part.size();
  }
  if (whole) *whole = std::move(piece);
  return hasher.value128();
}

std::string hex(const Hash128 &hash) {
  char text[33];
  std::snprintf(text, sizeof text, "%016llx%016llx", static_cast<unsigned long long>(hash.high),
                static_cast<unsigned long long>(hash.low));
  return text;
}

Refusal check_binary(const TrustedFile &file, const Manifest &manifest, std::vector<uint8_t> *whole) {
  const char *path = file.path().c_str();
  if (file.size() != manifest.file_bytes || file.size() > kMostBinary)
    return {PluginReason::kHash,
            fail(DS_E_CHECKSUM, kDomain, "%s: expected %llu bytes as in its manifest, found %llu", path,
                 static_cast<unsigned long long>(manifest.file_bytes), static_cast<unsigned long long>(file.size()))};
  Result<Hash128> hash = hash_file(file, whole);
  if (!hash.ok()) return {PluginReason::kFile, std::move(hash).status()};
  if (!(*hash == manifest.hash))
    return {PluginReason::kHash, fail(DS_E_CHECKSUM, kDomain, "%s: expected hash %s as in its manifest, found %s", path,
                                      hex(manifest.hash).c_str(), hex(*hash).c_str())};
  return {};
}

Refusal ask_host(const VerifyPlugin &verify, const VerifyRequest &request) {
  Status status = verify(request);
  if (status.ok()) return {};
  return {PluginReason::kRefused,
          fail(status.code(), kDomain, "the host refused %s: %s", request.path.c_str(), status.message())};
}

// Maps the judged file and asks for its root.
Refusal open_library(const TrustedFile &file, SharedLibrary &library, const dsb_root *&root) {
  Result<SharedLibrary> opened = file.load();
  if (!opened.ok()) return {PluginReason::kLibrary, std::move(opened).status()};
  void *symbol = opened->symbol(kEntry);
  if (!symbol)
    return {PluginReason::kSymbol, fail(DS_E_PLUGIN, kDomain, "%s does not export %s", file.path().c_str(), kEntry)};
  library = std::move(opened).value();
  root = reinterpret_cast<dsb_main>(symbol)();
  if (root) return {};
  library.leave_loaded();  // its code has run, and nothing says that it may go
  return {PluginReason::kSymbol, fail(DS_E_PLUGIN, kDomain, "%s of %s returned NULL", kEntry, file.path().c_str())};
}

LoadOutcome load_from(const TrustedFolder &folder, const std::string &name, const VerifyPlugin &verify,
                      const std::shared_ptr<const HostOptions> &host) {
  LoadOutcome outcome;
  PluginReport &report = outcome.report;
  report.path = folder.path() + "/" + name;
  Manifest manifest;
  if (Refusal refusal = read_manifest(folder, name, manifest); !refusal.ok())
    return put_refusal(report, PluginStage::kManifest, std::move(refusal)), std::move(outcome);
  report.name = manifest.name;
  report.version = manifest.plugin_version;
  if (Refusal refusal = check_manifest(manifest, this_platform()); !refusal.ok())
    return put_refusal(report, PluginStage::kManifest, std::move(refusal)), std::move(outcome);

  Judged<TrustedFile> file = folder.file(manifest.file);
  if (!file.value) return put_refusal(report, PluginStage::kBinary, std::move(file.refusal)), std::move(outcome);
  std::vector<uint8_t> binary;
  if (Refusal refusal = check_binary(*file.value, manifest, verify ? &binary : nullptr); !refusal.ok())
    return put_refusal(report, PluginStage::kBinary, std::move(refusal)), std::move(outcome);
  if (verify) {
    if (Refusal refusal = ask_host(verify, {file.value->path(), manifest, binary}); !refusal.ok())
      return put_refusal(report, PluginStage::kVerify, std::move(refusal)), std::move(outcome);
    binary = {};
  }
  SharedLibrary library;
  const dsb_root *root = nullptr;
  if (Refusal refusal = open_library(*file.value, library, root); !refusal.ok())
    return put_refusal(report, PluginStage::kLibrary, std::move(refusal)), std::move(outcome);
  outcome.backend = BackendMaker::make(root, &manifest, std::move(library), host, report);
  return outcome;
}

}  // namespace

const char *plugin_stage_name(PluginStage stage) {
  static constexpr const char *kNames[] = {"search",    "manifest", "binary",   "verify",  "library",
                                           "negotiate", "table",    "instance", "devices", "ready"};
  const size_t index = static_cast<size_t>(stage);
  return index < std::size(kNames) ? kNames[index] : "?";
}

std::vector<std::string> search_folders(const LoaderOptions &options) {
  std::vector<std::string> folders = options.folders;
  if (std::string own = options.own_folder ? own_folder() : std::string(); !own.empty())
    folders.push_back(own + "/deepseam/" + std::to_string(DSB_ABI_MAJOR));
  return folders;
}

LoadOutcome load_plugin(const std::string &path, const VerifyPlugin &verify,
                        const std::shared_ptr<const HostOptions> &host) {
  if (!is_absolute(path))
    return refused(path, PluginStage::kSearch,
                   {PluginReason::kFolder,
                    fail(DS_E_ARGUMENT, kDomain, "plugin \"%s\": expected an absolute path", path.c_str())});
  auto [folder_path, name] = split_path(path);
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos || name.compare(dot, std::string::npos, kManifestSuffix) != 0)
    name = name.substr(0, dot) + kManifestSuffix;
  Judged<TrustedFolder> folder = TrustedFolder::open(folder_path);
  if (!folder.value) return refused(path, PluginStage::kSearch, std::move(folder.refusal));
  return load_from(*folder.value, name, verify, host);
}

std::vector<LoadOutcome> load_folder(const std::string &path, const VerifyPlugin &verify,
                                     const std::shared_ptr<const HostOptions> &host) {
  std::vector<LoadOutcome> outcomes;
  Judged<TrustedFolder> folder = TrustedFolder::open(path);
  if (!folder.value) {
    outcomes.push_back(refused(path, PluginStage::kSearch, std::move(folder.refusal)));
    return outcomes;
  }
  Result<std::vector<std::string>> names = folder.value->manifests();
  if (!names.ok()) {
    outcomes.push_back(refused(path, PluginStage::kSearch, {PluginReason::kFolder, std::move(names).status()}));
    return outcomes;
  }
  for (const std::string &name : *names) outcomes.push_back(load_from(*folder.value, name, verify, host));
  return outcomes;
}

LoadOutcome load_linked(const dsb_root *root, const std::shared_ptr<const HostOptions> &host) {
  if (!root)
    return refused("(linked)", PluginStage::kSearch,
                   {PluginReason::kSymbol, fail(DS_E_ARGUMENT, kDomain, "a linked backend's root is NULL")});
  LoadOutcome outcome;
  outcome.report.path = "(linked)";
  outcome.backend = BackendMaker::make(root, nullptr, SharedLibrary(), host, outcome.report);
  return outcome;
}

}  // namespace deepseam::runtime
