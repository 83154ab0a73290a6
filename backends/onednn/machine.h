// What one instance of this backend has: the kernels of this CPU, and oneDNN if the host has one. Opened once, shared
// by all programs of the instance, unchanged until the last of them is gone.
#pragma once

#include "dnnl_api.h"
#include "kernels.h"
#include "sdk/kernel.h"

namespace deepseam::onednn {

struct Machine {
  const Kernels *kernels = nullptr;
  Dnnl dnnl;
};

inline const Machine &machine_of(const sdk::PlanNode &plan) { return *static_cast<const Machine *>(plan.target.state); }

}  // namespace deepseam::onednn
