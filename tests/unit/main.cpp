// The main function of every doctest program. Seeds are logged by the tests that draw them.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>
