// The frame of a CPU backend: fills every slot of dsb_api from a description in plain data.
//
// A backend is a constant Backend, its kernels, and one line: `return sdk::root<kMyBackend>()` in ds_backend_main. The
// frame checks whatever the host hands over (graph, options, sources, steps), plans memory, owns the objects, runs
// nodes in order, draws tokens, and leaves nothing to a backend but arithmetic. It has no threads of its own: work is
// done inside ticket_poll and ticket_wait, on the caller's thread and on those of dsb_host.parallel.
//
// Decisions that backend.h leaves open, the same for every backend made this way:
//  - With DSB_KV_LEN_DEVICE the rows' position and kv_row were computed from dsb_seq.kv_len; when the step starts, both
//    are moved by *kv_len_word - kv_len. A DONE step adds the rows it stored (with accept: the accepted path) to the
//    word.
//  - In an accept step, a row at depth d of its tree draws with number c + d and sees the draft tokens on its path; so
//    speculation gives exactly the tokens of a run without it. The path ends at a stop id.
//  - Under repeat, logits, hidden and routes are those of the first repeat.
//  - Steps of different execs are not ordered among each other: a step runs when its ticket is polled or waited for.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "deepseam/backend.h"
#include "sdk/kernel.h"

namespace deepseam::sdk {

struct Backend {
  const char *name;                 // dsb_api.name
  const char *version;              // dsb_api.version
  const char *device_name;          // shown to users
  uint32_t score;                   // dsb_device_info.score
  uint32_t numerics;                // raised when an output bit may change
  uint32_t act_types;               // bit i: DSB_ACT_* i is offered
  std::span<const Kernel> kernels;  // in order of preference
  // The instruction set kernels will be chosen for, below the host's cap, to arch[24]. NULL: "generic".
  void (*arch)(const dsb_host &host, char arch[24]) = nullptr;
  // State of an instance (a vendor library); freed after its last child. NULL: none.
  Result<std::shared_ptr<void>> (*open)(const dsb_host &host) = nullptr;
  // The library that this state found, such as "oneDNN 3.2.0": shown with the device, and part of numerics_id unless
  // the mode is deterministic, where it must have no part in any result. NULL: none.
  std::string (*library)(const void *state) = nullptr;
  // Raised when a kernel's `pack` writes other bytes for the same form: files of packed weights are then not used.
  uint32_t packing = 1;
};

// What the table's functions are made of. Not for backends.
ds_status negotiate(uint32_t min_version, uint32_t max_version, uint32_t *chosen, ds_error *error);
ds_status fill_api(const Backend &backend, uint32_t version,
                   ds_status(DS_CALL *instance_create)(const dsb_host *, dsb_instance **, ds_error *), dsb_api *api,
                   ds_error *error);
ds_status create_instance(const Backend &backend, const dsb_host *host, dsb_instance **instance, ds_error *error);

template <const Backend &backend>
ds_status DS_CALL instance_create_of(const dsb_host *host, dsb_instance **instance, ds_error *error) {
  return create_instance(backend, host, instance, error);
}

template <const Backend &backend>
ds_status DS_CALL get_api_of(uint32_t version, dsb_api *api, ds_error *error) {
  return fill_api(backend, version, instance_create_of<backend>, api, error);
}

template <const Backend &backend>
inline constexpr dsb_root kRootOf = {sizeof(dsb_root), 1, negotiate, get_api_of<backend>};

// What ds_backend_main returns.
template <const Backend &backend>
const dsb_root *root() {
  return &kRootOf<backend>;
}

}  // namespace deepseam::sdk
