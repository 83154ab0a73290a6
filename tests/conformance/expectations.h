// What is known to be different about a backend: cases that it skips or fails, each with its reason, and how close to
// the exact result its arithmetic comes. A case that is expected to fail and passes is a failure.
#pragma once

#include <doctest/doctest.h>

#include "base/dtype.h"

namespace conformance {

const char *backend_name();
const char *backend_path();  // of the plugin

bool skipped(const char *test_case);
void tell_skipped();  // prints this backend's skipped cases with their reasons
bool fails(const char *test_case);

// Largest error of a product with weights of this type, relative to the largest exact result.
double tolerance(deepseam::DType weights);

}  // namespace conformance

// A test case of the suite. The name is what expectations.cpp lists.
#define CONFORMANCE(name) \
  TEST_CASE(name *doctest::skip(conformance::skipped(name)) * doctest::should_fail(conformance::fails(name)))
