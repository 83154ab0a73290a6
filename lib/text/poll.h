// Poll: asks the cancel word now and then, and remembers the answer for the rest of one call.
#pragma once

#include "base/cancel.h"

namespace deepseam::text {

struct Poll {
  const CancelWord *word = nullptr;
  bool hit = false;
  bool check() {
    if (!hit && is_cancelled(word)) hit = true;
    return hit;
  }
};

}  // namespace deepseam::text
