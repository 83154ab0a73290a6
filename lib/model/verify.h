// Looking at every byte of a model: is it what it says it is, and could a model be computed from it?
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "format/open_model.h"
#include "model/pack.h"

namespace deepseam::model {

// One thing that is wrong. `tensor` is empty where the whole model is concerned.
struct Finding {
  ds_status code = DS_OK;  // what opening or computing would meet: DS_E_MODEL, DS_E_CHECKSUM, DS_E_FORMAT, DS_E_IO
  std::string tensor;
  std::string message;
};

struct VerifyReport {
  std::vector<Finding> findings;   // empty: the model is sound
  std::vector<std::string> notes;  // what was taken otherwise than the files say; filled by who opened them
  uint64_t tensors = 0;
  uint64_t bytes = 0;  // read and checked
};

// Configuration, presence and shape of every weight, content hashes (.dsm), NaN and infinity, numbers beyond the format
// that the loader turns them into. What is damaged is a finding, at most 100 of them; a failed Status means that
// verifying itself could not go on (cancelled, no memory).
Result<VerifyReport> verify_model(const ModelFiles &files, const WorkOptions &work);

}  // namespace deepseam::model
