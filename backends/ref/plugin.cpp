// The plugin's only export.
#include "ref/ref.h"

extern "C" const dsb_root *DS_CALL ds_backend_main(void) { return deepseam::ref::root(); }
