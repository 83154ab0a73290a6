// The tokenizer of a model's files, whichever form they hold it in.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "format/open_model.h"
#include "text/tokenizer.h"

namespace deepseam::session {

// nullptr if the files hold none.
Result<text::Tokenizer::Pointer> load_tokenizer(const ModelFiles &files);

// What a GGUF file's vocabulary says wrongly and load_tokenizer takes otherwise; a sentence each.
std::vector<std::string> vocabulary_notes(const ModelFiles &files);

}  // namespace deepseam::session
