// What every command of ds shares: the library's handles as C++ values, errors as exceptions, output as data.
//
// Only public headers are used. A Failure carries the one line that goes to stderr; main() prints it and exits with 1.
// Standard output gets nothing but data; progress bars go to stderr, and only if that is a terminal.
#pragma once

#include <deepseam/deepseam.h>

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "options.h"

namespace ds_cli {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A ds_error that is ready to be passed, and the exception made of it.
struct Error : ds_error {
  Error() : ds_error{} { struct_size = sizeof(ds_error); }
};
void check(ds_status status, const Error &error);

struct Release {
  void operator()(ds_runtime *p) const { ds_runtime_release(p); }
  void operator()(ds_model *p) const { ds_model_release(p); }
  void operator()(ds_session *p) const { ds_session_release(p); }
  void operator()(ds_result *p) const { ds_result_release(p); }
  void operator()(ds_info *p) const { ds_info_release(p); }
  void operator()(ds_model_adapter *p) const { ds_model_adapter_release(p); }
  void operator()(ds_cancel *p) const { ds_cancel_release(p); }
};
template <typename T>
using Handle = std::unique_ptr<T, Release>;

inline ds_text text(const std::string &s) { return {s.data(), s.size()}; }
inline std::string text(const ds_text &t) { return std::string(t.data ? t.data : "", t.size); }

// A runtime that is shut down, with all its threads, before the program ends.
class Host {
 public:
  explicit Host(const Options &options);
  ~Host();
  Host(const Host &) = delete;
  Host &operator=(const Host &) = delete;
  ds_runtime *runtime() const { return runtime_.get(); }
  ds_cancel *cancel() const { return cancel_.get(); }  // set by an interrupt (Ctrl-C)

 private:
  Handle<ds_runtime> runtime_;
  Handle<ds_cancel> cancel_;
};

// flags: DS_MODEL_*, beside what the options ask for.
Handle<ds_model> open_model(const Host &host, const Options &options, uint32_t flags = 0);
Handle<ds_session> new_session(ds_model *model);
// The adapter that the options name; empty if none.
Handle<ds_model_adapter> load_adapter(ds_model *model, const Options &options);

// Fills ds_model_options and the source it points to; both must outlive the call that uses them.
struct ModelRequest {
  ds_source_path source;
  ds_option profile;
  ds_model_options options;
};
void fill(const Host &host, const Options &options, ModelRequest *request);

std::string info_json(const Handle<ds_info> &info);
uint64_t info_u64(const ds_info *info, const char *key, uint64_t otherwise = 0);
double info_f64(const ds_info *info, const char *key, double otherwise = 0);

// A line such as "load  [#####     ] 52%" on a terminal's stderr; nothing elsewhere. `user` is unused.
int32_t DS_CALL show_progress(void *user, const ds_progress *progress);
void end_progress();

std::string read_file(const std::string &path);  // "-" is stdin
std::vector<uint32_t> parse_ids(const std::string &list);
void write_out(const std::string &data);      // all of it to stdout, or a Failure
bool try_write_out(const std::string &data);  // the same for callbacks, which must not throw

}  // namespace ds_cli
