#include "host.h"

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "console.h"

namespace ds_cli {
namespace {

ds_cancel *interrupt_flag = nullptr;  // this program's, not the library's: an interrupt has no other way

uint32_t kv_format(const std::string &name) {
  if (name.empty()) return DS_KV_AUTO;
  if (name == "f32") return DS_KV_F32;
  if (name == "bf16") return DS_KV_BF16;
  if (name == "e4m3") return DS_KV_E4M3;
  if (name == "q8") return DS_KV_Q8;
  throw Failure("--kv: '" + name + "' is none of f32, bf16, e4m3, q8");
}

const char *stage_name(uint32_t stage) {
  switch (stage) {
    case DS_STAGE_READ:
      return "read";
    case DS_STAGE_LOAD:
      return "load";
    case DS_STAGE_COMPILE:
      return "compile";
    case DS_STAGE_PREFILL:
      return "prefill";
    case DS_STAGE_DECODE:
      return "decode";
    case DS_STAGE_WRITE:
      return "write";
    case DS_STAGE_VERIFY:
      return "verify";
    default:
      return "work";
  }
}

}  // namespace

void check(ds_status status, const Error &error) {
  if (status == DS_OK) return;
  std::string line = error.message[0] ? error.message : ds_status_string(status);
  if (error.path[0] && line.find(error.path) == std::string::npos) line = std::string(error.path) + ": " + line;
  throw Failure(line + " (" + ds_status_string(status) + ")");
}

Host::Host(const Options &options) {
  std::vector<ds_text> dirs;
  for (const std::string &dir : options.plugin_dirs) dirs.push_back(text(dir));
  ds_runtime_options request{};
  request.struct_size = sizeof request;
  request.abi_version = DS_ABI_VERSION;
  request.n_threads = options.threads;
  request.plugin_dirs = dirs.data();
  request.n_plugin_dirs = dirs.size();
  Error error;
  ds_runtime *runtime = nullptr;
  check(ds_runtime_create(&request, &runtime, &error), error);
  runtime_.reset(runtime);
  ds_cancel *cancel = nullptr;
  check(ds_cancel_create(&cancel, &error), error);
  cancel_.reset(cancel);
  interrupt_flag = cancel;
  on_interrupt([] { ds_cancel_set(interrupt_flag, nullptr); });  // asks for an orderly end
}

Host::~Host() {
  on_interrupt(nullptr);
  interrupt_flag = nullptr;
  ds_runtime_shutdown(runtime_.get(), uint64_t{30} * 1000000000, nullptr);
}

void fill(const Host &host, const Options &options, ModelRequest *request) {
  *request = {};
  request->source.head.struct_size = sizeof request->source;
  request->source.head.tag = DS_SOURCE_PATH;
  request->source.path = text(options.model);
  ds_model_options &o = request->options;
  o.struct_size = sizeof o;
  o.source = &request->source.head;
  o.backend = text(options.backend);
  o.kv_format = kv_format(options.kv);
  o.context_length = options.context;
  o.max_rows = options.max_rows;
  o.ram_budget = options.ram_budget;
  o.flags = options.deterministic ? DS_MODEL_DETERMINISTIC : 0;
  o.map_mode = options.map == "always" ? DS_MAP_ALWAYS : options.map == "never" ? DS_MAP_NEVER : DS_MAP_AUTO;
  o.pack_cache_dir = text(options.pack_cache);
  o.cancel = host.cancel();
  o.progress = options.quiet ? nullptr : show_progress;
  request->profile.key = "profile";
  request->profile.value = 1;
  o.options = &request->profile;
  o.n_options = options.profile ? 1 : 0;
}

// A folder that keeps no packed weights fails no open, and who named it wants to know.
static void tell_pack_cache(ds_model *model, const Options &options) {
  Error error;
  ds_info *raw = nullptr;
  if (options.pack_cache.empty() || options.quiet || ds_model_info(model, &raw, &error) != DS_OK) return;
  const Handle<ds_info> info(raw);
  ds_text found{};
  if (ds_info_get_text(raw, "weights.pack_cache", &found, &error) != DS_OK) return;  // nothing is repacked
  const std::string outcome = text(found);
  if (outcome.rfind("not ", 0) == 0)
    std::fprintf(stderr, "ds %s: --pack-cache: packed weights are %s\n", options.command.c_str(), outcome.c_str());
}

Handle<ds_model> open_model(const Host &host, const Options &options, uint32_t flags) {
  ModelRequest request;
  fill(host, options, &request);
  request.options.flags |= flags;
  Error error;
  ds_model *model = nullptr;
  const ds_status status = ds_model_open(host.runtime(), &request.options, &model, &error);
  end_progress();
  check(status, error);
  Handle<ds_model> opened(model);
  tell_pack_cache(model, options);
  return opened;
}

Handle<ds_session> new_session(ds_model *model) {
  Error error;
  ds_session *session = nullptr;
  check(ds_session_create(model, nullptr, &session, &error), error);
  return Handle<ds_session>(session);
}

Handle<ds_model_adapter> load_adapter(ds_model *model, const Options &options) {
  if (options.adapter.empty()) return nullptr;
  ds_source_path source{};
  source.head.struct_size = sizeof source;
  source.head.tag = DS_SOURCE_PATH;
  source.path = text(options.adapter);
  Error error;
  ds_model_adapter *adapter = nullptr;
  check(ds_model_adapter_load(model, &source.head, &adapter, &error), error);
  return Handle<ds_model_adapter>(adapter);
}

std::string info_json(const Handle<ds_info> &info) {
  Error error;
  ds_text view{};
  check(ds_info_json(info.get(), &view, &error), error);
  return text(view);
}

uint64_t info_u64(const ds_info *info, const char *key, uint64_t otherwise) {
  uint64_t value = otherwise;
  return ds_info_get_u64(info, key, &value, nullptr) == DS_OK ? value : otherwise;
}

double info_f64(const ds_info *info, const char *key, double otherwise) {
  double value = otherwise;
  return ds_info_get_f64(info, key, &value, nullptr) == DS_OK ? value : otherwise;
}

int32_t DS_CALL show_progress(void *, const ds_progress *progress) {
  static const bool terminal = is_terminal(stderr);
  if (!terminal || progress->total == 0) return DS_CONTINUE;
  const unsigned percent =
      static_cast<unsigned>(100.0 * static_cast<double>(progress->done) / static_cast<double>(progress->total));
  char bar[31];
  for (unsigned i = 0; i < 30; ++i) bar[i] = i * 100 < percent * 30 ? '#' : ' ';
  bar[30] = 0;
  std::fprintf(stderr, "\r%-8s [%s] %3u%%", stage_name(progress->stage), bar, percent);
  return DS_CONTINUE;
}

void end_progress() {
  if (is_terminal(stderr)) std::fputs("\r\033[K", stderr);
}

std::string read_file(const std::string &path) {
  const bool is_stdin = path == "-";
  std::FILE *file = is_stdin ? stdin : open_file(path, "rb");
  if (!file) throw Failure(path + ": cannot be opened: " + std::strerror(errno));
  std::string content;
  char piece[65536];
  while (const size_t n = std::fread(piece, 1, sizeof piece, file)) content.append(piece, n);
  const int failure = std::ferror(file) ? errno : 0;
  if (!is_stdin) std::fclose(file);
  if (failure) throw Failure((is_stdin ? "standard input" : path) + ": cannot be read: " + std::strerror(failure));
  return content;
}

std::vector<uint32_t> parse_ids(const std::string &list) {
  constexpr std::string_view kBetween = ", []\n\r\t";
  std::vector<uint32_t> ids;
  for (size_t at = 0; at < list.size();) {
    if (kBetween.find(list[at]) != kBetween.npos) {
      ++at;
      continue;
    }
    uint32_t id = 0;
    const char *begin = list.data() + at, *end = list.data() + list.size();
    const auto [stop, code] = std::from_chars(begin, end, id);
    if (code != std::errc() || (stop != end && kBetween.find(*stop) == kBetween.npos))
      throw Failure("token ids: expected numbers below 4294967296 with commas between, found '" + list.substr(at, 20) +
                    "' at byte " + std::to_string(at));
    ids.push_back(id);
    at += static_cast<size_t>(stop - begin);
  }
  return ids;
}

bool try_write_out(const std::string &data) {
  return std::fwrite(data.data(), 1, data.size(), stdout) == data.size() && std::fflush(stdout) == 0;
}

void write_out(const std::string &data) {
  if (!try_write_out(data)) throw Failure("standard output: cannot be written");
}

}  // namespace ds_cli
