// How strongly each input column of each weight is used: means of squares over the tokens of a text. An error in a
// weight reaches the output as often and as strongly as its column is used, so quantising weighs errors by them.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

namespace deepseam::model {

struct Moments {
  uint64_t tokens = 0;
  // By role: [cols], or for stacked roles [E, cols]; positive and finite. Roles without an entry weigh all alike.
  std::unordered_map<std::string, std::vector<float>> by_role;

  // The columns' moments of one matrix of a role; nullptr: none.
  const float *columns(const std::string &role, uint64_t matrix, uint64_t cols) const {
    const auto found = by_role.find(role);
    if (found == by_role.end()) return nullptr;
    const uint64_t matrices = found->second.size() / cols;
    return matrices ? found->second.data() + (matrices > 1 ? matrix : 0) * cols : nullptr;
  }
};

}  // namespace deepseam::model
