// From the host's structs to the options of lib/session: read, checked field by field, copied.
//
// What is checked here is form: sizes, flags, tags, counts, handles, keys. Whether values make sense for a model is the
// session's business. A request holds the HostUsers of its callbacks; they are armed when the call succeeded.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "capi/host.h"
#include "capi/objects.h"
#include "capi/structs.h"
#include "session/request.h"

namespace deepseam::capi {

struct OptionView {
  std::string_view key;
  int64_t value = 0;
  std::string_view text;
};
// Calls visit for every option; *known = false there makes it DS_E_UNKNOWN_FIELD unless the option is ignorable.
Status read_options(const ds_option *options, uint64_t n,
                    const std::function<Status(const OptionView &option, bool *known)> &visit);

// NULL gives an empty pointer.
Status read_cancel(ds_cancel *cancel, std::shared_ptr<const CancelWord> *word);

Status read_adapter(ds_model_adapter *adapter, std::shared_ptr<const session::Adapter> *into);  // the same

// `source` is needed. Host files are opened here as far as needed to know whether they are one file or a folder.
Status read_source(const ds_source *source, HostUsers *users, session::ModelSource *into);

struct OpenRequest {
  session::OpenOptions options;
  HostUsers users;
};
Status read_open(const ds_model_options *options, OpenRequest *into);

struct JobRequest {
  bool spontaneous = false;
  std::function<void()> wake;
  HostUsers users;
};
Status read_job_options(const ds_job_options *options, JobRequest *into);  // NULL: all zero

struct GenerateRequest {
  session::GenerateOptions options;
  uint32_t n_choices = 1;  // stays when the options have been handed on
  HostUsers users;
};
Status read_params(const ds_params *params, GenerateRequest *into);  // NULL: all zero

// Builds the prompt of any tagged input. `options` gives max_tokens and cancel.
Result<session::Prompt> read_input(const session::Model &model, const ds_input *input,
                                   const session::GenerateOptions &options);
Result<session::Prompt> read_chat(const session::Model &model, const ds_chat_input *input, const CancelWord *cancel);
Result<session::Prompt> read_fim(const session::Model &model, const ds_fim_input *input, uint32_t max_tokens,
                                 const CancelWord *cancel);

Status read_session_settings(const ds_session_options *options, session::SessionSettings *into);  // NULL: all zero
// Settings that may change later, by key.
Status apply_session_options(const ds_option *options, uint64_t n, session::SessionSettings *settings);

session::ProgressFunction progress_function(ds_progress_fn progress, void *user);  // empty for NULL

}  // namespace deepseam::capi
