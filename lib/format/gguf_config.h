// What the keys of a GGUF file of the family say: hyper-parameters, the tokens that end a text, the vocabulary.
//
// One architecture, `deepseek2`, whichever tool wrote it and when: key_length or key_length_mla, gates and groups that
// old files leave out, yarn_log_multiplier (a tenth of mscale_all_dim, rounded to float) or its absence. What is filled
// in rather than read is told in notes. Whether the values make a model is for model/config to say.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "format/gguf.h"
#include "format/hf_config.h"

namespace deepseam {

struct GgufConfig {
  HfConfig config;
  std::vector<std::string> notes;  // a sentence each: what the file leaves out and what was taken instead
};

// `name` is the file, for messages. DS_E_MODEL: another architecture, by its name; a key that is missing or has another
// kind of value, by the name it has in the file; a value that is missing and that the shape does not tell.
Result<GgufConfig> read_gguf_config(const GgufFile &file, const std::string &name);

}  // namespace deepseam
