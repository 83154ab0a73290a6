#include "runtime/handshake.h"

#include <cstdio>
#include <cstring>
#include <utility>

#include "runtime/slots.h"

namespace deepseam::runtime {
namespace {

constexpr const char *kDomain = "plugin";
constexpr uint32_t kLeastRoot = offsetof(dsb_root, get_api) + sizeof(void *);
constexpr uint32_t kLeastTable = offsetof(dsb_api, instance_create);
constexpr uint32_t kMostStruct = 64 << 10;
constexpr size_t kMostVersion = 64;

// The table, and bytes behind it that a plugin which fills more than it was asked for would hit.
struct GuardedTable {
  static constexpr uint8_t kPattern = 0xa5;
  dsb_api api;
  uint8_t guard[4096];
};

// A plugin's own words, cut and terminated wherever it stopped.
std::string words_of(const ds_error &error) {
  return std::string(error.message, strnlen(error.message, sizeof error.message));
}

Refusal broken_contract(Status status) { return {PluginReason::kContract, std::move(status)}; }

bool copy_bounded(const char *from, size_t most, std::string &to) {
  if (!from) return false;
  const size_t size = strnlen(from, most + 1);
  if (size == 0 || size > most) return false;
  to.assign(from, size);
  for (char c : to)
    if (c < 0x20 || c >= 0x7f) return false;
  return true;
}

void put_refusal(PluginReport &report, Refusal refusal) {
  report.why = refusal.reason;
  report.code = refusal.status.code();
  report.reason = refusal.status.message();
}

}  // namespace

Refusal BackendMaker::negotiate(const dsb_root &root, uint32_t &version) {
  if (root.struct_size < kLeastRoot || root.struct_size > kMostStruct)
    return broken_contract(fail(DS_E_PLUGIN, kDomain, "dsb_root.struct_size: expected %u to %u, found %u", kLeastRoot,
                                kMostStruct, root.struct_size));
  if (!root.negotiate || !root.get_api)
    return broken_contract(fail(DS_E_PLUGIN, kDomain, "dsb_root: negotiate or get_api is NULL"));
  const Platform platform = this_platform();
  ds_error error = fresh_error();
  version = 0;
  if (const ds_status code = root.negotiate(platform.abi_min, platform.abi_max, &version, &error); code != DS_OK)
    return {PluginReason::kAbi, fail(DS_E_ABI, kDomain, "no common backend ABI with %u.%u to %u.%u (status %d): %s",
                                     platform.abi_min >> 16, platform.abi_min & 0xffff, platform.abi_max >> 16,
                                     platform.abi_max & 0xffff, code, words_of(error).c_str())};
  if (version < platform.abi_min || version > platform.abi_max)
    return broken_contract(fail(DS_E_PLUGIN, kDomain,
                                "negotiate chose backend ABI %u.%u: expected one from %u.%u to %u.%u", version >> 16,
                                version & 0xffff, platform.abi_min >> 16, platform.abi_min & 0xffff,
                                platform.abi_max >> 16, platform.abi_max & 0xffff));
  return {};
}

Refusal BackendMaker::read_table(const dsb_root &root, uint32_t version, Backend &backend) {
  const auto table = std::make_unique<GuardedTable>();
  std::memset(table->guard, GuardedTable::kPattern, sizeof table->guard);
  table->api.struct_size = sizeof(dsb_api);
  ds_error error = fresh_error();
  if (const ds_status code = root.get_api(version, &table->api, &error); code != DS_OK)
    return {PluginReason::kAbi, fail(DS_E_ABI, kDomain, "get_api refused backend ABI %u.%u (status %d): %s",
                                     version >> 16, version & 0xffff, code, words_of(error).c_str())};
  for (uint8_t byte : table->guard)
    if (byte != GuardedTable::kPattern)
      return broken_contract(
          fail(DS_E_PLUGIN, kDomain, "get_api wrote behind the %zu bytes it was given", sizeof(dsb_api)));
  const uint32_t size = table->api.struct_size;
  if (size < kLeastTable || size > sizeof(dsb_api))
    return broken_contract(fail(DS_E_PLUGIN, kDomain, "dsb_api.struct_size: expected %u to %zu, found %u", kLeastTable,
                                sizeof(dsb_api), size));
  if (table->api.abi_version != version)
    return broken_contract(fail(DS_E_PLUGIN, kDomain, "dsb_api.abi_version: expected the negotiated %u.%u, found %u.%u",
                                version >> 16, version & 0xffff, table->api.abi_version >> 16,
                                table->api.abi_version & 0xffff));
  std::memcpy(&backend.api_, &table->api, size);
  backend.offered_ = complete_table(backend.api_);
  return {};
}

Refusal BackendMaker::check_names(const Manifest *manifest, Backend &backend) {
  if (!copy_bounded(backend.api_.name, 32, backend.name_) || !is_backend_name(backend.name_))
    return broken_contract(fail(DS_E_PLUGIN, kDomain, "dsb_api.name: expected 1 to 32 of a-z, 0-9, _ and -"));
  if (!copy_bounded(backend.api_.version, kMostVersion, backend.version_))
    return broken_contract(fail(DS_E_PLUGIN, kDomain, "dsb_api.version of %s: expected 1 to 64 printable characters",
                                backend.name_.c_str()));
  if (manifest && manifest->name != backend.name_)
    return {PluginReason::kName, fail(DS_E_PLUGIN, kDomain, "dsb_api.name: expected %s as in the manifest, found %s",
                                      manifest->name.c_str(), backend.name_.c_str())};
  if (manifest && manifest->plugin_version != backend.version_)
    return {PluginReason::kName,
            fail(DS_E_PLUGIN, kDomain, "dsb_api.version of %s: expected %s as in the manifest, found %s",
                 backend.name_.c_str(), manifest->plugin_version.c_str(), backend.version_.c_str())};
  return {};
}

Refusal BackendMaker::create_instance(const std::shared_ptr<const HostOptions> &host, Backend &backend) {
  backend.host_ = std::make_unique<HostServices>(host, backend.name_);
  dsb_instance *instance = nullptr;
  Status status = backend.call("instance_create", [&](ds_error *error) {
    return backend.api_.instance_create(backend.host_->table(), &instance, error);
  });
  if (!status.ok()) return {PluginReason::kInstance, std::move(status)};
  if (!instance) return broken_contract(backend.broken("instance_create", "success without an instance"));
  backend.instance_ = instance;
  return {};
}

std::shared_ptr<Backend> BackendMaker::make(const dsb_root *root, const Manifest *manifest, SharedLibrary library,
                                            const std::shared_ptr<const HostOptions> &host, PluginReport &report) {
  std::shared_ptr<Backend> backend(new Backend);
  backend->library_ = std::move(library);
  report.stage = PluginStage::kNegotiate;
  uint32_t version = 0;
  if (Refusal refusal = negotiate(*root, version); !refusal.ok())
    return put_refusal(report, std::move(refusal)), nullptr;
  backend->unloadable_ = root->unloadable == 1 && (!manifest || manifest->unloadable);

  report.stage = PluginStage::kTable;
  if (Refusal refusal = read_table(*root, version, *backend); !refusal.ok())
    return put_refusal(report, std::move(refusal)), nullptr;
  Refusal names = check_names(manifest, *backend);
  report.name = backend->name_;
  report.version = backend->version_;
  if (!names.ok()) return put_refusal(report, std::move(names)), nullptr;

  report.stage = PluginStage::kInstance;
  if (Refusal refusal = create_instance(host, *backend); !refusal.ok())
    return put_refusal(report, std::move(refusal)), nullptr;

  report.stage = PluginStage::kDevices;
  const Status devices = backend->find_devices();
  if (devices.code() == DS_E_PLUGIN) return put_refusal(report, broken_contract(devices)), nullptr;
  if (devices.code() == DS_E_MEMORY) return put_refusal(report, {PluginReason::kDevices, devices}), nullptr;
  report.loaded = true;
  if (!devices.ok()) {
    put_refusal(report, {PluginReason::kDevices, devices});
  } else if (backend->devices_.empty()) {
    put_refusal(report, {PluginReason::kDevices,
                         fail(DS_E_NO_DEVICE, kDomain, "%s finds no device on this machine", backend->name_.c_str())});
  } else {
    report.stage = PluginStage::kReady;
  }
  return backend;
}

}  // namespace deepseam::runtime
