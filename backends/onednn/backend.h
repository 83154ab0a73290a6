// The onednn backend as data: the list of its kernels and what one instance opens (plugin.cpp).
#pragma once

#include "sdk/cpu_backend.h"

namespace deepseam::onednn {

extern const sdk::Backend kBackend;

}  // namespace deepseam::onednn
