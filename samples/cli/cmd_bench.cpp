// bench: prefill by length and depth, decode by depth and batch, and a typing trace; medians over repetitions.
//
// Every figure comes with what it is to be held against: the read bandwidth of the same machine in the same run and the
// bytes of weights that one token reads. Prompts are token ids from a fixed generator; nothing is taken from the cache
// but the context of the same session: every measurement has a salt of its own.
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <random>

#include "bandwidth.h"
#include "commands.h"
#include "profile.h"
#include "typing.h"

namespace ds_cli {
namespace {

using Clock = std::chrono::steady_clock;
using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct Case {
  std::string kind;  // "prefill" or "decode"
  uint32_t tokens = 0, depth = 0, batch = 1;
  std::vector<double> rates = {};  // tokens per second of each repetition
  Profile profile = {};            // of what was measured, all repetitions together
};

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::vector<uint32_t> random_ids(uint64_t n, uint64_t vocab, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<uint32_t> ids(n);
  for (uint32_t &id : ids) id = static_cast<uint32_t>(2 + random() % (vocab > 300 ? vocab - 300 : vocab - 2));
  return ids;
}

// -> tokens computed: n, or more if the session's earlier ones had to be computed again.
uint64_t eval(ds_session *session, const uint32_t *ids, uint64_t n, bool want, const std::string &salt,
              ds_cancel *cancel) {
  if (n == 0) return 0;
  ds_eval_input input{};
  input.struct_size = sizeof input;
  input.want = want ? DS_WANT_LAST : DS_WANT_NONE;
  input.ids = ids;
  input.n_ids = n;
  input.cache_salt = text(salt);
  input.cancel = cancel;
  ds_eval_output output{};
  output.struct_size = sizeof output;
  Error error;
  check(ds_session_eval(session, &input, &output, &error), error);
  return output.n_computed;
}

std::string salt_of(const Case &c, uint32_t seed) {
  return c.kind + std::to_string(c.tokens) + "/" + std::to_string(c.depth) + "/" + std::to_string(c.batch) + "/" +
         std::to_string(seed);
}

double prefill_rate(const Host &host, ds_model *model, Case &c, uint64_t vocab, uint32_t seed) {
  const std::vector<uint32_t> ids = random_ids(c.depth + c.tokens, vocab, seed);
  const std::string salt = salt_of(c, seed);
  const Handle<ds_session> session = new_session(model);
  eval(session.get(), ids.data(), c.depth, false, salt, host.cancel());
  const Profile before = profile_of(model);
  const auto start = Clock::now();
  const uint64_t computed = eval(session.get(), ids.data() + c.depth, c.tokens, true, salt, host.cancel());
  const double seconds = seconds_since(start);
  add_difference(before, profile_of(model), &c.profile);
  if (computed != c.tokens)
    throw Failure("prefill at depth " + std::to_string(c.depth) + ": " + std::to_string(computed - c.tokens) +
                  " tokens of the context were computed again; the cache is too small for it");
  return c.tokens / seconds;
}

// All sequences get their context first; then they decode together in shared steps.
double decode_rate(const Host &host, ds_model *model, Case &c, uint64_t vocab, uint32_t seed) {
  const uint32_t context = std::max(c.depth, 1u);
  const std::string salt = salt_of(c, seed);
  std::vector<Handle<ds_session>> sessions;
  std::vector<std::vector<uint32_t>> prompts;
  std::vector<ds_tokens_input> inputs(c.batch);
  std::vector<ds_batch_item> items(c.batch);
  ds_params params{};
  params.struct_size = sizeof params;
  params.max_tokens = c.tokens + 1;
  params.flags = DS_GEN_IGNORE_END | DS_GEN_NO_STORE;
  params.cache_salt = text(salt);
  params.cancel = host.cancel();
  for (uint32_t i = 0; i < c.batch; ++i) {
    sessions.push_back(new_session(model));
    prompts.push_back(random_ids(context, vocab, seed * 1000 + i));
    eval(sessions[i].get(), prompts[i].data(), context - 1, false, salt, host.cancel());
    inputs[i].head = {sizeof inputs[i], DS_INPUT_TOKENS};
    inputs[i].ids = prompts[i].data();
    inputs[i].n_ids = context;
    items[i].struct_size = sizeof items[i];
    items[i].session = sessions[i].get();
    items[i].input = &inputs[i].head;
    items[i].parameters = &params;
  }
  Error error;
  const Profile before = profile_of(model);
  check(ds_generate_batch(items.data(), items.size(), sizeof items[0], &error), error);
  add_difference(before, profile_of(model), &c.profile);
  double slowest_ms = 0;
  uint64_t tokens = 0;
  for (ds_batch_item &item : items) {
    const Handle<ds_result> result(item.result);
    check(item.status, error);
    ds_info *raw = nullptr;
    check(ds_result_info(result.get(), &raw, &error), error);
    const Handle<ds_info> info(raw);
    slowest_ms = std::max(slowest_ms, info_f64(info.get(), "timings.decode_ms"));
    tokens += info_u64(info.get(), "usage.completion_tokens") - 1;  // the first one belongs to prefill
  }
  return slowest_ms > 0 ? 1e3 * static_cast<double>(tokens) / slowest_ms : 0;
}

std::vector<Case> cases(const Options &o) {
  std::vector<Case> list;
  for (uint32_t depth : o.depth)
    for (uint32_t tokens : o.prefill)
      if (tokens) list.push_back({"prefill", tokens, depth, 1});
  const uint32_t decode = o.max_tokens ? o.max_tokens : 64;
  for (uint32_t depth : o.depth)
    for (uint32_t batch : o.batch) list.push_back({"decode", decode, depth, batch});
  return list;
}

// What decoding one sequence reads of what the machine could have read meanwhile; 0 where that says nothing.
double share_of(const Case &c, double bandwidth, uint64_t token_bytes) {
  if (c.kind != "decode" || c.batch != 1 || bandwidth <= 0) return 0;
  return median(c.rates) * static_cast<double>(token_bytes) / bandwidth;
}

void write_case(Writer *json, const Case &c, double share, bool profile) {
  json->StartObject();
  json->Key("case");
  json->String(c.kind.c_str());
  for (const auto &[key, value] : {std::pair{"tokens", c.tokens}, {"depth", c.depth}, {"batch", c.batch}}) {
    json->Key(key);
    json->Uint(value);
  }
  const auto spread = std::minmax_element(c.rates.begin(), c.rates.end());
  for (const auto &[key, value] :
       {std::pair{"tokens_per_second", median(c.rates)}, {"lowest", *spread.first}, {"highest", *spread.second}}) {
    json->Key(key);
    json->Double(value);
  }
  if (share > 0) {
    json->Key("share_of_read_bandwidth");
    json->Double(share);
  }
  if (profile) {
    json->Key("profile");
    write_profile(json, c.profile);
  }
  json->EndObject();
}

// Time to the first new text and tokens computed, per kind of keystroke.
void write_trace(Writer *json, const Host &host, ds_model *model) {
  const Handle<ds_session> session = new_session(model);
  std::map<std::string, std::vector<double>> ms, computed;
  for (const Keystroke &key : typing_trace(500)) {
    ds_fim_input input{};
    input.head = {sizeof input, DS_INPUT_FIM};
    input.prefix = text(key.prefix);
    input.suffix = text(key.suffix);
    input.layout = DS_FIM_ANCHORED;
    ds_params params{};
    params.struct_size = sizeof params;
    params.max_tokens = 1;
    params.cancel = host.cancel();
    Error error;
    ds_result *raw = nullptr;
    const auto start = Clock::now();
    check(ds_fim(session.get(), &input, &params, &raw, &error), error);
    ms[key.kind].push_back(1e3 * seconds_since(start));
    const Handle<ds_result> result(raw);
    ds_info *raw_info = nullptr;
    check(ds_result_info(result.get(), &raw_info, &error), error);
    const Handle<ds_info> info(raw_info);
    computed[key.kind].push_back(
        static_cast<double>(info_u64(info.get(), "usage.prompt_tokens") - info_u64(info.get(), "usage.cached_tokens")));
  }
  json->Key("fim_trace");
  json->StartObject();
  for (auto &[kind, times] : ms) {
    json->Key(kind.c_str());
    json->StartObject();
    std::sort(times.begin(), times.end());
    for (const auto &[key, value] : {std::pair{"events", static_cast<double>(times.size())},
                                     {"p50_ms", median(times)},
                                     {"p95_ms", times[times.size() * 95 / 100]},
                                     {"tokens_computed_p50", median(computed[kind])}}) {
      json->Key(key);
      json->Double(value);
    }
    json->EndObject();
  }
  json->EndObject();
}

std::string as_lines(const std::vector<Case> &list, double bandwidth, uint64_t token_bytes, bool profile) {
  std::string out;
  char line[160];
  std::snprintf(line, sizeof line, "read bandwidth %.1f GB/s, weights read per token %.2f GB\n", bandwidth / 1e9,
                static_cast<double>(token_bytes) / 1e9);
  out += line;
  for (const Case &c : list) {
    const auto spread = std::minmax_element(c.rates.begin(), c.rates.end());
    std::snprintf(line, sizeof line, "%-8s %6u tokens  depth %6u  batch %2u  %9.2f tok/s  (%.2f to %.2f)",
                  c.kind.c_str(), c.tokens, c.depth, c.batch, median(c.rates), *spread.first, *spread.second);
    out += line;
    if (const double share = share_of(c, bandwidth, token_bytes); share > 0) {
      std::snprintf(line, sizeof line, "  %.0f%% of the read bandwidth", 100 * share);
      out += line;
    }
    out += '\n';
    if (profile) out += profile_lines(c.profile);
  }
  return out;
}

}  // namespace

int run_bench(const Options &options) {
  const Host host(options);
  const Handle<ds_model> model = open_model(host, options);
  Error error;
  ds_info *raw = nullptr;
  check(ds_model_info(model.get(), &raw, &error), error);
  const Handle<ds_info> info(raw);
  const uint64_t vocab = info_u64(info.get(), "vocab", 512);
  const uint64_t token_bytes = info_u64(info.get(), "bytes_per_token");
  std::vector<Case> list = cases(options);
  for (uint32_t run = 0; run < std::max(options.repetitions, 1u); ++run)
    for (Case &c : list)
      c.rates.push_back(c.kind == "prefill" ? prefill_rate(host, model.get(), c, vocab, run + 1)
                                            : decode_rate(host, model.get(), c, vocab, run + 1));
  const double bandwidth = read_bandwidth(options.threads);
  if (!options.json && !options.fim_trace) {
    write_out(as_lines(list, bandwidth, token_bytes, options.profile));
    return 0;
  }
  rapidjson::StringBuffer buffer;
  Writer json(buffer);
  json.SetMaxDecimalPlaces(3);
  json.StartObject();
  for (const auto &[name, key] : {std::pair{"backend", "backend"}, {"device", "device"}, {"weights", "weights.type"}}) {
    ds_text value{};
    if (ds_info_get_text(info.get(), key, &value, nullptr) != DS_OK) continue;
    json.Key(name);
    json.String(value.data, static_cast<rapidjson::SizeType>(value.size));
  }
  json.Key("version");
  json.String(ds_version_string());
  json.Key("read_bandwidth");
  json.Double(bandwidth);
  json.Key("weight_bytes_per_token");
  json.Uint64(token_bytes);
  json.Key("deterministic");
  json.Bool(options.deterministic);
  json.Key("cases");
  json.StartArray();
  for (const Case &c : list) write_case(&json, c, share_of(c, bandwidth, token_bytes), options.profile);
  json.EndArray();
  if (options.fim_trace) write_trace(&json, host, model.get());
  json.EndObject();
  write_out(std::string(buffer.GetString(), buffer.GetSize()) + "\n");
  return 0;
}

}  // namespace ds_cli
