#include "model/row_work.h"

#include <algorithm>
#include <new>

#include "base/fp_env.h"

namespace deepseam::model {
namespace {

constexpr uint64_t kPieceElements = uint64_t{256} << 10;
constexpr uint64_t kBatchElements = uint64_t{64} << 20;
constexpr uint64_t kTasksPerThread = 4;  // so that one slow task does not leave the others idle for long

struct Batch {
  const WorkOptions &work;
  const std::function<Status(uint64_t, WorkSlot *)> &make;
  std::vector<WorkSlot> &slots;
  uint64_t first;
};

// Tasks may run on the host's threads: nothing is thrown there, and its floating-point settings are put back.
void run_task(void *user, uint32_t index) {
  Batch &batch = *static_cast<Batch *>(user);
  WorkSlot &slot = batch.slots[index];
  if (is_cancelled(batch.work.cancel)) {
    slot.status = Status(DS_E_CANCELLED);
    return;
  }
  FpEnv environment;
  try {
    slot.status = batch.make(batch.first + index, &slot);
  } catch (const std::bad_alloc &) {
    slot.status = Status(DS_E_MEMORY);
  } catch (...) {
    slot.status = Status(DS_E_INTERNAL);
  }
}

}  // namespace

void cut_rows(const std::vector<uint64_t> &shape, uint32_t part, uint64_t multiple, std::vector<RowRange> *pieces) {
  const uint64_t cols = shape.empty() ? 1 : shape.back();
  const uint64_t rows = shape.size() < 2 ? 1 : shape[shape.size() - 2];
  uint64_t matrices = 1;
  for (size_t i = 0; i + 2 < shape.size(); ++i) matrices *= shape[i];
  if (cols == 0 || rows == 0) return;
  const uint64_t wanted = std::max<uint64_t>(kPieceElements / cols, 1);
  const uint64_t step = (wanted + multiple - 1) / multiple * multiple;
  for (uint64_t matrix = 0; matrix < matrices; ++matrix)
    for (uint64_t row = 0; row < rows; row += step)
      pieces->push_back({part, matrix * rows + row, std::min(step, rows - row)});
}

Status run_ordered(const WorkOptions &work, uint64_t n, uint64_t elements,
                   const std::function<Status(uint64_t, WorkSlot *)> &make,
                   const std::function<Status(uint64_t, const WorkSlot &)> &use) {
  const uint64_t threads = work.runner ? work.runner->width() : 1;
  const uint64_t fitting = std::max(kBatchElements / std::max<uint64_t>(elements, 1), threads);
  const uint64_t width = work.runner ? std::min(threads * kTasksPerThread, fitting) : 1;
  std::vector<WorkSlot> slots(std::min(width, n));
  for (uint64_t first = 0; first < n; first += slots.size()) {
    const uint32_t count = static_cast<uint32_t>(std::min<uint64_t>(slots.size(), n - first));
    Batch batch{work, make, slots, first};
    if (work.runner) {
      work.runner->run(count, run_task, &batch);
    } else {
      run_task(&batch, 0);
    }
    for (uint32_t i = 0; i < count; ++i) {
      if (!slots[i].status.ok()) return std::move(slots[i].status);
      DS_TRY(use(first + i, slots[i]));
    }
  }
  return is_cancelled(work.cancel) ? Status(DS_E_CANCELLED) : Status();
}

}  // namespace deepseam::model
