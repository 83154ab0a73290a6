// logits: the model's raw answer to given token ids, for anyone who wants to check it against a reference.
#include "commands.h"
#include "npy.h"

namespace ds_cli {

int run_logits(const Options &options) {
  const std::vector<uint32_t> ids = parse_ids(options.ids);
  const Host host(options);
  const Handle<ds_model> model = open_model(host, options);
  const Handle<ds_model_adapter> adapter = load_adapter(model.get(), options);
  const Handle<ds_session> session = new_session(model.get());
  ds_eval_input input{};
  input.struct_size = sizeof input;
  input.want = options.all ? DS_WANT_ALL : DS_WANT_LAST;
  input.ids = ids.data();
  input.n_ids = ids.size();
  input.chunk = options.chunk;
  input.cancel = host.cancel();
  input.adapter = adapter.get();
  ds_eval_output output{};
  output.struct_size = sizeof output;
  Error error;
  check(ds_session_eval(session.get(), &input, &output, &error), error);
  write_npy(options.out, output.logits, output.rows, output.vocab);
  return 0;
}

}  // namespace ds_cli
