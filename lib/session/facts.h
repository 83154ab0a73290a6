// Named values that grow without breaking anyone: plans, model facts, statistics, usage. Keys are dotted lower-case
// paths ("usage.prompt_tokens"); numbers after a dot index lists. Order is the order of adding.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace deepseam::session {

struct Facts {
  using Value = std::variant<uint64_t, double, std::string>;
  std::vector<std::pair<std::string, Value>> list;

  void add(std::string key, uint64_t value) { list.emplace_back(std::move(key), value); }
  void add(std::string key, double value) { list.emplace_back(std::move(key), value); }
  void add(std::string key, std::string value) { list.emplace_back(std::move(key), std::move(value)); }
  const Value *find(const std::string &key) const {
    for (const auto &entry : list)
      if (entry.first == key) return &entry.second;
    return nullptr;
  }
};

}  // namespace deepseam::session
