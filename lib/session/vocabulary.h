// The tokenizer of a model's files, whichever form they hold it in.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "format/open_model.h"
#include "session/facts.h"
#include "text/tokenizer.h"

namespace deepseam::session {

// nullptr if the files hold none.
Result<text::Tokenizer::Pointer> load_tokenizer(const ModelFiles &files);

// What a GGUF file's vocabulary says wrongly and load_tokenizer takes otherwise; a sentence each.
std::vector<std::string> vocabulary_notes(const ModelFiles &files);

// What a request would fail on although the table can be read (`wrong`), or what is worth knowing; a sentence each.
struct TokenTableReport {
  std::vector<std::string> wrong, notes;
};
TokenTableReport check_token_table(const ModelFiles &files, const text::Tokenizer &tokenizer);

// "tokens.bos", "tokens.eos", "fim", "chat_template"; without a tokenizer that there is none of them.
void add_token_facts(const text::Tokenizer *tokenizer, Facts *facts);

}  // namespace deepseam::session
