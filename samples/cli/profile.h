// Where the time of steps goes, op by op: what the model counts since it was opened with the option "profile", and the
// difference of two such counts.
#pragma once

#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <string>
#include <utility>
#include <vector>

#include "host.h"

namespace ds_cli {

struct Profile {
  uint64_t steps = 0, rows = 0, step_ns = 0;
  std::vector<std::pair<std::string, uint64_t>> op_ns;  // ops of the ABI in its order; empty without the option
};

Profile profile_of(ds_model *model);
// What was counted from `before` to `after` is added to `sum`.
void add_difference(const Profile &before, const Profile &after, Profile *sum);

// An object: steps, rows, milliseconds of a step, and of every op that took time its milliseconds a step and its share.
// "other" is what a step takes beside its ops.
void write_profile(rapidjson::Writer<rapidjson::StringBuffer> *json, const Profile &profile);
std::string profile_lines(const Profile &profile);

}  // namespace ds_cli
