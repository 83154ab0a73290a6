// ds_model_pack, ds_model_synth, ds_model_verify: work on files.
#include <algorithm>

#include "capi/objects.h"
#include "capi/requests.h"
#include "capi/wall.h"
#include "session/tools.h"

using namespace deepseam;
using namespace deepseam::capi;

namespace {

// What the three option structs have in common.
template <typename Options>
Status read_common(const Options &from, HostUsers *users, session::ToolOptions *into) {
  DS_TRY(check_flags(from.flags, 0, "flags"));
  DS_TRY(read_cancel(from.cancel, &into->cancel));
  into->progress = progress_function(from.progress, from.progress_user);
  users->add(from.progress_user, from.progress_free);
  return Status();
}

Status no_options(const ds_option *options, uint64_t n) {
  return read_options(options, n, [](const OptionView &, bool *known) {
    *known = false;
    return Status();
  });
}

Status read_needed(const ds_text &text, const char *what, std::string *into) {
  std::string_view view;
  DS_TRY(read_text(text, what, &view));
  if (view.empty()) return fail(DS_E_ARGUMENT, "capi", "%s is empty", what);
  *into = view;
  return Status();
}

Status read_type(const ds_text &text, session::ToolOptions *into) {
  std::string_view view;
  DS_TRY(read_text(text, "weight_type", &view));
  into->weight_type = view;
  return Status();
}

// The text of an option that is not there for nothing: a path, if `path`.
Status read_needed(const OptionView &option, bool path, std::string *into) {
  if (option.text.empty() || (path && option.text.find('\0') != option.text.npos))
    return fail(DS_E_ARGUMENT, "capi", "option \"%.*s\" is empty%s", static_cast<int>(option.key.size()),
                option.key.data(), path ? " or has a NUL inside, expected a path" : ", expected a text");
  *into = option.text;
  return Status();
}

Status read_pack_options(const ds_pack_options &from, session::ToolOptions *options, bool *hf) {
  return read_options(from.options, from.n_options, [&](const OptionView &option, bool *known) {
    if (option.key == "keep") {
      options->keep.emplace_back(option.text);
    } else if (option.key == "card") {
      options->card = option.text;
    } else if (option.key == "adapter") {
      return read_needed(option, true, &options->adapter);
    } else if (option.key == "calibrate") {
      return read_needed(option, false, &options->calibrate);
    } else if (option.key == "report") {
      return read_needed(option, true, &options->report);
    } else if (option.key == "form") {
      *hf = option.text == "hf";
      if (!*hf && option.text != "dsm")
        return fail(DS_E_ARGUMENT, "capi", "option \"form\" is \"%.*s\", expected dsm or hf",
                    static_cast<int>(std::min<size_t>(option.text.size(), 32)), option.text.data());
    } else {
      *known = false;
    }
    return Status();
  });
}

Status pack(ds_runtime *runtime, const ds_pack_options *given) {
  const Pinned<RuntimeObject> object(runtime);
  DS_TRY(usable(object));
  ds_pack_options from;
  DS_TRY(read_struct(given, &from));
  HostUsers users;
  session::ToolOptions options;
  bool hf = false;
  DS_TRY(read_pack_options(from, &options, &hf));
  DS_TRY(read_common(from, &users, &options));
  DS_TRY(read_type(from.weight_type, &options));
  std::string_view backend;
  DS_TRY(read_text(from.backend, "ds_pack_options.backend", &backend));
  options.backend = backend;
  std::string path;
  DS_TRY(read_needed(from.path, "ds_pack_options.path", &path));
  session::ModelSource source;
  DS_TRY(read_source(from.source, &users, &source));
  const AffinityScope affinity(object->cpus);
  DS_TRY(hf ? session::export_hf(*object->state, source, path, options)
            : session::pack(*object->state, source, path, options));
  users.arm();
  return Status();
}

Status synth(ds_runtime *runtime, const ds_synth_options *given) {
  const Pinned<RuntimeObject> object(runtime);
  DS_TRY(usable(object));
  ds_synth_options from;
  DS_TRY(read_struct(given, &from));
  DS_TRY(no_options(from.options, from.n_options));
  HostUsers users;
  session::ToolOptions options;
  DS_TRY(read_common(from, &users, &options));
  DS_TRY(read_type(from.weight_type, &options));
  std::string shape, path;
  DS_TRY(read_needed(from.shape, "ds_synth_options.shape", &shape));
  DS_TRY(read_needed(from.path, "ds_synth_options.path", &path));
  const AffinityScope affinity(object->cpus);
  DS_TRY(session::synth(*object->state, shape, from.seed, path, options));
  users.arm();
  return Status();
}

Status verify(ds_runtime *runtime, const ds_verify_options *given, ds_info **findings) {
  DS_TRY(prepare_handle(findings, "findings"));
  const Pinned<RuntimeObject> object(runtime);
  DS_TRY(usable(object));
  ds_verify_options from;
  DS_TRY(read_struct(given, &from));
  HostUsers users;
  session::ToolOptions options;
  DS_TRY(read_common(from, &users, &options));
  session::ModelSource source;
  DS_TRY(read_source(from.source, &users, &source));
  const AffinityScope affinity(object->cpus);
  DS_TRY_VALUE(session::Facts facts, session::verify(*object->state, source, options));
  DS_TRY(publish_facts(std::move(facts), findings));
  users.arm();
  return Status();
}

}  // namespace

ds_status ds_model_pack(ds_runtime *runtime, const ds_pack_options *options, ds_error *error) {
  return blocking_entry(error, [&] { return pack(runtime, options); });
}

ds_status ds_model_synth(ds_runtime *runtime, const ds_synth_options *options, ds_error *error) {
  return blocking_entry(error, [&] { return synth(runtime, options); });
}

ds_status ds_model_verify(ds_runtime *runtime, const ds_verify_options *options, ds_info **findings, ds_error *error) {
  return blocking_entry(error, [&] { return verify(runtime, options, findings); });
}
