// Which linked-in backend a golden test runs on: onednn with DS_GOLDEN_ONEDNN, else ref.
#pragma once

#include "deepseam/backend.h"

#if defined(DS_GOLDEN_ONEDNN)
#include "onednn/onednn.h"
#else
#include "ref/ref.h"
#endif

namespace deepseam::golden {

inline const dsb_root *backend_root() {
#if defined(DS_GOLDEN_ONEDNN)
  return onednn::root();
#else
  return ref::root();
#endif
}

}  // namespace deepseam::golden
