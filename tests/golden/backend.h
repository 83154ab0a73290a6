// Which linked-in backend a golden test runs on: onednn with DS_GOLDEN_ONEDNN, else ref.
#pragma once

#include "deepseam/backend.h"

#if defined(DS_GOLDEN_ONEDNN)
#include "onednn/backend.h"
#include "sdk/cpu_backend.h"
#else
#include "ref/ref.h"
#endif

namespace deepseam::golden {

inline const dsb_root *backend_root() {
#if defined(DS_GOLDEN_ONEDNN)
  return sdk::root<onednn::kBackend>();
#else
  return ref::root();
#endif
}

}  // namespace deepseam::golden
