// ds_get_api: the whole API as one table, in the order of api.def.
#include <type_traits>

#include "capi/structs.h"
#include "capi/wall.h"

namespace {

// A line of api.def that differs from its prototype does not compile.
#define DS_SLOT(type, name, parameters) static_assert(std::is_same_v<decltype(&ds_##name), decltype(ds_api::name)>);
#define DS_SLOT_VOID(name, parameters) static_assert(std::is_same_v<decltype(&ds_##name), decltype(ds_api::name)>);
#define DS_SLOT_VALUE(type, name, parameters, missing) \
  static_assert(std::is_same_v<decltype(&ds_##name), decltype(ds_api::name)>);
#include "deepseam/api.def"
#undef DS_SLOT
#undef DS_SLOT_VOID
#undef DS_SLOT_VALUE

constexpr ds_api kApi = {
    sizeof(ds_api),
    DS_ABI_VERSION,
#define DS_SLOT(type, name, parameters) &ds_##name,
#define DS_SLOT_VOID(name, parameters) &ds_##name,
#define DS_SLOT_VALUE(type, name, parameters, missing) &ds_##name,
#include "deepseam/api.def"
#undef DS_SLOT
#undef DS_SLOT_VOID
#undef DS_SLOT_VALUE
};

bool offers(uint32_t min_abi) {
  if (min_abi >> 16 != DS_ABI_MAJOR) return false;
  return DS_ABI_MAJOR == 0 ? min_abi == DS_ABI_VERSION : (min_abi & 0xffff) <= DS_ABI_MINOR;
}

}  // namespace

ds_status ds_get_api(uint32_t min_abi, ds_api *api, ds_error *error) {
  using namespace deepseam;
  return capi::entry(error, [&]() -> Status {
    DS_TRY(capi::check_out(api));
    if (!offers(min_abi))
      return fail(DS_E_ABI, "capi", "the program needs ABI %u.%u, this library has %u.%u", min_abi >> 16,
                  min_abi & 0xffff, DS_ABI_MAJOR, DS_ABI_MINOR);
    capi::write_struct(kApi, api);
    return Status();
  });
}
