// Where a model comes from, and opening it there: a path, the host's files, memory, or the model beside the library.
#pragma once

#include <memory>
#include <string>

#include "base/file.h"
#include "base/status.h"
#include "format/open_model.h"
#include "text/tokenizer.h"

namespace deepseam::session {

struct ModelSource;

// Headers only. "embedded" is deepseam/embedded.dsm in the folder of the library's own binary; DS_E_NOT_FOUND says
// where it was looked for.
Result<ModelFiles> open_source(const ModelSource &source, MapMode map);

// The files' tokenizer; nullptr if they have none.
Result<text::Tokenizer::Pointer> load_tokenizer(const ModelFiles &files);

}  // namespace deepseam::session
