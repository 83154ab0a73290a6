// y = W x + b, plus the row's adapter.
#include "ref/math.h"
#include "ref/ref.h"

namespace deepseam::ref {

Status linear(sdk::RunContext &context) {
  multiply(context, 1, 2);
  return {};
}

}  // namespace deepseam::ref
