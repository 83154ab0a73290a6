#include "runtime/slots.h"

#include <cstdio>
#include <cstring>
#include <utility>

namespace deepseam::runtime {
namespace {

constexpr size_t kFirstSlot = offsetof(dsb_api, instance_create);
constexpr const char *kSlotNames[] = {
#define DS_SLOT(name) #name,
#include "runtime/slots.def"
#undef DS_SLOT
};
constexpr size_t kSlots = sizeof kSlotNames / sizeof *kSlotNames;
static_assert(kFirstSlot + kSlots * sizeof(void *) == sizeof(dsb_api), "slots.def lists every slot of dsb_api once");
static_assert(kSlots <= 64);

void say_missing(size_t slot, ds_error *error) {
  if (!error || error->struct_size < sizeof *error) return;
  error->code = DS_E_UNSUPPORTED;
  std::snprintf(error->message, sizeof error->message, "%s is not offered by this plugin", kSlotNames[slot]);
}

template <size_t kSlot, typename... Args>
struct Stub {
  static ds_status DS_CALL status(Args... args) {
    ds_error *last = nullptr;
    ((last = pick(args)), ...);  // every slot with a status has its ds_error last
    say_missing(kSlot, last);
    return DS_E_UNSUPPORTED;
  }
  static void DS_CALL nothing(Args...) {}

 private:
  static ds_error *pick(ds_error *error) { return error; }
  template <typename Other>
  static ds_error *pick(const Other &) {
    return nullptr;
  }
};

template <size_t kSlot, typename... Args>
void set_stub(ds_status(DS_CALL *&slot)(Args...)) {
  slot = Stub<kSlot, Args...>::status;
}
template <size_t kSlot, typename... Args>
void set_stub(void(DS_CALL *&slot)(Args...)) {
  slot = Stub<kSlot, Args...>::nothing;
}

}  // namespace

uint64_t complete_table(dsb_api &api) {
  uint64_t offered = 0;
#define DS_SLOT(name)                                              \
  {                                                                \
    constexpr size_t kOffset = offsetof(dsb_api, name);            \
    if (kOffset + sizeof api.name <= api.struct_size && api.name)  \
      offered |= slot_bit(kOffset);                                \
    else                                                           \
      set_stub<(kOffset - kFirstSlot) / sizeof(void *)>(api.name); \
  }
#include "runtime/slots.def"
#undef DS_SLOT
  return offered;
}

}  // namespace deepseam::runtime
