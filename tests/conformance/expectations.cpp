#include "expectations.h"

#include <cstdio>
#include <cstring>
#include <initializer_list>

namespace conformance {

using deepseam::DType;

namespace {

enum class Kind { kSkip, kFail };

struct Expectation {
  const char *backend;
  const char *test_case;
  Kind kind;
  const char *reason;
};

// {"backend", "case", Kind::kSkip or kFail, "why"}
constexpr std::initializer_list<Expectation> kExpectations = {
    {"onednn", "linear: F8 with scales per block of any size", Kind::kSkip,
     "its tiles hold 16 rows, so blocks are multiples of 16 x 32; others are refused with a sentence"},
};

bool listed(const char *test_case, Kind kind) {
  for (const Expectation &entry : kExpectations)
    if (entry.kind == kind && !std::strcmp(entry.backend, backend_name()) && !std::strcmp(entry.test_case, test_case))
      return true;
  return false;
}

}  // namespace

bool skipped(const char *test_case) { return listed(test_case, Kind::kSkip); }
void tell_skipped() {
  for (const Expectation &entry : kExpectations)
    if (entry.kind == Kind::kSkip && !std::strcmp(entry.backend, backend_name()))
      std::printf("skipped: %s: %s\n", entry.test_case, entry.reason);
  std::fflush(stdout);
}

bool fails(const char *test_case) { return listed(test_case, Kind::kFail); }

double tolerance(DType weights) {
  const bool blocks = deepseam::dtype_info(weights).block_elements > 1;
  // onednn rounds activations to int8 per 32 columns where weights are blocks.
  if (blocks && !std::strcmp(backend_name(), "onednn")) return 1.2e-2;
  return 3e-6;  // float32, whatever the weights are stored as
}

}  // namespace conformance
