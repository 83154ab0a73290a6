// tokenize and detokenize: text on stdin to ids on stdout, and back. Bytes pass unchanged.
#include "commands.h"

namespace ds_cli {
namespace {

std::string join(const std::vector<uint32_t> &ids, bool json) {
  std::string line = json ? "[" : "";
  for (size_t i = 0; i < ids.size(); ++i) line += (i ? "," : "") + std::to_string(ids[i]);
  return line + (json ? "]\n" : "\n");
}

}  // namespace

// Without --special the text is plain: no begin token is added, and special tokens in it are ordinary characters.
int run_tokenize(const Options &options) {
  const std::string input = read_file("-");
  const Host host(options);
  const Handle<ds_model> model = open_model(host, options, DS_MODEL_NO_WEIGHTS);
  const uint32_t flags = options.special ? DS_TEXT_PARSE_SPECIAL : DS_TEXT_NO_BOS;
  Error error;
  std::vector<uint32_t> ids(input.size() + 1);
  uint64_t n = 0;
  check(ds_tokenize(model.get(), input.data(), input.size(), flags, host.cancel(), ids.data(), ids.size(), &n, &error),
        error);
  ids.resize(n);
  write_out(join(ids, options.json));
  return 0;
}

int run_detokenize(const Options &options) {
  const std::vector<uint32_t> ids = parse_ids(read_file("-"));
  const Host host(options);
  const Handle<ds_model> model = open_model(host, options, DS_MODEL_NO_WEIGHTS);
  const uint32_t flags = options.special ? DS_TEXT_KEEP_SPECIAL : 0;
  Error error;
  uint64_t size = 0;
  check(ds_detokenize(model.get(), ids.data(), ids.size(), flags, nullptr, 0, &size, &error), error);
  std::string out(size, 0);
  check(ds_detokenize(model.get(), ids.data(), ids.size(), flags, out.data(), out.size(), &size, &error), error);
  write_out(out);
  return 0;
}

}  // namespace ds_cli
