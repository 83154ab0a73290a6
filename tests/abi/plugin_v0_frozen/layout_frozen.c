/* The frozen header still is what layout_v0.def says, in size and in every offset. Compiling this is the test. */
#include <stddef.h>

#include "deepseam/backend.h"

#define DS_SIZE(type, bytes) typedef char size_of_##type[sizeof(type) == (bytes) ? 1 : -1];
#define DS_OFFSET(type, field, bytes) typedef char at_##type##_##field[offsetof(type, field) == (bytes) ? 1 : -1];
#include "layout_v0.def"

#define DS_IS(name, value) typedef char is_##name[name == (value) ? 1 : -1]
DS_IS(DSB_ABI_VERSION, 1);
DS_IS(DSB_NONE, 0xffffffffu);
DS_IS(DSB_TICKET_FAILED, 4);
DS_IS(DSB_WANT_HIDDEN, 4);
DS_IS(DSB_ENTRY_ACCEPT, 4);
DS_IS(DSB_KV_Q8X64_BF16, 4);
DS_IS(DSB_Q4_0, 17);
DS_IS(DS_E_UNSUPPORTED, 104);
DS_IS(DS_E_PLUGIN, 404);
