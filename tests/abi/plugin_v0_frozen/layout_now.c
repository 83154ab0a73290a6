/* Today's header keeps every offset of the frozen one, and no struct has shrunk. Compiling this is the test. */
#include <stddef.h>

#include "deepseam/backend.h"

#define DS_SIZE(type, bytes) typedef char size_of_##type[sizeof(type) >= (bytes) ? 1 : -1];
#define DS_OFFSET(type, field, bytes) typedef char at_##type##_##field[offsetof(type, field) == (bytes) ? 1 : -1];
#include "layout_v0.def"
