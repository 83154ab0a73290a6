// The only export of the plugin.
#include "backend.h"

DS_BACKEND_EXPORT const dsb_root *DS_CALL ds_backend_main(void) {
  return deepseam::sdk::root<deepseam::onednn::kBackend>();
}
