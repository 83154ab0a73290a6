// The table's rows of the step's tokens.
#include "ref/ref.h"

namespace deepseam::ref {

Status embed(sdk::RunContext &context) {
  const sdk::StoredTensor &table = *context.stored(0);
  for (uint32_t r = context.first_row; r < context.first_row + context.n_rows; ++r)
    table.decode(0, context.rows[r].token, context.output() + r * table.cols);
  return {};
}

}  // namespace deepseam::ref
