#include "expectations.h"

#include <cstring>
#include <initializer_list>

namespace conformance {
namespace {

enum class Kind { kSkip, kFail };

struct Expectation {
  const char *backend;
  const char *test_case;
  Kind kind;
  const char *reason;
};

// {"backend", "case", Kind::kSkip or kFail, "why"}
constexpr std::initializer_list<Expectation> kExpectations = {};

bool listed(const char *test_case, Kind kind) {
  for (const Expectation &entry : kExpectations)
    if (entry.kind == kind && !std::strcmp(entry.backend, backend_name()) && !std::strcmp(entry.test_case, test_case))
      return true;
  return false;
}

}  // namespace

bool skipped(const char *test_case) { return listed(test_case, Kind::kSkip); }
bool fails(const char *test_case) { return listed(test_case, Kind::kFail); }

// All backends so far compute products in float32 whatever the weights are stored as.
double tolerance(deepseam::DType) { return 3e-6; }

}  // namespace conformance
