// info, plan, verify, pack, export, synth, plugins: everything about model files and plugins that generates nothing.
#include <rapidjson/document.h>
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <filesystem>
#include <string_view>

#include "commands.h"
#include "console.h"

namespace ds_cli {
namespace {

// One "a.b: value" line per leaf, for people; --json gives the object itself.
void add_lines(const rapidjson::Value &value, const std::string &path, std::string *out) {
  const std::string dot = path.empty() ? "" : ".";
  if (value.IsObject()) {
    for (const auto &member : value.GetObject()) add_lines(member.value, path + dot + member.name.GetString(), out);
  } else if (value.IsArray()) {
    for (rapidjson::SizeType i = 0; i < value.Size(); ++i) add_lines(value[i], path + dot + std::to_string(i), out);
  } else if (value.IsString()) {
    const std::string text(value.GetString(), value.GetStringLength());
    *out += path + (text.find('\n') == text.npos ? ": " : ":\n") + text + "\n";
  } else {
    rapidjson::StringBuffer buffer;
    rapidjson::Writer<rapidjson::StringBuffer> writer(buffer);
    value.Accept(writer);
    *out += path + ": " + buffer.GetString() + "\n";
  }
}

std::string as_lines(const std::string &json) {
  rapidjson::Document document;
  if (document.Parse(json.data(), json.size()).HasParseError()) throw Failure("the library gave malformed JSON");
  std::string out;
  add_lines(document, "", &out);
  return out;
}

int print(const Handle<ds_info> &info, const Options &options) {
  const std::string json = info_json(info);
  write_out(options.json ? json + "\n" : as_lines(json));
  return 0;
}

// The report without its list of weights.
void print_summary(const std::string &path) {
  const std::string json = read_file(path);
  rapidjson::Document document;
  if (document.Parse(json.data(), json.size()).HasParseError() || !document.IsObject())
    throw Failure(path + ": the library wrote malformed JSON");
  document.RemoveMember("weights");
  std::string out;
  add_lines(document, "", &out);
  write_out(out);
}

template <typename Request>
void fill_file(const Host &host, const Options &o, Request *request) {
  request->struct_size = sizeof *request;
  request->path = text(o.out);
  request->weight_type = text(o.type);
  request->cancel = host.cancel();
  request->progress = o.quiet ? nullptr : show_progress;
}

ds_option text_option(const char *key, std::string_view value) {
  ds_option option{};
  option.key = key;
  option.data = value.data();
  option.size = value.size();
  return option;
}

int pack(const Options &options, const std::vector<ds_option> &list) {
  const Host host(options);
  ModelRequest model;
  fill(host, options, &model);
  ds_pack_options request{};
  fill_file(host, options, &request);
  request.source = &model.source.head;
  request.backend = text(options.for_backend);
  request.options = list.data();
  request.n_options = list.size();
  Error error;
  const ds_status status = ds_model_pack(host.runtime(), &request, &error);
  end_progress();
  check(status, error);
  return 0;
}

}  // namespace

int run_info(const Options &options) {
  const Host host(options);
  const Handle<ds_model> model = open_model(host, options, DS_MODEL_NO_WEIGHTS);
  Error error;
  ds_info *info = nullptr;
  check(ds_model_info(model.get(), &info, &error), error);
  return print(Handle<ds_info>(info), options);
}

int run_plan(const Options &options) {
  const Host host(options);
  ModelRequest request;
  fill(host, options, &request);
  Error error;
  ds_info *plan = nullptr;
  check(ds_model_plan(host.runtime(), &request.options, &plan, &error), error);
  return print(Handle<ds_info>(plan), options);
}

// A file with findings is a failure of the file, so the exit status says so; the findings are data and go to stdout.
int run_verify(const Options &options) {
  const Host host(options);
  ModelRequest model;
  fill(host, options, &model);
  ds_verify_options request{};
  request.struct_size = sizeof request;
  request.source = &model.source.head;
  request.cancel = host.cancel();
  request.progress = options.quiet ? nullptr : show_progress;
  Error error;
  ds_info *raw = nullptr;
  const ds_status status = ds_model_verify(host.runtime(), &request, &raw, &error);
  end_progress();
  check(status, error);
  const Handle<ds_info> info(raw);
  print(info, options);
  if (!info_u64(info.get(), "ok")) throw Failure(options.model + ": the file has findings");
  return 0;
}

int run_pack(const Options &options) {
  const std::string card = options.card.empty() ? std::string() : read_file(options.card);
  const std::string sample = options.calibrate.empty() ? std::string() : read_file(options.calibrate);
  if (!options.calibrate.empty() && sample.empty()) throw Failure(options.calibrate + ": the file is empty");
  std::vector<ds_option> list;
  for (const std::string &keep : options.keep) list.push_back(text_option("keep", keep));
  if (!options.card.empty()) list.push_back(text_option("card", card));
  if (!options.adapter.empty()) list.push_back(text_option("adapter", options.adapter));
  if (!options.calibrate.empty()) list.push_back(text_option("calibrate", sample));
  if (!options.report.empty()) list.push_back(text_option("report", options.report));
  pack(options, list);
  if (!options.report.empty()) print_summary(options.report);
  return 0;
}

int run_export(const Options &options) {
  std::error_code failure;
  std::filesystem::create_directories(file_path(options.out), failure);
  if (failure) throw Failure(options.out + ": cannot be made: " + failure.message());
  std::vector<ds_option> list{text_option("form", "hf")};
  if (!options.adapter.empty()) list.push_back(text_option("adapter", options.adapter));
  return pack(options, list);
}

int run_synth(const Options &options) {
  const Host host(options);
  ds_synth_options request{};
  fill_file(host, options, &request);
  request.shape = text(options.shape);
  request.seed = options.seed;
  Error error;
  const ds_status status = ds_model_synth(host.runtime(), &request, &error);
  end_progress();
  check(status, error);
  return 0;
}

int run_plugins(const Options &options) {
  const Host host(options);
  Error error;
  ds_info *report = nullptr;
  check(ds_runtime_plugin_report(host.runtime(), &report, &error), error);
  return print(Handle<ds_info>(report), options);
}

}  // namespace ds_cli
