// Large reads by all threads: a part of a source into memory that the caller has.
//
// A file in the page cache is copied by whoever reads it, so that one thread alone would leave the others idle. Sources
// that take one call at a time (host callbacks without DS_IO_CONCURRENT) order the pieces themselves.
#pragma once

#include <cstdint>
#include <span>

#include "base/cancel.h"
#include "base/file.h"
#include "base/task_runner.h"

namespace deepseam {

// Fills `into` from `offset` on, 8 MiB a task. The first failure of the source, or DS_E_CANCELLED soon after `cancel`
// (may be NULL) is set; `into` is then in part filled.
Status parallel_read(const Source &source, uint64_t offset, std::span<uint8_t> into, TaskRunner &runner,
                     const CancelWord *cancel);

}  // namespace deepseam
