// What a ds_info handle names: a snapshot of facts, readable by dotted key ("devices.0.name") or as one JSON object.
//
// Which facts there are is up to whoever collected them; here they only get their two outside forms.
#pragma once

#include <string>
#include <string_view>

#include "capi/handles.h"
#include "session/facts.h"

namespace deepseam::capi {

// Nested by the dots of the keys; members 0 … n-1 make an array.
std::string facts_to_json(const session::Facts &facts);

class Info final : public Object {
 public:
  static constexpr HandleKind kKind = HandleKind::kInfo;
  explicit Info(session::Facts facts) : facts_(std::move(facts)), json_(facts_to_json(facts_)) {}

  const std::string &json() const { return json_; }
  // DS_E_NOT_FOUND: no such key. DS_E_ARGUMENT: a value of another kind. A list reads as its length.
  Status get_u64(const char *key, uint64_t *value) const;
  Status get_f64(const char *key, double *value) const;
  Status get_text(const char *key, std::string_view *value) const;

 private:
  Result<session::Facts::Value> find(const char *key) const;
  const session::Facts facts_;
  const std::string json_;
};

}  // namespace deepseam::capi
