// Completing a plugin's table: every slot of dsb_api can be called afterwards.
//
// A slot that the plugin left NULL, or that its table is too short for, becomes a stub that answers DS_E_UNSUPPORTED
// and names the slot (one without a result does nothing). Which slots are the plugin's own is remembered as bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "deepseam/backend.h"

namespace deepseam::runtime {

// The offered bit of the slot at this offset in dsb_api.
constexpr uint64_t slot_bit(size_t offset) {
  return uint64_t{1} << ((offset - offsetof(dsb_api, instance_create)) / sizeof(void *));
}

// `api.struct_size` bytes of `api` are the plugin's, at least up to instance_create; the rest is overwritten. Returns
// the offered bits.
uint64_t complete_table(dsb_api &api);

}  // namespace deepseam::runtime
