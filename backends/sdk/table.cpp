// How a host gets hold of a backend: the version both know, the table, an instance.
#include "sdk/slots.h"

namespace deepseam::sdk {
namespace {

constexpr uint64_t kFeatures = DSB_FEATURE_REPEAT | DSB_FEATURE_TREE | DSB_FEATURE_ADAPTERS | DSB_FEATURE_ROUTE_TRACE |
                               DSB_FEATURE_GROUPS | DSB_FEATURE_OP_TIMES;

}  // namespace

ds_status negotiate(uint32_t min_version, uint32_t max_version, uint32_t *chosen, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(chosen, "chosen"));
    if (min_version > DSB_ABI_VERSION || max_version < DSB_ABI_VERSION)
      return fail(DS_E_ABI, "backend", "the host knows backend ABI 0x%x to 0x%x, this plugin 0x%x", min_version,
                  max_version, static_cast<uint32_t>(DSB_ABI_VERSION));
    *chosen = DSB_ABI_VERSION;
    return {};
  });
}

ds_status fill_api(const Backend &backend, uint32_t version,
                   ds_status(DS_CALL *instance_create)(const dsb_host *, dsb_instance **, ds_error *), dsb_api *api,
                   ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(api, "api"));
    if (version != DSB_ABI_VERSION)
      return fail(DS_E_ABI, "backend", "backend ABI 0x%x was asked for, this plugin offers 0x%x", version,
                  static_cast<uint32_t>(DSB_ABI_VERSION));
    dsb_api filled{};
    filled.abi_version = DSB_ABI_VERSION;
    filled.name = backend.name;
    filled.version = backend.version;
    filled.features = kFeatures;
    filled.instance_create = instance_create;
    fill_device_slots(&filled);
    fill_model_slots(&filled);
    fill_run_slots(&filled);
    return give_struct(api, "api", filled);
  });
}

ds_status create_instance(const Backend &backend, const dsb_host *host, dsb_instance **out, ds_error *error) {
  return guard(error, [&]() -> Status {
    DS_TRY(need(out, "instance"));
    DS_TRY_VALUE(const dsb_host taken, take_struct(host, "host"));
    if (taken.abi_version != DSB_ABI_VERSION)
      return fail(DS_E_ABI, "backend", "host.abi_version is 0x%x, expected 0x%x", taken.abi_version,
                  static_cast<uint32_t>(DSB_ABI_VERSION));
    if (!taken.allocate || !taken.release || !taken.parallel || !taken.clock_ns || taken.width < 1)
      return fail(DS_E_ARGUMENT, "backend",
                  "host: allocate, release, parallel, clock_ns and a width of at least 1 are needed");
    auto instance = std::make_unique<Instance>(backend);
    instance->host = taken;
    instance->isa_cap = taken.isa_cap ? taken.isa_cap : "";
    instance->host.isa_cap = instance->isa_cap.c_str();
    set_text(instance->arch, sizeof instance->arch, "generic");
    if (backend.arch) backend.arch(instance->host, instance->arch);
    if (backend.open) {
      DS_TRY_VALUE(instance->state, backend.open(instance->host));
    }
    if (backend.library) instance->library = backend.library(instance->state.get());
    instance->target = {instance->arch, taken.width, (taken.flags & DSB_HOST_CONCURRENT) != 0, instance->state.get()};
    *out = reinterpret_cast<dsb_instance *>(instance.release());
    return {};
  });
}

}  // namespace deepseam::sdk
