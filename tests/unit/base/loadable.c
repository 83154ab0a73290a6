/* The library that shared_library_test loads. */
const char *which(void) { return WHICH; }
