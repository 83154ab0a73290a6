// Packing: any checkpoint the library opens, as one .dsm file in a chosen number format; and the way back to float32
// safetensors, for whoever wants to look at the weights that a quantised model really multiplies with.
//
// Both stream: rows are read, converted in parallel and written in order, so memory stays at a few MiB per thread.
// A format that the source already has is copied, not converted, but for weights that an adapter changes: those are
// rounded once from the sum, and to q8 where the source's format is only read.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"
#include "base/task_runner.h"
#include "format/open_model.h"
#include "model/adapter.h"
#include "model/moments.h"
#include "model/pack_report.h"
#include "model/recipe.h"

namespace deepseam::model {

// How work is spread, stopped and reported; common to packing, exporting, synthesising and verifying.
struct WorkOptions {
  TaskRunner *runner = nullptr;  // nullptr: on the calling thread
  const CancelWord *cancel = nullptr;
  // Bytes written (verifying: read) so far and in all; returning false stops with DS_E_STOPPED. On the calling thread.
  std::function<bool(uint64_t done, uint64_t total)> progress;
};

struct PackOptions {
  PackType type = PackType::kSource;
  std::vector<PackException> exceptions;
  std::string tokenizer_blob;              // of lib/text; empty: the model will have no tokenizer
  std::string card;                        // text about the model; empty: the source's, if it has one
  std::shared_ptr<const Adapter> adapter;  // added to the weights; nullptr: none
  const Moments *moments = nullptr;        // errors of quantised weights are weighed by them; nullptr: all alike
  PackReport *report = nullptr;            // filled if given, which takes a little time
  // Adds hints to a file that is whole but for them, reading it through the Source. Empty: none.
  std::function<Status(std::shared_ptr<Source> written, DsmWriter *writer)> hints;
  WorkOptions work;
};

// Writes `path`, whole or not at all. DS_E_MODEL: the source is no model of the family; DS_E_FORMAT: a number that the
// format cannot hold (tensor, row and column); DS_E_ARGUMENT: an exception that names nothing; DS_E_CANCELLED.
Status pack_model(const ModelFiles &source, const std::string &path, const PackOptions &options);

// Writes config.json and model.safetensors with all weights as f32 into an existing folder.
Status export_hf(const ModelFiles &source, const std::string &folder, const WorkOptions &work,
                 const Adapter *adapter = nullptr);

}  // namespace deepseam::model
