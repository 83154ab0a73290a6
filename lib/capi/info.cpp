#include "capi/info.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <vector>

#include "base/json.h"

namespace deepseam::capi {
namespace {

using session::Facts;

// Lists that may be empty: without members their count alone would read as a number.
constexpr std::string_view kListNames[] = {"plugins", "devices", "findings"};

// One part of the dotted keys. A list's node may have a value too: its count, which its members make superfluous.
struct Node {
  std::string name;
  const Facts::Value *value = nullptr;
  std::vector<std::unique_ptr<Node>> members;

  Node &member(std::string_view part) {
    for (auto &node : members)
      if (node->name == part) return *node;
    members.push_back(std::make_unique<Node>());
    members.back()->name = part;
    return *members.back();
  }
  bool is_array() const {
    for (size_t i = 0; i < members.size(); ++i)
      if (members[i]->name != std::to_string(i)) return false;
    return true;
  }
};

void write_value(JsonWriter &json, const Node &node) {
  if (!node.value) {
    json.null();
  } else if (const auto *count = std::get_if<uint64_t>(node.value)) {
    const bool is_list = std::find(std::begin(kListNames), std::end(kListNames), node.name) != std::end(kListNames);
    if (is_list && *count == 0)
      json.begin_array().end_array();
    else
      json.value(*count);
  } else if (const auto *number = std::get_if<double>(node.value)) {
    json.value(*number);
  } else {
    json.value(std::string_view(std::get<std::string>(*node.value)));
  }
}

// Depth is that of the keys, which the library itself chooses.
void write_node(JsonWriter &json, const Node &node) {
  if (node.members.empty()) return write_value(json, node);
  const bool array = node.is_array();
  array ? json.begin_array() : json.begin_object();
  for (const auto &member : node.members) {
    if (!array) json.key(member->name);
    write_node(json, *member);
  }
  array ? json.end_array() : json.end_object();
}

// How many members 0, 1, … a list has that names no count of its own.
uint64_t count_members(const Facts &facts, const std::string &key) {
  uint64_t count = 0;
  const std::string prefix = key + ".";
  for (const auto &[name, value] : facts.list) {
    if (name.compare(0, prefix.size(), prefix) != 0) continue;
    uint64_t index = 0;
    const char *begin = name.data() + prefix.size(), *end = name.data() + name.size();
    const auto [stop, failure] = std::from_chars(begin, end, index);
    if (failure == std::errc() && (stop == end || *stop == '.')) count = std::max(count, index + 1);
  }
  return count;
}

Status wrong_kind(const char *key, const char *expected) {
  return fail(DS_E_ARGUMENT, "info", "the value of \"%.200s\" is not a %s", key, expected);
}

}  // namespace

std::string facts_to_json(const Facts &facts) {
  Node root;
  for (const auto &[key, value] : facts.list) {
    Node *node = &root;
    for (std::string_view rest = key; !rest.empty();) {
      const size_t dot = rest.find('.');
      node = &node->member(rest.substr(0, dot));
      rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
    }
    node->value = &value;
  }
  JsonWriter json;
  if (root.members.empty()) return "{}";
  write_node(json, root);
  return json.take();
}

Result<Facts::Value> Info::find(const char *key) const {
  if (!key) return fail(DS_E_ARGUMENT, "info", "key is NULL");
  if (const Facts::Value *value = facts_.find(key)) return *value;
  if (const uint64_t count = count_members(facts_, key)) return Facts::Value(count);
  return fail(DS_E_NOT_FOUND, "info", "there is no value \"%.200s\"", key);
}

Status Info::get_u64(const char *key, uint64_t *value) const {
  if (!value) return fail(DS_E_ARGUMENT, "info", "value is NULL");
  DS_TRY_VALUE(const Facts::Value found, find(key));
  const auto *count = std::get_if<uint64_t>(&found);
  if (!count) return wrong_kind(key, "count, size or flag");
  *value = *count;
  return Status();
}

Status Info::get_f64(const char *key, double *value) const {
  if (!value) return fail(DS_E_ARGUMENT, "info", "value is NULL");
  DS_TRY_VALUE(const Facts::Value found, find(key));
  if (const auto *count = std::get_if<uint64_t>(&found))
    *value = static_cast<double>(*count);
  else if (const auto *number = std::get_if<double>(&found))
    *value = *number;
  else
    return wrong_kind(key, "number");
  return Status();
}

Status Info::get_text(const char *key, std::string_view *value) const {
  if (!value) return fail(DS_E_ARGUMENT, "info", "view is NULL");
  if (!key) return fail(DS_E_ARGUMENT, "info", "key is NULL");
  const Facts::Value *found = facts_.find(key);
  if (!found) return fail(DS_E_NOT_FOUND, "info", "there is no value \"%.200s\"", key);
  const auto *text = std::get_if<std::string>(found);
  if (!text) return wrong_kind(key, "text");
  *value = *text;
  return Status();
}

}  // namespace deepseam::capi
