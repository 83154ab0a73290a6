// Which backend this program tests; everything else is the same for all.
#include "expectations.h"

namespace conformance {

const char *backend_name() { return DS_BACKEND_NAME; }
const char *backend_path() { return DS_BACKEND_PATH; }

}  // namespace conformance
