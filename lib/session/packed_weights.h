// Weights that lie ready in a backend's own layout: as hints of the model's own .dsm, or in a file of the host's folder
// for repacked weights (pack_cache_dir), which is a .dsm of hints alone.
//
// A hint is used only under an equal key: backend, its version, the packed form's id, the instruction set, the model's
// fingerprint, and the tensors and slices that the weight is made of. What is missing, damaged in its frame or refused
// by the backend is made from the tensors as ever: nothing here fails an open.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/allocator.h"
#include "base/cancel.h"
#include "base/log.h"
#include "base/task_runner.h"
#include "format/dsm.h"
#include "format/open_model.h"
#include "model/weights.h"
#include "runtime/weights.h"

namespace deepseam::session {

struct PackedPlace {
  std::shared_ptr<Source> source;  // nullptr: these bytes are nowhere
  ByteRange range;
  bool in_folder = false;  // in the host's folder, not in the model's own file
  bool is_mapped() const { return source && !source->view().empty(); }
};

// Where the weights of a layout lie ready, in its order.
struct PackedPlaces {
  std::string backend, isa;       // of every hint's key
  std::vector<std::string> keys;  // the key's rest; empty: the backend takes the tensor as it lies in the file
  std::vector<PackedPlace> places;
  std::string folder_file;  // path of the file for them; empty without a folder, and where no weight is repacked
  std::string trouble;      // why that file, which exists, is not used
  bool all_found() const;
};

PackedPlaces find_packed(const ModelFiles &files, const model::WeightMap &weights, const runtime::Layout &layout,
                         const runtime::DeviceInfo &device, const Fingerprint &fingerprint, const std::string &folder,
                         MapMode map);

// What an open made of packed weights.
struct PackedReport {
  uint64_t bytes = 0;  // used as they lay ready
  std::string folder;  // PackedFolder::outcome
};

// What loading needs beside the places.
struct PackedHost {
  TaskRunner *runner = nullptr;
  const CancelWord *cancel = nullptr;
  Allocator allocator;
  LogSink log;
};

// The weight from its bytes: where they are mapped, else read into memory. nullptr if there are none. A failure says
// why they cannot be used, as does a line of the log; DS_E_CANCELLED alone is one of the open.
Result<std::shared_ptr<runtime::Weight>> load_packed(const PackedPlaces &places, uint32_t index,
                                                     const std::shared_ptr<runtime::Layout> &layout,
                                                     const std::shared_ptr<runtime::Device> &device,
                                                     const PackedHost &host);

// Writes one loaded weight as a hint. Takes memory for its packed bytes once. DS_E_CANCELLED between pieces.
Status write_packed(const PackedPlaces &places, uint32_t index, const runtime::Weight &weight, const PackedHost &host,
                    DsmWriter *writer);

// The file of the host's folder while a model is loaded: written as its weights come. Failures are kept as a sentence
// and end the writing, not the loading.
class PackedFolder {
 public:
  // Writes only if there is a folder and not every weight was found.
  PackedFolder(const PackedPlaces &places, const PackedHost &host);
  Status add(uint32_t index, const runtime::Weight &weight);  // fails with DS_E_CANCELLED alone
  // A weight that lay there was not taken. Where that is its bytes' fault, and not of the moment (no memory, no
  // reading), the file is removed for the next open to write anew; Windows removes no open file.
  void refuse(const Status &why);
  void finish();
  // "used", "written" (by this open or by another that was first), "not used: …" or "not written: …"; empty without a
  // folder.
  const std::string &outcome() const { return outcome_; }

 private:
  void give_up(const Status &why);
  const PackedPlaces &places_;
  const PackedHost &host_;
  std::unique_ptr<DsmWriter> writer_;
  std::string outcome_;
};

}  // namespace deepseam::session
