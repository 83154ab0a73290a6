// The main function of every doctest program. Seeds are logged by the tests that draw them.
#define DOCTEST_CONFIG_IMPLEMENT_WITH_MAIN
#include <doctest/doctest.h>

#ifdef __MINGW32__
// doctest keeps streams per thread, in thread_local objects, and any INFO, MESSAGE or REQUIRE_MESSAGE makes them. When
// such a thread ends, mingw-w64's g++ 12 first frees the memory of its thread_local objects and then destroys them
// there, in what may by then be someone else's. In test programs they are not destroyed instead: a thread that used
// doctest leaks some hundred bytes. This is what the compiler registers destructors with; that of its runtime is not
// linked.
extern "C" int __cxa_thread_atexit(void (*)(void *), void *, void *) { return 0; }
#endif
