#include "profile.h"

#include <rapidjson/document.h>

#include <algorithm>
#include <string_view>

namespace ds_cli {
namespace {

struct Line {
  std::string op;
  double ms_per_step, share;
};

// Slowest first, "other" last.
std::vector<Line> lines_of(const Profile &profile) {
  std::vector<Line> lines;
  const double steps = static_cast<double>(std::max<uint64_t>(profile.steps, 1));
  const double total = static_cast<double>(std::max<uint64_t>(profile.step_ns, 1));
  uint64_t in_ops = 0;
  for (const auto &[op, ns] : profile.op_ns) {
    in_ops += ns;
    if (ns) lines.push_back({op, 1e-6 * static_cast<double>(ns) / steps, static_cast<double>(ns) / total});
  }
  std::sort(lines.begin(), lines.end(), [](const Line &a, const Line &b) { return a.share > b.share; });
  const auto other = static_cast<double>(profile.step_ns - std::min(in_ops, profile.step_ns));
  lines.push_back({"other", 1e-6 * other / steps, other / total});
  return lines;
}

}  // namespace

Profile profile_of(ds_model *model) {
  Error error;
  ds_info *raw = nullptr;
  check(ds_model_info(model, &raw, &error), error);
  const Handle<ds_info> info(raw);
  Profile profile{info_u64(raw, "engine.steps"), info_u64(raw, "engine.rows"), info_u64(raw, "engine.step_ns"), {}};
  rapidjson::Document all;
  all.Parse(info_json(info).c_str());
  if (!all.IsObject() || !all.HasMember("profile")) return profile;
  constexpr std::string_view kEnd = "_ns";
  for (const auto &[key, value] : all["profile"].GetObject()) {
    const std::string_view name(key.GetString(), key.GetStringLength());
    if (name.ends_with(kEnd)) profile.op_ns.emplace_back(name.substr(0, name.size() - kEnd.size()), value.GetUint64());
  }
  return profile;
}

void add_difference(const Profile &before, const Profile &after, Profile *sum) {
  sum->steps += after.steps - before.steps;
  sum->rows += after.rows - before.rows;
  sum->step_ns += after.step_ns - before.step_ns;
  sum->op_ns.resize(after.op_ns.size());
  for (size_t i = 0; i < after.op_ns.size(); ++i) {
    sum->op_ns[i].first = after.op_ns[i].first;
    sum->op_ns[i].second += after.op_ns[i].second - before.op_ns[i].second;
  }
}

void write_profile(rapidjson::Writer<rapidjson::StringBuffer> *json, const Profile &profile) {
  json->StartObject();
  json->Key("steps");
  json->Uint64(profile.steps);
  json->Key("rows");
  json->Uint64(profile.rows);
  json->Key("ms_per_step");
  json->Double(1e-6 * static_cast<double>(profile.step_ns) / static_cast<double>(std::max<uint64_t>(profile.steps, 1)));
  json->Key("ops");
  json->StartObject();
  for (const Line &line : lines_of(profile)) {
    json->Key(line.op.c_str());
    json->StartObject();
    json->Key("ms_per_step");
    json->Double(line.ms_per_step);
    json->Key("share");
    json->Double(line.share);
    json->EndObject();
  }
  json->EndObject();
  json->EndObject();
}

std::string profile_lines(const Profile &profile) {
  std::string out;
  char text[96];
  for (const Line &line : lines_of(profile)) {
    std::snprintf(text, sizeof text, "         %-14s %9.3f ms a step  %5.1f%%\n", line.op.c_str(), line.ms_per_step,
                  100 * line.share);
    out += text;
  }
  return out;
}

}  // namespace ds_cli
