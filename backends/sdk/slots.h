// What all slots are made with: handles as objects, statuses as ds_error, and no exception past a slot.
#pragma once

#include <cstring>
#include <new>

#include "sdk/exec.h"

namespace deepseam::sdk {

template <class Body>
ds_status guard(ds_error *error, const Body &body) noexcept {
  try {
    return body().report(error);
  } catch (const std::bad_alloc &) {
    return fail(DS_E_MEMORY, "backend", "out of memory").report(error);
  } catch (...) {
    return fail(DS_E_INTERNAL, "backend", "an exception that nobody expected").report(error);
  }
}

inline Status need(const void *pointer, const char *what) {
  return pointer ? Status() : fail(DS_E_ARGUMENT, "backend", "%s is NULL", what);
}

inline Instance &self(dsb_instance *handle) { return *reinterpret_cast<Instance *>(handle); }
inline Device &self(dsb_device *handle) { return *reinterpret_cast<Device *>(handle); }
inline Layout &self(dsb_layout *handle) { return *reinterpret_cast<Layout *>(handle); }
inline Program &self(dsb_program *handle) { return *reinterpret_cast<Program *>(handle); }
inline Pool &self(dsb_pool *handle) { return *reinterpret_cast<Pool *>(handle); }
inline SamplerObject &self(dsb_sampler *handle) { return *reinterpret_cast<SamplerObject *>(handle); }
inline Exec &self(dsb_exec *handle) { return *reinterpret_cast<Exec *>(handle); }
inline Exec &self(dsb_ticket *handle) { return *reinterpret_cast<Exec *>(handle); }
inline LoadedWeight &self(dsb_weight *handle) { return *reinterpret_cast<LoadedWeight *>(handle); }

template <class Handle, class Object>
Status give(Handle **out, Result<Object *> made) {
  if (!made.ok()) return std::move(made).status();
  *out = reinterpret_cast<Handle *>(*made);
  return {};
}

// Fills a struct of the host's, at most as much of it as the host knows.
template <class T>
Status give_struct(T *out, const char *what, T filled) {
  DS_TRY_VALUE(const T known, take_struct(out, what, sizeof(uint32_t)));
  (void)known;
  const uint32_t size = out->struct_size < sizeof(T) ? out->struct_size : static_cast<uint32_t>(sizeof(T));
  filled.struct_size = size;
  std::memcpy(out, &filled, size);
  return {};
}

inline void set_text(char *to, size_t size, const char *text) {
  const size_t n = std::strlen(text) < size ? std::strlen(text) : size - 1;
  std::memcpy(to, text, n);
  to[n] = 0;
}

// A CPU backend has one device.
inline Status check_device(uint32_t index) {
  return index == 0 ? Status() : fail(DS_E_ARGUMENT, "backend", "device %u does not exist, there is 1", index);
}

// Slots that are done when they return give no ticket.
inline void done_already(dsb_ticket **ticket) {
  if (ticket) *ticket = nullptr;
}

// Each puts its slots into the table.
void fill_device_slots(dsb_api *api);
void fill_model_slots(dsb_api *api);
void fill_run_slots(dsb_api *api);

}  // namespace deepseam::sdk
